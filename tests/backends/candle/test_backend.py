"""The backend itself: availability, threads, errors, packages of all kinds, and use without PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

import inferox
from inferox.backends.candle import CandleBackend
from inferox.backends.candle.errors import translated
from inferox.backends.candle.export import CandleExporter
from inferox.core import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    BackendUnavailableError,
    ConfigError,
    DeviceId,
    ExecutionError,
    LoadError,
    OutOfMemoryError,
    Precision,
    UnsupportedDTypeError,
)
from inferox.measuring import verify
from inferox.parity import ParityClass
from inferox.sources import open_source
from tests.backends.candle.artifacts import TEXT, load, padded, text_artifact
from tests.packing.test_kinds import TEXTS, save_text_model
from tests.sources.checkpoints import make_model, make_texts, save_model


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, minilm_directory: Path) -> Path:
    folder = tmp_path_factory.mktemp("candle")
    save_text_model(folder / "source", minilm_directory, "bert", "Model")
    inferox.pack(folder / "source", folder / "both.mlpkg", backends=["torch", "candle"])
    return folder / "both.mlpkg"


def test_it_says_what_it_is() -> None:
    backend = CandleBackend()
    availability = backend.probe()
    assert availability.available
    assert availability.version is not None
    assert availability.version[0].isdigit()
    assert [device.id for device in backend.devices()] == [backend.default_device()] == [DeviceId.cpu()]
    backend.self_test(DeviceId.cpu())
    with pytest.raises(BackendUnavailableError, match="no device cuda:0"):
        backend.self_test(DeviceId.cuda())


def test_where_candle_is_missing_or_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferox.backends.candle.backend.DISTRIBUTION", "no-such-distribution")
    assert "not that of no-such-distribution" in str(CandleBackend().probe().reason)
    monkeypatch.setitem(sys.modules, "candle", None)
    assert CandleBackend().probe().hint == "pip install 'inferox[candle]'"
    with pytest.raises(BackendUnavailableError, match="candle is not installed"):
        CandleBackend().tensor_builder()


def test_the_weights_lie_in_the_package_once(package: Path) -> None:
    (artifact,) = [item for item in inferox.open_package(package).artifacts if item.backend == "candle"]
    assert dict(artifact.files) == {"config": CONFIG_FILE, "weights": WEIGHTS_FILE}
    assert len(list(artifact.root.rglob("*.safetensors"))) == 3  # with the samples and the proof
    evidence = inferox.open_package(package).parity.artifacts  # type: ignore[union-attr]
    assert {item.parity_class for item in evidence} == {ParityClass.EXACT}


def test_embeddings_agree_between_the_backends(package: Path) -> None:
    with inferox.load(package, backend="torch") as one, inferox.load(package, backend="candle") as other:
        np.testing.assert_allclose(one.embed(TEXTS), other.embed(TEXTS), atol=1e-5)
        assert other.metadata.backend == "candle"
        assert other.model.memory_requirements().weights_bytes > 0


ALONE = """
import sys
for name in ("torch", "transformers", "onnxruntime", "openvino", "onnx"):
    sys.modules[name] = None
import inferox
assert "candle" not in sys.modules
with inferox.load(sys.argv[1], backend="candle", threads=1) as model:
    print(model.metadata.backend, model.embed(["hello"]).shape)
from candle.utils import get_num_threads
print(get_num_threads())
"""


def test_it_needs_nothing_else(package: Path) -> None:
    done = subprocess.run([sys.executable, "-c", ALONE, package], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "candle (1, 16)\n1\n"


THREADS_VARIABLE = "RAYON_NUM_THREADS"


def test_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(THREADS_VARIABLE, "7")
    save_model(make_model("bert", "Model"), tmp_path)
    artifact = text_artifact(tmp_path, "BertModel")
    load(artifact)
    assert os.environ[THREADS_VARIABLE] == "7"
    load(artifact, threads=2)
    assert os.environ[THREADS_VARIABLE] == "2"
    load(artifact)
    assert os.environ[THREADS_VARIABLE] == "7"
    monkeypatch.delenv(THREADS_VARIABLE)
    load(artifact)
    assert int(os.environ[THREADS_VARIABLE]) >= 1
    with pytest.raises(ConfigError):
        load(artifact, threads=0)


def test_what_it_refuses_to_load(tmp_path: Path) -> None:
    save_model(make_model("bert", "Model"), tmp_path)
    artifact = text_artifact(tmp_path, "BertModel")
    backend = CandleBackend()
    assert backend.can_load(artifact)
    assert not backend.can_load(replace(artifact, backend="torch"))
    assert not backend.can_load(replace(artifact, format="onnx"))
    with pytest.raises(LoadError, match="just in time"):
        load(artifact, compile=True)
    with pytest.raises(UnsupportedDTypeError, match="bf16"):
        load(replace(artifact, precision=Precision.BF16))
    with pytest.raises(LoadError, match="reading nothing"):
        load(replace(artifact, files={"config": "config.json", "weights": "nothing"}))
    with pytest.raises(LoadError, match="None"):
        load(replace(artifact, options={}))


def test_the_folder_of_a_package_in_format_1(tmp_path: Path) -> None:
    save_model(make_model("bert", "Model"), tmp_path / "backends" / "candle")
    folder = "backends/candle"
    artifact = text_artifact(tmp_path, "BertModel")
    files = {"config": f"{folder}/config.json", "weights": f"{folder}/model.safetensors"}
    with load(replace(artifact, files=files)) as model:
        assert model.forward(make_texts(TEXT))["states"].shape == (3, 9, 16)


@pytest.mark.parametrize(
    ("model_type", "head", "message"),
    [
        ("vit", "ForImageClassification", "cannot run a vit model: the backend does not support Conv2d"),
        ("resnet", "ForImageClassification", "does not support BatchNorm2d, Conv2d"),
        ("modernbert", "Model", "modernbert model: the backend does not support rotary embeddings"),
        ("mpnet", "Model", "mpnet model: the backend does not support relative position biases"),
    ],
)
def test_models_that_it_cannot_run_are_named(tmp_path: Path, model_type: str, head: str, message: str) -> None:
    source = open_source(save_model(make_model(model_type, head), tmp_path / "m"), task="raw")
    with pytest.raises(LoadError, match=message):
        CandleExporter().export(source, tmp_path, padded(source))


def test_fp32_alone(tmp_path: Path) -> None:
    source = open_source(save_model(make_model("bert", "Model"), tmp_path / "m"), task="raw")
    with pytest.raises(LoadError, match="fp32 here, not in bf16"):
        CandleExporter().export(source, tmp_path, padded(source, Precision.BF16))


class PanicException(BaseException):
    """Has the name that Rust's panics get in Python."""


@pytest.mark.parametrize("error", [ValueError("x"), PanicException("x"), RuntimeError("x\ny")])
def test_every_exception_is_translated(error: BaseException) -> None:
    for default in (LoadError, ExecutionError):
        with (
            pytest.raises(default, match=r"candle failed while testing: x$") as caught,
            translated("testing", default=default),
        ):
            raise error
        assert caught.value.__cause__ is error
    with pytest.raises(OutOfMemoryError), translated("testing", default=LoadError):
        raise MemoryError
    with pytest.raises(KeyboardInterrupt), translated("testing", default=LoadError):
        raise KeyboardInterrupt


def test_candles_own_exceptions_come_without_a_backtrace() -> None:
    import candle

    with pytest.raises(ExecutionError) as caught, translated("multiplying", default=ExecutionError):
        candle.zeros((2, 3)).matmul(candle.zeros((2, 3)))
    assert str(caught.value) == (
        'candle failed while multiplying: ShapeMismatchBinaryOp { lhs: [2, 3], rhs: [2, 3], op: "matmul" }'
    )


def test_the_version_of_candle_stands_in_the_evidence(tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    inferox.pack(tmp_path / "bert", tmp_path / "package", backends=("candle",))
    parity = inferox.open_package(tmp_path / "package").parity
    assert parity is not None
    assert {item.versions["candle-nn"] for item in parity.artifacts} == {version("candle-nn")}
    assert {item.versions["candle-nn"] for item in verify(tmp_path / "package").evidence} == {version("candle-nn")}
