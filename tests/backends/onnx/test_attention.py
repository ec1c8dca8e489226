"""Attention as a graph computes what PyTorch computes, with any combination of options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from inferox.backends.openvino import OpenVinoBackend
from inferox.backends.openvino.compilation import compile_model
from inferox.core import Artifact, LoadError, LoadOptions, Precision
from tests.backends.onnx.test_capture import export, open_module, run

Arrays = dict[str, np.ndarray]


def attend(inputs: Mapping[str, torch.Tensor], options: Mapping[str, Any]) -> torch.Tensor:
    arguments: dict[str, Any] = {**inputs, **options}
    return scaled_dot_product_attention(**arguments)


class Attention(torch.nn.Module):
    """Attends to its named inputs, with fixed options."""

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
    axes = {"query": "seq", "key": "seen", "value": "seen"}
    dims: dict[str, Any] = {
        name: ("batch", *array.shape[1:-2], axes[name], array.shape[-1])
        for name, array in inputs.items()
        if name in axes
    }
    if "attn_mask" in inputs:
        shape = inputs["attn_mask"].shape
        dims["attn_mask"] = (
            "batch",
            *(dim if dim == 1 else name for dim, name in zip(shape[1:], _MASK_DIMS, strict=True)),
        )
    return export(open_module(Attention(**options), inputs, **dims), tmp_path)


_MASK_DIMS = (4, "seq", "seen")


def assert_same(artifact: Artifact, inputs: Arrays, **options: Any) -> None:
    expected = attend({name: torch.from_numpy(item) for name, item in inputs.items()}, options)
    for found in compute(artifact, inputs):
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


def compute(artifact: Artifact, inputs: Arrays) -> list[np.ndarray]:
    """Computes it with ONNX Runtime and OpenVINO."""
    with OpenVinoBackend().load(replace(artifact, backend="openvino"), None, LoadOptions("p")) as model:
        (fused,) = model.forward(inputs).values()
    return [*run(artifact, inputs).values(), fused.numpy()]


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


def test_a_width_that_has_a_name(tmp_path: Path) -> None:
    inputs = make_inputs(2, 6, 6)
    dims = dict.fromkeys(inputs, ("batch", 4, "seq", "width"))
    artifact = export(open_module(Attention(), inputs, **dims), tmp_path)
    assert_same(artifact, inputs)
    assert_same(artifact, {name: np.concatenate([item, item], axis=-1) for name, item in inputs.items()})


@pytest.mark.parametrize(
    ("kind", "heads", "queries", "causal"),
    [
        # Half of the cases cover all combinations of any three of the four choices.
        pytest.param(
            kind,
            heads,
            queries,
            causal,
            marks=pytest.mark.slow if (kind is np.bool_) ^ (heads == 1) ^ queries ^ causal else [],
        )
        for kind, heads, queries, causal in product((np.bool_, np.float32), (1, 4), (False, True), (False, True))
    ],
)
def test_masks(tmp_path: Path, kind: type, heads: int, *, queries: bool, causal: bool) -> None:
    def masked(rows: int, seq: int) -> Arrays:
        shape = (rows, heads, seq if queries else 1, seq)
        seen = np.random.default_rng(rows).random(shape) < 0.6
        seen[..., 0] = True
        mask = seen if kind is np.bool_ else np.where(seen, make(*shape), -np.inf).astype(kind)
        return {**make_inputs(rows, seq, seq), "attn_mask": mask}

    artifact = capture(tmp_path, masked(2, 6), is_causal=causal)
    assert_same(artifact, masked(2, 6), is_causal=causal)
    assert_same(artifact, masked(5, 9), is_causal=causal)


class Halved(torch.nn.Module):
    """Attends in half precision, with a mask in fp32."""

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = x.half()
        return scaled_dot_product_attention(x, x, x, attn_mask=mask).float()


def test_a_mask_of_another_type_than_the_queries(tmp_path: Path) -> None:
    inputs = {"x": make(2, 4, 6, 8), "mask": np.where(make(2, 1, 1, 6) > 0, np.float32(0), np.float32(-1e4))}
    artifact = export(open_module(Halved(), inputs), tmp_path)
    expected = Halved()(**{name: torch.from_numpy(item) for name, item in inputs.items()})
    (found,) = run(artifact, inputs).values()
    np.testing.assert_allclose(found, expected.numpy(), atol=4e-3)


@pytest.mark.parametrize("hidden", [False, -np.inf])
def test_a_query_that_sees_nothing_gets_a_number(tmp_path: Path, hidden: Any) -> None:
    kind = np.bool_ if hidden is False else np.float32
    inputs = {**make_inputs(2, 6, 6), "attn_mask": np.ones((2, 1, 1, 6), kind)}
    artifact = capture(tmp_path, inputs)
    alike = np.broadcast_to(inputs["value"].mean(axis=2, keepdims=True), inputs["query"].shape)
    for found in compute(artifact, {**inputs, "attn_mask": np.full((2, 1, 1, 6), hidden, kind)}):
        np.testing.assert_allclose(found, alike, atol=1e-6)


def test_weights_cannot_be_dropped(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="attention drops 50% of its weights"):
        capture(tmp_path, make_inputs(2, 6, 6), dropout_p=0.5)


@pytest.mark.parametrize("masked", [False, True])
def test_openvino_computes_attention_in_one_step(tmp_path: Path, masked: bool) -> None:
    mask = {"attn_mask": np.ones((2, 1, 1, 6), dtype=bool)} if masked else {}
    artifact = capture(tmp_path, {**make_inputs(2, 6, 6), **mask})
    processor = Path("/proc/cpuinfo")
    if not processor.is_file() or "avx2" not in processor.read_text().split():
        pytest.skip("OpenVINO fuses attention for AVX2 and later, and this processor is not known to have it")
    compiled = compile_model(artifact.path("graph"), "CPU", Precision.FP32, threads=1)
    steps = [node.get_rt_info()["layerType"].astype(str) for node in compiled.get_runtime_model().get_ordered_ops()]
    assert "Subgraph" in steps
    assert not {"Softmax", "MatMul"} & set(steps)
