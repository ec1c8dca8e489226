"""Lower precisions: admitted if they agree, left out with the figures if they do not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import inferox
from inferox.core import CONFIG_FILE, WEIGHTS_FILE, ConfigError, PackageError, Precision
from inferox.measuring import verify
from inferox.parity import ParityClass, Tolerance
from tests.packing.modules import make_cnn
from tests.packing.test_kinds import save_text_model

UNSEEN = [
    "The mayor opened the new swimming pool on Saturday.",
    "How long does it take to boil an egg at high altitude?",
    "Quarterly revenue fell short of what analysts had expected.",
    "ein Satz, den niemand vorher gesehen hat",
    "x",
    "the cat sat on the mat " * 30,
]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, minilm_directory: Path) -> Path:
    """The folder of a small text model, for tests that do not depend on the weights."""
    folder = tmp_path_factory.mktemp("small") / "bert"
    save_text_model(folder, minilm_directory, "bert", "Model")
    return folder


@pytest.fixture(scope="module", params=["one layer", pytest.param("all layers", marks=pytest.mark.slow)])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, minilm_directory: Path) -> Path:
    """MiniLM, whose weights are trained; usually only its first layer, as each takes seconds in each layout."""
    if request.param == "all layers":
        return minilm_directory
    folder = tmp_path_factory.mktemp("trained") / "minilm"
    shutil.copytree(minilm_directory, folder, ignore=shutil.ignore_patterns("model.safetensors"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}), encoding="utf-8")
    weights = load_file(minilm_directory / "model.safetensors")
    kept = {name: each for name, each in weights.items() if not re.search(r"layer\.[1-5]\.", name)}
    save_file(kept, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> tuple[Path, inferox.PackReport]:
    """MiniLM in int8, for the two runtimes that quantise."""
    path = tmp_path_factory.mktemp("int8") / "minilm"
    return path, inferox.pack(trained, path, backends=("openvino", "onnxruntime"), precisions=("fp32", "int8"))


def test_openvino_keeps_its_tolerance_on_texts_that_it_was_not_calibrated_on(
    quantized: tuple[Path, inferox.PackReport],
) -> None:
    path, report = quantized
    found = {item.artifact: item for item in report.evidence}["openvino/openvino-ir/int8/packed"]
    assert found.parity_class is ParityClass.QUANTIZED
    with inferox.load(path, precision="fp32") as exact, inferox.load(path, precision="int8") as model:
        assert model.metadata.precision.value == "int8"
        expected, vectors = exact.embed(UNSEEN), model.embed(UNSEEN)
    cosines = (expected * vectors).sum(axis=1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(vectors, axis=1)
    assert cosines.mean() >= 0.995
    assert cosines.min() >= 0.98
    assert np.abs(expected - vectors).max() > 1e-4  # it is another computation


@pytest.fixture(scope="module")
def int8_pytorch(tmp_path_factory: pytest.TempPathFactory, trained: Path) -> tuple[Path, inferox.PackReport]:
    """MiniLM for PyTorch, in fp32 and in int8."""
    path = tmp_path_factory.mktemp("torch") / "minilm"
    return path, inferox.pack(trained, path, backends=("torch",), precisions=("fp32", "int8"))


def test_pytorch_keeps_its_tolerance_in_both_layouts(int8_pytorch: tuple[Path, inferox.PackReport]) -> None:
    path, report = int8_pytorch
    found = {item.artifact: item.parity_class for item in report.evidence if "int8" in item.artifact}
    assert found == {
        "torch/safetensors/int8/packed": ParityClass.QUANTIZED,
        "torch/safetensors/int8/padded": ParityClass.QUANTIZED,
    }
    assert not report.refused
    # What was quantised did not compute the reference, although its runtime did.
    assert [item.artifact for item in report.evidence if item.is_reference] == ["torch/safetensors/fp32/padded"]
    with inferox.load(path) as exact, inferox.load(path, precision="int8") as model:
        assert exact.metadata.precision is Precision.FP32
        assert model.metadata.precision is Precision.INT8
        expected, vectors = exact.embed(UNSEEN), model.embed(UNSEEN)
    cosines = (expected * vectors).sum(axis=1) / np.linalg.norm(expected, axis=1) / np.linalg.norm(vectors, axis=1)
    assert cosines.mean() >= 0.998
    assert cosines.min() >= 0.99
    assert np.abs(expected - vectors).max() > 1e-4  # it is another computation


def test_int8_of_pytorch_is_made_from_the_one_weights_file(
    int8_pytorch: tuple[Path, inferox.PackReport],
) -> None:
    path, _ = int8_pytorch
    assert {tuple(item.files.values()) for item in inferox.open_package(path).artifacts} == {
        (CONFIG_FILE, WEIGHTS_FILE)
    }
    assert not (path / "backends").exists()
    assert [file.name for file in (path / "weights").iterdir()] == ["model.safetensors"]


def test_int8_of_pytorch_is_verified(int8_pytorch: tuple[Path, inferox.PackReport]) -> None:
    path, report = int8_pytorch
    again = verify(path, precision="int8")
    assert again.passed
    assert len(again.evidence) == 2
    packed = {item.artifact: item.agreement.cosine_min for item in report.evidence}
    for item in again.evidence:
        assert item.agreement.cosine_min == pytest.approx(packed[item.artifact], abs=1e-4)


def test_without_torchao_pack_says_what_to_install(
    tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torchao", "torchao.quantization"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PackageError, match=r"int8 here: torchao\S* is not installed.*inferox\[torch-int8\]"):
        inferox.pack(small, tmp_path / "p", backends=("torch",), precisions=("int8",))
    assert not (tmp_path / "p").exists()


@pytest.mark.slow  # test_public_surface.py checks the same for fp32 with three runtimes
def test_packing_and_running_print_nothing(tmp_path: Path, small: Path) -> None:
    script = f"""
import inferox
from inferox.parity import Tolerance
anything = Tolerance(max_rel=None, cosine_mean=0.0, cosine_min=-1.0)
precisions = ("fp32", "int8")
inferox.pack({str(small)!r}, {str(tmp_path / "p")!r}, backends=("torch",), precisions=precisions, tolerance=anything)
inferox.load({str(tmp_path / "p")!r}, precision="int8").embed(["a"])
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 - our own lines
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_onnx_runtime_keeps_its_tolerance_with_a_scale_for_each_block(
    quantized: tuple[Path, inferox.PackReport],
) -> None:
    path, report = quantized
    assert not report.refused
    found = {item.artifact: item for item in report.evidence}["onnxruntime/onnx/int8/packed"]
    assert found.parity_class is ParityClass.QUANTIZED
    own = path / "backends" / "onnxruntime" / "int8-packed.onnx"
    assert own.stat().st_size < (path / WEIGHTS_FILE).stat().st_size * 0.3
    assert not list(path.rglob("*.folded.onnx"))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_an_int8_vector_is_the_same_alone_and_beside_any_others(
    quantized: tuple[Path, inferox.PackReport], backend: str
) -> None:
    path, report = quantized
    evidence = [item for item in report.evidence if item.artifact.startswith(backend)]
    assert all(item.batch is not None and item.batch.holds for item in evidence)
    mates = ["quantum Monday river " * 70, "[MASK] [SEP] " * 20, "unaffable ##ly 🙂 \u0e01\u0e32\u0e23"]
    with inferox.load(path, backend=backend, precision="int8") as model:
        alone = np.concatenate([model.embed([text]) for text in UNSEEN])
        together = model.embed([*UNSEEN, *mates])[: len(UNSEEN)]
    assert (alone * together).sum(axis=1) / np.linalg.norm(alone, axis=1) / np.linalg.norm(together, axis=1) == (
        pytest.approx(np.ones(len(UNSEEN)), abs=1e-4)
    )


def make_mlp() -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
    """Layers over rows without a length, which become Gemm nodes."""
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(48, 64), torch.nn.ReLU(), torch.nn.Linear(64, 40))
    return layers, {"input": np.random.default_rng(0).standard_normal((2, 48)).astype(np.float32)}


def test_products_with_a_bias_are_quantised_too(tmp_path: Path) -> None:
    report = inferox.pack(make_mlp, tmp_path / "p", backends=("onnxruntime",), precisions=("int8",))
    (evidence,) = report.evidence
    assert 1e-4 < evidence.agreement.max_rel < 0.1  # it is another computation, and a good one
    assert evidence.batch is not None
    assert evidence.batch.holds


@pytest.mark.slow  # as above
def test_quantising_leaves_the_log_as_it_was(tmp_path: Path) -> None:
    script = f"""
import logging
import inferox
from tests.packing.test_precisions import make_mlp
inferox.pack(make_mlp, {str(tmp_path / "p")!r}, backends=("onnxruntime",), precisions=("int8",))
assert logging.getLogger().handlers == [] and logging.getLogger().level == logging.WARNING
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # noqa: S603 - our own lines
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_quality_decides_whether_int8_will_do(quantized: tuple[Path, inferox.PackReport]) -> None:
    path, _ = quantized
    with inferox.load(path) as model:
        assert model.metadata.precision.value == "fp32"
        assert "quality" in model.metadata.rejected["openvino/openvino-ir/int8/packed"]
    with pytest.raises(ConfigError, match="there is no quality 'best'"):
        inferox.load(path, quality="best")
    with pytest.raises(inferox.InferoxError, match="exact is required"):
        inferox.load(path, precision="int8", quality="exact")


def test_calibration_on_texts_of_ones_own(tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nncf

    watched: list[np.ndarray] = []

    class Watched(nncf.Dataset):  # type: ignore[misc]
        def __init__(self, calls: list[dict[str, np.ndarray]]) -> None:
            watched.extend(call["input_ids"] for call in calls)
            super().__init__(calls)

    monkeypatch.setattr(nncf, "Dataset", Watched)
    texts = tmp_path / "texts.txt"
    texts.write_text("".join(f"{text}\n\n" for text in UNSEEN[:3]), encoding="utf-8")
    settings: dict[str, Any] = {"backends": ("openvino",), "precisions": ("int8",), "calibration": str(texts)}
    anything = Tolerance(max_rel=None, cosine_mean=0.0, cosine_min=-1.0)  # the weights are random
    report = inferox.pack(small, tmp_path / "package", tolerance=anything, **settings)
    assert [item.artifact for item in report.evidence] == ["openvino/openvino-ir/int8/packed"]
    assert report.notes[0] == "the calibration had only 3 texts: give 64 or more different texts"
    with inferox.load(tmp_path / "package", precision="int8") as model:
        assert model.embed(["a text"]).shape == (1, 16)
        tokens = model.task.encode(UNSEEN[:3]).ragged["input_ids"]
    np.testing.assert_array_equal(np.sort(np.concatenate(watched, axis=None)), np.sort(tokens))


@pytest.mark.parametrize("content", ["", "\n \n\t\n"])
def test_a_calibration_file_without_text(tmp_path: Path, small: Path, content: str) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text(content)
    with pytest.raises(PackageError, match="holds no text"):
        inferox.pack(small, tmp_path / "p", backends=("openvino",), precisions=("int8",), calibration=texts)
    assert not (tmp_path / "p").exists()


def test_calibration_files_that_cannot_be_read(tmp_path: Path, small: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    for file in (binary, tmp_path / "missing", tmp_path):
        with pytest.raises(PackageError, match="cannot be read"):
            inferox.pack(small, tmp_path / "p", backends=("openvino",), precisions=("int8",), calibration=file)
    with pytest.raises(ConfigError, match="not calibrated on a file of texts"):
        inferox.pack(make_cnn, tmp_path / "p", backends=("openvino",), precisions=("int8",), calibration=binary)


def test_a_module_is_calibrated_on_variations_of_its_examples(tmp_path: Path) -> None:
    report = inferox.pack(make_cnn, tmp_path / "cnn", backends=("openvino",), precisions=("fp32", "int8"))
    exact, quantized = report.evidence
    assert (exact.artifact, exact.parity_class) == ("openvino/onnx/fp32/padded", ParityClass.EXACT)
    assert quantized.artifact == "openvino/openvino-ir/int8/padded"
    assert 1e-4 < quantized.agreement.max_rel < 0.1  # it is another computation, and a good one


def test_strict_keeps_nothing_where_one_is_left_out(tmp_path: Path, small: Path) -> None:
    with pytest.raises(PackageError, match="could be made: candle/int8/padded: candle computes in"):
        inferox.pack(small, tmp_path / "p", backends=("candle",), precisions=("fp32", "int8"), strict=True)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("option", ["backends", "precisions"])
def test_a_single_text_in_place_of_names_is_refused(option: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{option} must be a list of names, but is 'a,b' \(give \['a', 'b'\]\)"):
        inferox.pack(make_mlp, tmp_path / "p", **{option: "a,b"})  # type: ignore[arg-type]
