"""Dims keep the names that a graph gives them; those without a name each get one of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from inferox.core import Dim, PackageError
from inferox.sources import open_source
from inferox.sources.graph_dims import name_dims
from tests.sources.test_onnx_traits import floats, make

F = TensorProto.FLOAT
Shapes = Mapping[str, Sequence[Dim | None]]


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ({"x": ["atoms", 3], "pairs": ["bonds", 2]}, {"x": ("atoms", 3), "pairs": ("bonds", 2)}),
        ({"x": ["?", "?"], "y": [None, ""]}, {"x": ("x_0", "x_1"), "y": ("y_0", "y_1")}),
        ({"x": ["batch_size", 4], "h": [2, "batch_size", 8]}, {"x": ("batch", 4), "h": (2, "batch", 8)}),
        ({"x": ["N", 3, "H", "W"]}, {"x": ("batch", 3, "H", "W")}),
        ({"x": ["batch_a", 4], "y": ["batch_b", 4]}, {"x": ("batch_a", 4), "y": ("batch_b", 4)}),
        (
            {"input_ids": ["b", "len"], "position_ids": ["b", "len"], "past": ["b", 4, "old"]},
            {"input_ids": ("batch", "seq"), "position_ids": ("batch", "seq"), "past": ("batch", 4, "old")},
        ),
        ({"input_ids": [None, None], "scale": []}, {"input_ids": ("batch", "seq"), "scale": ()}),
    ],
)
def test_names(shapes: Shapes, expected: dict[str, tuple[Dim, ...]]) -> None:
    assert name_dims(shapes, None) == expected


def dims_of(path: Path, **arrays: Any) -> dict[str, tuple[Dim, ...]]:
    samples = None
    if arrays:
        samples = path.with_suffix(".npz")
        np.savez(samples, **arrays)
    signature = open_source(path, samples=samples).signature
    return {spec.name: spec.dims for spec in (*signature.inputs, *signature.outputs)}


@pytest.mark.parametrize("name", ["?", "unk__12", None])
@pytest.mark.parametrize(
    ("operator", "first"), [("Relu", "batch"), ("CumSum", None)], ids=["rows by themselves", "rows together"]
)
def test_a_first_dim_without_a_name_is_batch_where_rows_are_independent(
    tmp_path: Path, name: str | None, operator: str, first: str | None
) -> None:
    axis = {"axis": np.array(0)} if operator == "CumSum" else {}
    node = helper.make_node(operator, ["x", *axis], ["y"])
    onnx.save(make([node], {"x": (F, [name, 4])}, {"y": (F, [name, 4])}, axis), tmp_path / "graph.onnx")
    label = first or ("unk__12" if name == "unk__12" else "x_0")
    assert dims_of(tmp_path / "graph.onnx") == {"x": (label, 4), "y": (label, 4)}


def test_unnamed_dims_may_differ_where_the_graph_allows_it(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "y"], ["z"])
    model = make([node], {"x": (F, ["?", 4]), "y": (F, [4, "?"])}, {"z": (F, ["?", "?"])})
    onnx.save(model, tmp_path / "graph.onnx")
    found = dims_of(tmp_path / "graph.onnx", x=floats(2, 4), y=floats(4, 3))
    assert found == {"x": ("x_0", 4), "y": (4, "y_1"), "z": ("x_0", "y_1")}


def test_unnamed_dims_are_one_where_the_graph_takes_them_together_alone(tmp_path: Path) -> None:
    node = helper.make_node("Concat", ["x", "y"], ["z"], axis=1)
    model = make([node], {"x": (F, ["?", 4]), "y": (F, ["?", 2])}, {"z": (F, ["?", 6])})
    onnx.save(model, tmp_path / "graph.onnx")
    assert dims_of(tmp_path / "graph.onnx") == {"x": ("batch", 4), "y": ("batch", 2), "z": ("batch", 6)}


def test_a_recurrent_state_has_its_rows_second(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axes"], ["layer"]),
        helper.make_node("Add", ["layer", "state"], ["next"]),
        helper.make_node("Identity", ["x"], ["y"]),
    ]
    inputs: dict[str, tuple[int, Sequence[int | str | None]]] = {"x": (F, [None, 4]), "state": (F, [2, None, 4])}
    outputs: dict[str, tuple[int, Sequence[int | str | None]]] = {"y": (F, [None, 4]), "next": (F, [2, None, 4])}
    onnx.save(make(nodes, inputs, outputs, {"axes": np.array([0])}), tmp_path / "graph.onnx")
    found = dims_of(tmp_path / "graph.onnx", x=floats(3, 4), state=floats(2, 3, 4))
    assert found == {"x": ("x_0", 4), "state": (2, "x_0", 4), "y": ("x_0", 4), "next": (2, "x_0", 4)}


def test_an_extent_that_depends_on_values_is_free(tmp_path: Path) -> None:
    nodes = [helper.make_node("Greater", ["x", "zero"], ["above"]), helper.make_node("NonZero", ["above"], ["y"])]
    zero = {"zero": np.zeros(1, np.float32)}
    onnx.save(make(nodes, {"x": (F, [30])}, {"y": (TensorProto.INT64, [1, "found"])}, zero), tmp_path / "graph.onnx")
    assert dims_of(tmp_path / "graph.onnx") == {"x": (30,), "y": (1, "y_1")}


def test_a_dim_that_takes_one_extent_alone_is_said_to_be_fixed(tmp_path: Path) -> None:
    node = helper.make_node("MatMul", ["x", "weight"], ["y"])
    weight = {"weight": floats(32, 2)}
    onnx.save(make([node], {"x": (F, ["batch", "width"])}, {"y": (F, ["batch", 2])}, weight), tmp_path / "graph.onnx")
    source = open_source(tmp_path / "graph.onnx")
    assert source.signature.inputs[0].dims == ("batch", 32)
    assert source.facts.notes == ("width is fixed at 32, as the model took no other extent that was tried",)
    with pytest.raises(PackageError, match="fails when wide is not 32"):
        open_source(tmp_path / "graph.onnx", dims={"x": ("batch", "wide")})
