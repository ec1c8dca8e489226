"""Loading packages: fallback with its reasons, trust, and tasks."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import inferox
from inferox.backends.host import HostTensor
from inferox.core import (
    Artifact,
    BackendUnavailableError,
    ConfigError,
    DataType,
    ExecutionError,
    InferoxError,
    LoadError,
    LoadOptions,
    ManifestError,
    Model,
    NoUsableBackendError,
    PackageError,
    Precision,
    RequestError,
    Signature,
    Tensor,
    TensorLike,
    TensorSpec,
    UntrustedCodeError,
)
from inferox.loading import Requirements
from inferox.loading.cell import Cell
from inferox.loading.conditions import machine_name
from inferox.loading.context import PackageContext
from inferox.loading.loader import Loader
from inferox.loading.plan import make_plan
from inferox.loading.profile import Profile
from inferox.loading.profile_store import FoundProfile
from inferox.package import Package
from inferox.parity import TOLERANCES, ParityClass, SampleBatch, Samples, Tolerance
from inferox.parity.samples import SAMPLES_FILE
from tests.loading.backends import EchoBackend, EchoModel, make_artifact, make_package, use
from tests.package.packages import make_samples
from tests.packing.modules import make_cnn
from tests.packing.test_kinds import TEXTS, save_text_model


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, minilm_directory: Path) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    save_text_model(folder / "source", minilm_directory, "bert", "Model")
    inferox.pack(folder / "source", folder / "package", precisions=("fp32", "bf16"))
    return folder / "package"


def test_the_model_says_what_it_is(package: Path) -> None:
    with inferox.load(package) as model:
        assert isinstance(model.model, Model)
        assert (model.name, model.task.name) == ("source", "embed")
        metadata = model.metadata
        assert (metadata.backend, metadata.format, metadata.precision) == ("torch", "safetensors", Precision.FP32)
        assert model.model.memory_requirements().weights_bytes > 0
        assert model.embed([]).shape == (0, 16)


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> EchoBackend:
    """A backend that replaces all others."""
    backend = EchoBackend("echo")
    use(backend, monkeypatch)
    return backend


def load(package: Package, profile: Profile | None = None) -> inferox.TaskModel:
    loader = Loader(PackageContext(package), None, LoadOptions("p", threads=1, trust_code=True))
    return loader.load(make_plan(package, Requirements(trust_code=True, to_measure=True), FoundProfile(profile)))


def make_profile(cells: Mapping[str, tuple[Cell, ...]]) -> Profile:
    return Profile("0" * 64, machine_name(), 1, "default", {}, "2026", cells)


def test_the_first_that_works_is_taken_and_the_others_are_named(
    echo: EchoBackend, caplog: pytest.LogCaptureFixture
) -> None:
    failing, working = make_artifact("echo", fails=True), make_artifact("echo", precision=Precision.BF16)
    with caplog.at_level(logging.WARNING):
        loaded = load(make_package(working, failing))
    assert loaded.metadata.rejected == {failing.name: "an operator is missing"}
    assert loaded.metadata.precision is Precision.BF16
    assert f"p does not run on {failing.name}: an operator is missing" in caplog.text
    assert [model.metadata.precision for model in echo.models] == [Precision.BF16]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ManifestError("its config is damaged"), "its config is damaged"),
        (ConfigError("no such option"), "no such option"),
        (RequestError("no such input"), "no such input"),
        (KeyError("layers"), "the backend echo failed while loading .*: KeyError: 'layers'"),
        (RuntimeError("first\nsecond"), "the backend echo failed while loading .*: RuntimeError: first"),
        (MemoryError(), "the backend echo does not have enough memory for loading "),
        (OSError(5, "broken disk"), r"the backend echo failed while loading .*: OSError: \[Errno 5\] broken disk"),
    ],
)
def test_after_any_failure_of_an_artifact_the_next_is_tried(echo: EchoBackend, error: Exception, reason: str) -> None:
    failing, working = make_artifact("echo", fails=True), make_artifact("echo", precision=Precision.BF16)
    echo.raises = error
    loaded = load(make_package(failing, working))
    assert loaded.metadata.precision is Precision.BF16
    assert re.match(reason, loaded.metadata.rejected[failing.name])
    with pytest.raises(NoUsableBackendError):
        load(make_package(failing))


def test_a_backend_that_cannot_say_what_it_reads_is_rejected(
    echo: EchoBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def can_load(artifact: Artifact) -> bool:
        if artifact.format == "onnx":
            raise KeyError(artifact.format)
        return True

    monkeypatch.setattr(echo, "can_load", can_load)
    broken, working = make_artifact("echo", "onnx"), make_artifact("echo")
    loaded = load(make_package(broken, working))
    assert (
        "the backend echo failed while being asked whether it reads this format: KeyError: 'onnx'"
        in (loaded.metadata.rejected[broken.name])
    )


def test_one_that_fails_at_a_stored_sample_in_its_own_way_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, echo: EchoBackend
) -> None:
    def compute(model: EchoModel, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        if model.metadata.format == "onnx":
            raise ZeroDivisionError("division by zero")
        return {name: HostTensor(np.asarray(value), "echo") for name, value in inputs.items()}

    monkeypatch.setattr(EchoModel, "_compute", compute)
    broken, other = make_artifact("echo", "onnx"), make_artifact("echo", precision=Precision.BF16)
    loaded = load_measured(tmp_path, make_samples(), broken, other)
    assert "failed while computing 'p': ZeroDivisionError: division by zero" in loaded.metadata.rejected[broken.name]
    assert [model.closed for model in echo.models] == [True, False]


def test_what_is_wrong_with_the_whole_package_stops_it(echo: EchoBackend, tmp_path: Path) -> None:
    (tmp_path / SAMPLES_FILE).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / SAMPLES_FILE).write_bytes(b"damaged")
    first, second = make_artifact("echo"), make_artifact("echo", precision=Precision.BF16)
    with pytest.raises(PackageError) as caught:
        load(make_package(first, second, measured={first.name: ParityClass.CLOSE}, root=tmp_path))
    assert not isinstance(caught.value, NoUsableBackendError)
    assert not echo.models


def test_what_comes_later_is_not_loaded_and_says_so(echo: EchoBackend) -> None:
    full, half = make_artifact("echo"), make_artifact("echo", precision=Precision.FP16)
    loaded = load(make_package(full, half))
    assert len(echo.models) == 1
    assert loaded.metadata.rejected == {
        half.name: "fp32 comes first, as nothing was measured; 'inferox tune' measures whether fp16 is faster here"
    }


@pytest.mark.usefixtures("echo")
def test_nothing_can_be_loaded() -> None:
    failing = make_artifact("echo", fails=True)
    with pytest.raises(NoUsableBackendError) as caught:
        load(make_package(failing))
    assert caught.value.reasons == {failing.name: "an operator is missing"}
    assert isinstance(caught.value.__cause__, LoadError)


def test_a_missing_runtime_is_not_a_warning(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    use(EchoBackend("echo", reason="no runtime"), monkeypatch)
    artifact = make_artifact("echo")
    with caplog.at_level(logging.INFO), pytest.raises(NoUsableBackendError) as caught:
        load(make_package(artifact))
    assert "no runtime" in caught.value.reasons[artifact.name]
    assert [record.levelno for record in caplog.records if "does not run on" in record.message] == [logging.INFO]


@pytest.mark.usefixtures("echo")
def test_a_profile_that_is_ignored_is_named(caplog: pytest.LogCaptureFixture) -> None:
    package = make_package(make_artifact("echo"))
    plan = make_plan(package, Requirements(), FoundProfile(None, "it was measured on another machine"))
    Loader(PackageContext(package), None, LoadOptions("p")).load(plan)
    assert "measurements of p are ignored: it was measured on another machine" in caplog.text


def test_one_artifact_computes_batches_of_every_shape(echo: EchoBackend) -> None:
    """A text's numbers never depend on its batch, and the memory is that of one model."""
    small, large = make_artifact("echo", "onnx"), make_artifact("echo", "openvino-ir")
    cells = {
        small.name: (Cell(1, 1, 1.0), Cell(64, 1, 50.0)),
        large.name: (Cell(1, 1, 3.0), Cell(64, 1, 10.0)),
    }
    loaded = load(make_package(small, large), make_profile(cells))
    assert [model.metadata.format for model in echo.models] == ["openvino-ir"]
    assert loaded.model is echo.models[0]
    assert loaded.metadata.rejected == {small.name: "it was measured slower over calls of all sizes"}
    loaded.close()
    assert echo.models[0].closed


@pytest.mark.usefixtures("echo")
def test_every_reason_is_in_the_log_once(caplog: pytest.LogCaptureFixture) -> None:
    taken, later = make_artifact("echo"), make_artifact("echo", precision=Precision.FP16)
    failing, other = make_artifact("echo", "onnx", fails=True), make_artifact("nowhere")
    with caplog.at_level(logging.INFO, "inferox"):
        load(make_package(failing, taken, later, other))
    assert [(record.levelname, record.message) for record in caplog.records] == [
        (
            "INFO",
            f"p runs on {taken.name}: the first in the default order, as nothing was measured (inferox tune)",
        ),
        ("INFO", f"p does not run on {other.name}: no backend named nowhere is registered"),
        ("WARNING", f"p does not run on {failing.name}: an operator is missing"),
        (
            "INFO",
            (
                f"p does not run on {later.name}: fp32 comes first, as nothing was measured; "
                "'inferox tune' measures whether fp16 is faster here"
            ),
        ),
    ]


def load_measured(
    tmp_path: Path, samples: Samples, *artifacts: Artifact, tolerance: Tolerance = TOLERANCES[ParityClass.CLOSE]
) -> inferox.TaskModel:
    """Loads a package whose first artifact met a tolerance when it was packed."""
    samples.save(tmp_path / SAMPLES_FILE)
    measured = {artifacts[0].name: ParityClass.CLOSE}
    return load(make_package(*artifacts, measured=measured, root=tmp_path, tolerance=tolerance))


@pytest.mark.usefixtures("echo")
def test_one_that_refuses_a_stored_sample_is_rejected(tmp_path: Path) -> None:
    spec = TensorSpec("x", DataType.F32, ("batch", 3))
    strange, other = make_artifact("echo", signature=Signature((spec,), (spec,))), make_artifact("echo", "onnx")
    loaded = load_measured(tmp_path, make_samples(), strange, other)
    assert loaded.metadata.format == "onnx"
    assert "refuses a sample" in loaded.metadata.rejected[strange.name]
    with pytest.raises(NoUsableBackendError) as caught:
        load_measured(tmp_path, make_samples(), strange)
    assert isinstance(caught.value.__cause__, ExecutionError)
    assert isinstance(caught.value.__cause__.__cause__, RequestError)


def test_the_smallest_sample_is_computed(echo: EchoBackend, tmp_path: Path) -> None:
    small, large = np.ones((1, 2), np.float32), np.ones((3, 2), np.float32)
    samples = Samples((SampleBatch({"x": large}, {"x": large}), SampleBatch({"x": small}, {"x": small})))
    load_measured(tmp_path, samples, make_artifact("echo"))
    assert [call["x"].shape for call in echo.models[0].calls] == [(1, 2)]


@pytest.mark.parametrize(("cosine_min", "loads"), [(0.99, True), (0.999, False)])
@pytest.mark.usefixtures("echo")
def test_a_single_row_is_held_to_the_limits_of_the_worst(tmp_path: Path, cosine_min: float, loads: bool) -> None:
    row, turned = np.array([[1.0, 0.0]], np.float32), np.array([[1.0, 0.1]], np.float32)  # their cosine is 0.995
    tolerance = Tolerance(max_rel=None, cosine_mean=0.9999, cosine_min=cosine_min)
    samples, artifact = Samples((SampleBatch({"x": row}, {"x": turned}),)), make_artifact("echo")
    with nullcontext() if loads else pytest.raises(NoUsableBackendError, match="something else"):
        load_measured(tmp_path, samples, artifact, tolerance=tolerance)


def test_one_that_computes_something_else_than_when_it_was_packed_is_rejected(
    echo: EchoBackend, tmp_path: Path
) -> None:
    strayed, unmeasured = make_artifact("echo"), make_artifact("echo", precision=Precision.FP16)
    loaded = load_measured(tmp_path, make_samples(), strayed, unmeasured)  # twice what the backend returns
    assert loaded.metadata.precision is Precision.FP16
    assert "computes something else here than when it was packed" in loaded.metadata.rejected[strayed.name]
    assert [model.closed for model in echo.models] == [True, False]


def test_nothing_is_loaded_where_the_task_does_not_fit(echo: EchoBackend) -> None:
    package = make_package(make_artifact("echo"))
    loader = Loader(PackageContext(package, "embed"), None, LoadOptions("p"))
    with pytest.raises(InferoxError):
        loader.load(make_plan(package, Requirements(), FoundProfile(None)))
    assert not echo.models


def test_a_device_that_is_not_there(package: Path) -> None:
    with pytest.raises(NoUsableBackendError, match="cuda:93") as caught:
        inferox.load(package, device="cuda:93")
    assert isinstance(caught.value.__cause__, BackendUnavailableError)
    with pytest.raises(ConfigError):
        inferox.load(package, device="a b")


def test_lower_precision_is_close(package: Path) -> None:
    with inferox.load(package) as full, inferox.load(package, precision="bf16") as half:
        expected, found = full.embed(TEXTS), half.embed(TEXTS)
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 0.1


def test_a_closed_model_computes_no_more(package: Path) -> None:
    model = inferox.load(package)
    model.close()
    model.close()
    with pytest.raises(ExecutionError, match="closed"):
        model.embed(["x"])


def test_another_task_is_refused(package: Path) -> None:
    with inferox.load(package) as model:
        with pytest.raises(RequestError, match="packed for the task embed, but classify was requested"):
            model.classify(["x"])
        with pytest.raises(RequestError, match="prompt"):
            model.embed(["x"], prompt="nope")


def test_a_task_can_be_overridden(package: Path) -> None:
    with inferox.load(package, task="raw") as model:
        ids = np.array([[101, 7592, 102]])
        inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        assert model.run([inputs])[0]["last_hidden_state"].shape == (1, 3, 16)


def test_code_needs_the_operators_word_even_when_nothing_else_is_there(tmp_path: Path) -> None:
    inferox.pack(make_cnn, tmp_path / "cnn")
    with pytest.raises(UntrustedCodeError, match="trust_code=True"):
        inferox.load(tmp_path / "cnn")
    inferox.load(tmp_path / "cnn", trust_code=True).close()


@pytest.mark.parametrize(("backend", "prefix"), [("candle", ""), ("candle", "bert."), ("tch", "bert."), ("torch", "")])
def test_a_package_in_the_rust_layout(tmp_path: Path, minilm_directory: Path, backend: str, prefix: str) -> None:
    """Made by hand: format 1, with the weight names of older checkpoints, and a library that must stay untouched."""
    model: Any = save_text_model(tmp_path / "source", minilm_directory, "bert", "Model")
    folder = tmp_path / "rust" / "backends" / backend
    folder.mkdir(parents=True)
    old = {
        prefix + name.replace("LayerNorm.weight", "LayerNorm.gamma"): value
        for name, value in model.state_dict().items()
    }
    save_file(old, folder / "model.safetensors")
    shutil.copyfile(tmp_path / "source" / "config.json", folder / "config.json")
    shutil.copyfile(tmp_path / "source" / "tokenizer.json", folder / "tokenizer.json")
    (folder / "libmodel.so").write_bytes(b"\x7fELF never loaded")
    metadata = {
        "version": "1.0",
        "name": "bert",
        "repo_id": "a/b",
        "revision": "main",
        "files": [],
        "created_at": "2025",
    }
    info = {
        "model_type": "bert",
        "repo_id": "a/b",
        "architecture_family": "EncoderOnly",
        "supported_backends": [backend.capitalize()],
        "hidden_size": 16,
        "num_layers": 2,
        "vocab_size": model.config.vocab_size,
    }
    (tmp_path / "rust" / "metadata.json").write_text(json.dumps(metadata))
    (tmp_path / "rust" / "model_info.json").write_text(json.dumps(info))
    inferox.pack(tmp_path / "source", tmp_path / "package")
    with inferox.load(tmp_path / "rust") as old_format, inferox.load(tmp_path / "package") as new_format:
        np.testing.assert_allclose(old_format.embed(TEXTS), new_format.embed(TEXTS), atol=1e-6)
    assert torch.is_inference_mode_enabled() is False
