"""Attention as a graph computes what PyTorch computes, whatever it is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from inferox.core import Artifact
from tests.backends.onnx.test_capture import export, open_module, run

Arrays = dict[str, np.ndarray]


def attend(inputs: Mapping[str, torch.Tensor], options: Mapping[str, Any]) -> torch.Tensor:
    arguments: dict[str, Any] = {**inputs, **options}
    return scaled_dot_product_attention(**arguments)


class Attention(torch.nn.Module):
    """Attends with what it is given by name, and with options that are fixed."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        return attend(inputs, self.options)


def make(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape) + shape[0]).standard_normal(shape).astype(np.float32)


def make_inputs(rows: int, seq: int, seen: int, *, heads: int = 4, shared: int = 4) -> Arrays:
    queries, keys, values = make(rows, heads, seq, 8), make(rows, shared, seen, 8), make(rows + 1, shared, seen, 8)[1:]
    return {"query": queries, "key": keys, "value": values}


def capture(tmp_path: Path, inputs: Mapping[str, np.ndarray], **options: Any) -> Artifact:
    dims: dict[str, Any] = {
        name: ("batch", *array.shape[1:-2], "seq" if name == "query" else "seen", array.shape[-1])
        for name, array in inputs.items()
    }
    if "attn_mask" in inputs:
        dims["attn_mask"] = ("batch", 1, 1, "seen")
    return export(open_module(Attention(**options), inputs, **dims), tmp_path)


def assert_same(artifact: Artifact, inputs: Arrays, **options: Any) -> None:
    expected = attend({name: torch.from_numpy(item) for name, item in inputs.items()}, options)
    (found,) = run(artifact, inputs).values()
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("shared", "options"),
    [
        (4, {}),
        (4, {"scale": 0.25}),
        (4, {"is_causal": True}),
        (2, {"enable_gqa": True}),
        (1, {"enable_gqa": True, "is_causal": True}),
    ],
)
def test_every_option(tmp_path: Path, shared: int, options: dict[str, Any]) -> None:
    artifact = capture(tmp_path, make_inputs(2, 6, 5, shared=shared), **options)
    assert_same(artifact, make_inputs(2, 6, 5, shared=shared), **options)
    assert_same(artifact, make_inputs(3, 17, 30, shared=shared), **options)


def test_queries_without_heads(tmp_path: Path) -> None:
    inputs = {name: array[:, 0] for name, array in make_inputs(2, 6, 6).items()}
    assert_same(capture(tmp_path, inputs), inputs)


@pytest.mark.parametrize("kind", ["bool", "float"])
def test_masks(tmp_path: Path, kind: str) -> None:
    def masked(rows: int, seq: int) -> Arrays:
        seen = np.random.default_rng(rows).random((rows, 1, 1, seq)) < 0.6
        seen[..., 0] = True
        mask = seen if kind == "bool" else np.where(seen, make(rows, 1, 1, seq), np.float32(-1e4))
        return {**make_inputs(rows, seq, seq), "attn_mask": mask}

    artifact = capture(tmp_path, masked(2, 6))
    assert_same(artifact, masked(2, 6))
    assert_same(artifact, masked(5, 9))


def test_a_query_that_sees_nothing_gets_a_number(tmp_path: Path) -> None:
    inputs = {**make_inputs(2, 6, 6), "attn_mask": np.ones((2, 1, 1, 6), dtype=bool)}
    artifact = capture(tmp_path, inputs)
    (found,) = run(artifact, {**inputs, "attn_mask": np.zeros((2, 1, 1, 6), dtype=bool)}).values()
    alike = inputs["value"].mean(axis=2, keepdims=True)
    np.testing.assert_allclose(found, np.broadcast_to(alike, found.shape), atol=1e-6)


def test_keys_are_transposed_once_and_no_weight_is_looked_at_for_nan(tmp_path: Path) -> None:
    inputs = {**make_inputs(2, 6, 6), "attn_mask": np.ones((2, 1, 1, 6), dtype=bool)}
    graph = onnx.load(capture(tmp_path, inputs).path("graph")).graph
    operators = [node.op_type for node in graph.node]
    assert operators.count("Transpose") == 1
    assert not {"IsNaN", "Reshape"} & set(operators)
