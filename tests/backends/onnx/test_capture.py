"""A captured graph takes every input that its signature allows: a program that only fits the example is found out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from inferox.backends.onnx.graph import write_graph
from inferox.backends.onnxruntime import OnnxRuntimeBackend
from inferox.backends.onnxruntime.export import OnnxExporter
from inferox.core import (
    BATCH,
    Artifact,
    ExportRequest,
    Layout,
    LoadError,
    LoadOptions,
    Precision,
    ShapeMismatchError,
    SourceModel,
)
from inferox.sources.python import open_factory
from tests.packing.modules import Branching, Counting, Halving, Overwriting, make_lstm, make_stepping


class Crowded(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0.5 if x.shape[0] > 64 else x


class Lengthy(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0.5 if x.shape[1] > 64 else x


class Positioned(torch.nn.Module):
    """Has positions for a number of steps, and takes no more."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = torch.nn.Parameter(torch.randn(64, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.positions.narrow(0, 0, x.shape[1])


class Alone(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 3 if x.shape[0] == 1 else x * 2


class Unrolled(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([x[row] * row for row in range(x.shape[0])])


def open_module(module: torch.nn.Module, inputs: Mapping[str, Any], **dims: Any) -> SourceModel:
    return open_factory(lambda: (module, inputs), samples=None, dims=dims or None)


def export(source: SourceModel, root: Path) -> Artifact:
    return OnnxExporter().export(source, root, ExportRequest(Precision.FP32, Layout.PADDED, source.signature))


def run(artifact: Artifact, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    with OnnxRuntimeBackend().load(artifact, None, LoadOptions("p")) as model:
        return {name: value.numpy() for name, value in model.forward(inputs).items()}


def assert_agrees(artifact: Artifact, source: SourceModel, shape: tuple[int, ...]) -> None:
    (name,) = source.signature.input_names
    inputs = {name: np.random.default_rng(0).standard_normal(shape).astype(np.float32)}
    found = run(artifact, inputs)
    for output, expected in source.compute(inputs).items():
        np.testing.assert_allclose(found[output], expected, atol=1e-5)


@pytest.mark.parametrize("steps", [3, 1])
def test_a_loop_over_a_dim_fixes_it(tmp_path: Path, steps: int) -> None:
    source = open_module(*make_stepping(steps), x=(BATCH, "steps", 4))
    artifact = export(source, tmp_path)
    captured = max(steps, 2)  # the exporter treats a 1 as a fixed extent
    assert artifact.signature.inputs[0].dims == (BATCH, captured, 4)
    for rows in (1, 2, 5):
        assert_agrees(artifact, source, (rows, captured, 4))
    with pytest.raises(ShapeMismatchError, match=rf"\[batch, {captured}, 4\]"):
        run(artifact, {"x": np.ones((2, captured + 2, 4), np.float32)})


def test_what_is_fixed_stands_in_the_graph_and_is_read_again_from_it(tmp_path: Path) -> None:
    source = open_module(*make_stepping(), x=(BATCH, "steps", 4))
    request = ExportRequest(Precision.FP32, Layout.PADDED, source.signature)
    captured = write_graph(source, tmp_path, request)
    rows, steps, width = onnx.load(tmp_path / "model.onnx").graph.input[0].type.tensor_type.shape.dim
    assert (rows.HasField("dim_value"), steps.dim_value, width.dim_value) == (False, 3, 4)
    assert write_graph(source, tmp_path, request) == captured


def test_a_recurrent_network_takes_every_length(tmp_path: Path) -> None:
    source = open_module(*make_lstm(), steps=(BATCH, "seq", 4))
    artifact = export(source, tmp_path)
    assert artifact.signature.inputs[0].dims == (BATCH, "seq", 4)
    for rows, length in ((1, 7), (3, 1), (2, 12)):
        assert_agrees(artifact, source, (rows, length, 4))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (Crowded(), "captured for 2 rows, and fails for more than 64"),
        (Alone(), "captured for 2 rows, and fails for 1"),
        (Unrolled(), "captured for 2 rows, and fails for 1"),
        (Counting(), "captured for 2 rows, and fails for 1"),
    ],
)
def test_code_that_depends_on_the_number_of_rows_is_refused(tmp_path: Path, module: torch.nn.Module, text: str) -> None:
    source = open_module(module, {"x": torch.randn(3, 4)})
    with pytest.raises(LoadError, match=f"{text} .*every row alike"):
        export(source, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "code"), [(Branching(), r"if x\.sum\(\) > 0:"), (Halving(), r"while x\.abs\(\)\.max\(\) > 1:")]
)
def test_code_that_decides_by_values_is_named_with_what_to_do(
    tmp_path: Path, module: torch.nn.Module, code: str
) -> None:
    source = open_module(module, {"x": torch.randn(3, 4)})
    text = rf"decides by the values of tensors, .*: line \d+ of .*modules\.py, {code} .*torch\.where"
    with pytest.raises(LoadError, match=text):
        export(source, tmp_path)


def test_a_branch_for_long_rows_is_not_forgotten(tmp_path: Path) -> None:
    source = open_module(Lengthy(), {"x": torch.randn(2, 3, 4)}, x=(BATCH, "steps", 4))
    with pytest.raises(LoadError, match=r"captured for 3 steps, and fails for more than 64 .*state a fixed number"):
        export(source, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_limit_of_the_models_own_is_none_of_the_capture(tmp_path: Path) -> None:
    source = open_module(Positioned(), {"x": torch.randn(2, 3, 4)}, x=(BATCH, "steps", 4))
    artifact = export(source, tmp_path)
    assert artifact.signature.inputs[0].dims == (BATCH, "steps", 4)
    for length in (1, 64):
        assert_agrees(artifact, source, (2, length, 4))


def test_code_that_writes_to_its_input_leaves_the_callers_as_it_was(tmp_path: Path) -> None:
    source = open_module(Overwriting(), {"x": torch.zeros(3, 4)})
    artifact = export(source, tmp_path)
    given = np.ones((5, 4), np.float32)
    np.testing.assert_array_equal(run(artifact, {"x": given})["output"], 2)
    np.testing.assert_array_equal(given, 1)
