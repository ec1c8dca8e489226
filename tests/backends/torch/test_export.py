from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.export import Dim

from inferox.backends.torch.export import TorchExporter
from inferox.core import (
    BATCH,
    CONFIG_FILE,
    WEIGHTS_FILE,
    Artifact,
    BackendUnavailableError,
    ExportRequest,
    Layout,
    LoadError,
    Precision,
    SourceModel,
    TrustTier,
    packed_signature,
)
from inferox.sources.huggingface import open_huggingface
from inferox.sources.program import open_program
from inferox.sources.python import open_factory
from tests.backends.torch.artifacts import AFFINE_SIGNATURE, affine_inputs, affine_output, load, make_affine, run
from tests.packing.modules import Branching, Counting, Halving, Overwriting, make_cnn, make_lstm, make_tied
from tests.sources.checkpoints import make_model, make_texts, save_model

Inputs = Mapping[str, npt.NDArray[Any]]


def from_module(module: torch.nn.Module, inputs: Mapping[str, Any], **dims: Any) -> SourceModel:
    return open_factory(lambda: (module, inputs), samples=None, dims=dims or None)


def export(source: SourceModel, root: Path, precision: Precision = Precision.FP32) -> Artifact:
    (root / WEIGHTS_FILE).parent.mkdir(parents=True)
    source.save_weights(root / WEIGHTS_FILE)
    return TorchExporter().export(source, root, ask(source, precision))


def ask(source: SourceModel, precision: Precision = Precision.FP32, layout: Layout = Layout.PADDED) -> ExportRequest:
    signature = source.signature if layout is Layout.PADDED else packed_signature(source.signature)
    return ExportRequest(precision, layout, signature)


def with_rows(inputs: Mapping[str, Any], rows: int) -> dict[str, npt.NDArray[Any]]:
    return {name: np.resize(np.asarray(value), (rows, *np.shape(value)[1:])) for name, value in inputs.items()}


def assert_agrees(artifact: Artifact, source: SourceModel, inputs: Inputs) -> None:
    found, expected = run(load(artifact), inputs), source.compute(inputs)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)


@pytest.fixture
def checkpoint(tmp_path: Path) -> SourceModel:
    return open_huggingface(save_model(make_model("bert", "Model"), tmp_path / "bert"), task=None)


@pytest.mark.parametrize("precision", Precision)
def test_a_checkpoint_needs_no_file_of_its_own(checkpoint: SourceModel, tmp_path: Path, precision: Precision) -> None:
    artifact = export(checkpoint, tmp_path / "package", precision)
    assert (artifact.backend, artifact.format, artifact.precision) == ("torch", "safetensors", precision)
    assert artifact.trust_tier is TrustTier.DATA
    assert dict(artifact.files) == {"config": CONFIG_FILE, "weights": WEIGHTS_FILE}
    assert dict(artifact.options) == {"architecture": "BertModel"}
    assert artifact.signature == checkpoint.signature
    assert [path.name for path in (tmp_path / "package").rglob("*") if path.is_file()] == ["model.safetensors"]


def test_what_quantises_must_be_installed(
    checkpoint: SourceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("torchao", "torchao.quantization"):
        monkeypatch.setitem(sys.modules, name, None)
    for layout in Layout:
        with pytest.raises(BackendUnavailableError, match=r"quantise to int8 here: .*not installed.*torch-int8"):
            TorchExporter().export(checkpoint, tmp_path / "package", ask(checkpoint, Precision.INT8, layout))
    assert not (tmp_path / "package").exists()
    assert TorchExporter().export(checkpoint, tmp_path / "package", ask(checkpoint)).precision is Precision.FP32


def test_a_packed_artifact_of_a_checkpoint(checkpoint: SourceModel, tmp_path: Path) -> None:
    artifact = TorchExporter().export(checkpoint, tmp_path / "package", ask(checkpoint, layout=Layout.PACKED))
    assert artifact.name == "torch/safetensors/fp32/packed"
    assert artifact.signature == packed_signature(checkpoint.signature)
    assert dict(artifact.files) == {"config": CONFIG_FILE, "weights": WEIGHTS_FILE}
    assert not (tmp_path / "package").exists()


def test_asking_for_a_packed_artifact_leaves_the_source_as_it_was(checkpoint: SourceModel, tmp_path: Path) -> None:
    inputs = make_texts(checkpoint.signature.input_names)
    before = checkpoint.compute(inputs)
    TorchExporter().export(checkpoint, tmp_path, ask(checkpoint, layout=Layout.PACKED))
    for name, value in checkpoint.compute(inputs).items():
        np.testing.assert_array_equal(value, before[name])


def test_a_checkpoint_that_cannot_be_packed(tmp_path: Path) -> None:
    source = open_huggingface(save_model(make_model("mpnet", "Model"), tmp_path / "mpnet"), task=None)
    with pytest.raises(LoadError, match="the attention of a MPNetModel cannot be replaced"):
        TorchExporter().export(source, tmp_path, ask(source, layout=Layout.PACKED))


@pytest.mark.parametrize("precision", [Precision.BF16, Precision.FP16, Precision.INT8])
def test_programs_compute_as_they_were_captured(tmp_path: Path, precision: Precision) -> None:
    source = from_module(*make_cnn())
    with pytest.raises(LoadError, match="a python program runs as it was captured, in fp32 and padded"):
        TorchExporter().export(source, tmp_path, ask(source, precision))
    with pytest.raises(LoadError, match="a python program runs as it was captured, in fp32 and padded"):
        TorchExporter().export(source, tmp_path, ExportRequest(Precision.FP32, Layout.PACKED, source.signature))
    assert list(tmp_path.iterdir()) == []


def test_torchscript_is_copied(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(make_affine()), tmp_path / "affine.pt")
    inputs = affine_inputs()
    np.savez(tmp_path / "inputs.npz", x=inputs["x"], scale=inputs["scale"])
    source = open_program(tmp_path / "affine.pt", samples=tmp_path / "inputs.npz", dims=None, trust_code=True)
    artifact = export(source, tmp_path / "package")
    assert (artifact.format, dict(artifact.files)) == ("torchscript", {"program": "backends/torch/model.pt"})
    assert artifact.path("program").read_bytes() == (tmp_path / "affine.pt").read_bytes()
    assert_agrees(artifact, source, affine_inputs(5))


@pytest.mark.parametrize("make", [make_cnn, make_tied])
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_module_is_captured_without_its_weights(make: Any, rows: int, tmp_path: Path) -> None:
    module, inputs = make()
    source = from_module(module, inputs)
    artifact = export(source, tmp_path)
    assert artifact.format == "torch-export"
    assert artifact.trust_tier is TrustTier.CODE
    assert dict(artifact.files) == {"program": "backends/torch/model.pt2", "weights": WEIGHTS_FILE}
    assert artifact.signature == source.signature
    assert_agrees(artifact, source, with_rows(inputs, rows))


def test_every_named_dim_is_free(tmp_path: Path) -> None:
    module, inputs = make_tied()
    source = from_module(module, inputs, tokens=(BATCH, "seq"))
    artifact = export(source, tmp_path)
    assert artifact.signature.inputs[0].dims == (BATCH, "seq")
    for rows, length in ((1, 1), (1, 9), (4, 2)):
        tokens = np.arange(rows * length).reshape(rows, length) % 20
        assert_agrees(artifact, source, {"tokens": tokens, "scale": np.ones(rows, np.float32)})


def test_a_dim_that_the_capture_fixes_is_fixed_in_the_signature(tmp_path: Path) -> None:
    module, inputs = make_lstm()
    source = from_module(module, inputs, steps=(BATCH, "seq", 4))
    assert source.signature.inputs[0].dims == (BATCH, "seq", 4)
    artifact = export(source, tmp_path)
    assert artifact.signature.inputs[0].dims == (BATCH, 7, 4)
    assert {spec.name: spec.dims for spec in artifact.signature.outputs}["states"] == (BATCH, 7, 12)
    for rows in (1, 3):
        assert_agrees(artifact, source, {"steps": np.random.default_rng(rows).random((rows, 7, 4), np.float32)})


class Constants(torch.nn.Module):
    """Constants outside any state dict: in the code, in an attribute, and in a buffer that is not persistent."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4))
        self.running = torch.nn.Buffer(torch.randn(4))
        self.fixed = torch.nn.Buffer(torch.randn(4), persistent=False)
        self.plain = torch.randn(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.weight + self.running + self.fixed + self.plain + torch.tensor([1.0, 2.0, 3.0, 4.0])


def test_constants_survive(tmp_path: Path) -> None:
    torch.manual_seed(0)
    source = from_module(Constants(), {"x": np.ones((2, 4), np.float32)})
    artifact = export(source, tmp_path)
    assert set(load_file(tmp_path / WEIGHTS_FILE)) == {"weight", "running"}
    assert_agrees(artifact, source, {"x": np.random.default_rng(0).random((3, 4), np.float32)})


class Sparing(torch.nn.Module):
    """Returns something beside tensors, and no number for some of its rows."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor | None]:
        return {"root": x.sqrt(), "nothing": None}


def test_outputs_without_a_value_or_a_number(tmp_path: Path) -> None:
    source = from_module(Sparing(), {"x": np.array([[-1, 4], [1, 9]], np.float32)})
    artifact = export(source, tmp_path)
    assert artifact.signature.output_names == ("root",)
    assert_agrees(artifact, source, {"x": np.array([[-4, 9]], np.float32)})


class Doubling(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 2


def test_a_module_without_weights(tmp_path: Path) -> None:
    source = from_module(Doubling(), {"x": np.ones((2, 4), np.float32)})
    artifact = export(source, tmp_path)
    assert "weights" not in artifact.files
    assert_agrees(artifact, source, {"x": np.ones((3, 4), np.float32)})


class Unrolled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[row] * row for row in range(x.shape[0])])


class SingleRows(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 3 if x.shape[0] == 1 else x * 2


@pytest.mark.parametrize("module", [Unrolled(), SingleRows()])
def test_code_that_depends_on_the_number_of_rows(module: torch.nn.Module, tmp_path: Path) -> None:
    source = from_module(module, {"x": np.ones((2, 4), np.float32)})
    with pytest.raises(LoadError, match=r"captured for 2 rows, and fails for (1|3) .*every row alike"):
        export(source, tmp_path)


@pytest.mark.parametrize(
    ("module", "code"), [(Branching(), r"if x\.sum\(\) > 0:"), (Halving(), r"while x\.abs\(\)\.max\(\) > 1:")]
)
def test_code_that_decides_by_values_is_named_with_what_to_do(
    tmp_path: Path, module: torch.nn.Module, code: str
) -> None:
    source = from_module(module, {"x": np.ones((2, 4), np.float32)})
    text = rf"decides by the values of tensors, .*: line \d+ of .*modules\.py, {code} .*torch\.where"
    with pytest.raises(LoadError, match=text) as caught:
        export(source, tmp_path)
    assert "\n" not in str(caught.value)


class Chunked(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([part * 2 for part in x.split(8)]) if x.shape[0] > 8 else x * 2


def test_a_branch_for_many_rows_is_not_forgotten(tmp_path: Path) -> None:
    source = from_module(Chunked(), {"x": np.ones((2, 4), np.float32)})
    with pytest.raises(LoadError, match="captured for 2 rows, and fails for more than 8"):
        export(source, tmp_path)


@pytest.mark.parametrize("module", [Counting(), Overwriting()])
def test_code_that_changes_something_between_calls(module: torch.nn.Module, tmp_path: Path) -> None:
    source = from_module(module, {"x": np.ones((2, 4), np.float32)})
    with pytest.raises(LoadError, match="change neither its inputs nor itself"):
        export(source, tmp_path)


class Dropping(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(x)  # whose default is training, whatever the module's mode


def test_code_that_draws_random_numbers(tmp_path: Path) -> None:
    source = from_module(Dropping(), {"x": np.ones((2, 64), np.float32)})
    with pytest.raises(LoadError, match="draw no random numbers, as dropout does"):
        export(source, tmp_path)


def test_an_example_of_one_row_and_one_step_leaves_both_free(tmp_path: Path) -> None:
    source = from_module(Doubling(), {"x": np.ones((1, 1, 4), np.float32)}, x=(BATCH, "seq", 4))
    artifact = export(source, tmp_path)
    assert artifact.signature.inputs[0].dims == (BATCH, "seq", 4)
    for rows, length in ((1, 1), (3, 5), (1, 6)):
        assert_agrees(artifact, source, {"x": np.random.default_rng(0).random((rows, length, 4), np.float32)})


def exported_source(root: Path, **options: Any) -> SourceModel:
    examples = {name: torch.from_numpy(value) for name, value in affine_inputs().items()}
    program = torch.export.export(make_affine(), (), examples, **options)
    torch.export.save(program, root / "affine.pt2")
    return open_program(root / "affine.pt2", samples=None, dims=None, trust_code=True)


def test_a_program_of_the_users_is_stripped(tmp_path: Path) -> None:
    source = exported_source(tmp_path, dynamic_shapes={"x": {0: Dim.AUTO}, "scale": {0: Dim.AUTO}})
    artifact = export(source, tmp_path / "package")
    assert dict(artifact.files) == {"program": "backends/torch/model.pt2", "weights": WEIGHTS_FILE}
    np.testing.assert_allclose(run(load(artifact), affine_inputs(5))["output"], affine_output(5), atol=1e-6)


@pytest.mark.parametrize("weights", [None, {"linear.weight": torch.zeros(3, 4)}, {"other": torch.zeros(2)}])
def test_a_program_that_its_weights_do_not_fit_is_kept_as_it_is(
    weights: dict[str, torch.Tensor] | None, tmp_path: Path
) -> None:
    source = exported_source(tmp_path, dynamic_shapes={"x": {0: Dim.AUTO}, "scale": {0: Dim.AUTO}})
    (tmp_path / "package" / "weights").mkdir(parents=True)
    if weights is not None:
        save_file(weights, tmp_path / "package" / WEIGHTS_FILE)
    artifact = TorchExporter().export(source, tmp_path / "package", ask(source))
    assert dict(artifact.files) == {"program": "backends/torch/model.pt2"}
    assert artifact.path("program").read_bytes() == (tmp_path / "affine.pt2").read_bytes()
    np.testing.assert_allclose(run(load(artifact), affine_inputs(5))["output"], affine_output(5), atol=1e-6)


def test_a_program_for_one_number_of_rows(tmp_path: Path) -> None:
    known = exported_source(tmp_path)
    assert known.signature.inputs[0].dims == (2, 4)
    source = Without(known)
    source.signature = AFFINE_SIGNATURE
    with pytest.raises(LoadError, match="takes 2 rows, and no other number"):
        TorchExporter().export(source, tmp_path, ask(source))


class Without(SourceModel):
    """A source that only has its facts."""

    module = signature = num_parameters = compute = save_weights = facts = None  # type: ignore[assignment]
    example_inputs = None

    def __init__(self, known: SourceModel, **facts: Any) -> None:
        self.facts = replace(known.facts, **facts)
        self.signature = known.signature


def test_sources_that_lack_what_their_kind_needs(tmp_path: Path) -> None:
    known = from_module(*make_cnn())
    with pytest.raises(LoadError, match="no example inputs"):
        TorchExporter().export(Without(known), tmp_path, ask(known))
    with pytest.raises(LoadError, match="TorchScript without a file"):
        TorchExporter().export(Without(known, kind="torchscript"), tmp_path, ask(known))
