"""How attention is written as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import ir, opset18

op: Any = opset18

Value = Any
"""A tensor of a graph; onnxscript states other types for what its operators give than for what they take."""


def attend(  # noqa: PLR0917 - as PyTorch has them
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001 - nothing is dropped in evaluation mode
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """Writes ``torch.nn.functional.scaled_dot_product_attention`` in the form that runtimes know how to fuse.

    PyTorch's own translation transposes keys by way of reshapes, scales them as well as the queries, and looks for NaN
    in every weight of a masked attention, which no mask of finite numbers makes. Then OpenVINO computes each step by
    itself: of all-MiniLM-L6-v2, padded, that took 5 % of the time of 2,000 texts.

    Args:
        query: Shape ``[..., heads, seq, width]``.
        key: Shape ``[..., heads, seen, width]``; with ``enable_gqa`` the heads may be fewer.
        value: Shape ``[..., heads, seen, width]``, with as many heads as the keys.
        attn_mask: What is added to the scores, or where a query sees a key; broadcast to ``[..., heads, seq, seen]``.
            A query that sees none sees all alike.
        dropout_p: Passed by PyTorch.
        is_causal: Whether each query sees only keys up to its own place.
        scale: What scores are multiplied by; ``None`` for ``width ** -0.5``.
        enable_gqa: Whether several heads of queries share one of keys.

    Returns:
        What each query attends to; shape ``[..., heads, seq, width]``.
    """
    dtype, shape = query.dtype, query.shape
    if dtype is None or shape is None or not isinstance(shape[-1], int):
        raise ValueError(f"attention over queries of the shape {shape}, whose width must be known")
    if enable_gqa:
        key, value = (_repeat_heads(item, query) for item in (key, value))
    factor = shape[-1] ** -0.5 if scale is None else scale
    rank = len(shape)
    keys = op.Transpose(key, perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = op.MatMul(op.Mul(query, _scalar(factor, dtype)), keys)
    if is_causal:
        scores = op.Add(scores, _causal_bias(query, key, dtype))
    elif attn_mask is not None and attn_mask.dtype == ir.DataType.BOOL:
        scores = op.Add(scores, op.Where(attn_mask, _scalar(0.0, dtype), _scalar(float(dtype.min), dtype)))
    elif attn_mask is not None:
        scores = op.Add(scores, attn_mask)
    return op.MatMul(op.Softmax(scores, axis=-1), value)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten.scaled_dot_product_attention.default: attend
}
"""What is written in another way than PyTorch's exporter would, by operator."""


def _scalar(number: float, dtype: ir.DataType) -> Value:
    return op.Constant(value=ir.tensor(number, dtype=dtype))


def _causal_bias(query: Value, key: Value, dtype: ir.DataType) -> Value:
    """The least number wherever a key comes after the query; shape ``[seq, seen]``."""
    places = op.Concat(_extents(query, -2, -1), _extents(key, -2, -1), axis=0)
    hidden = op.ConstantOfShape(places, value=ir.tensor([float(dtype.min)], dtype=dtype))
    return op.Trilu(hidden, op.Constant(value_int=1), upper=1)


def _repeat_heads(item: Value, query: Value) -> Value:
    """Each head as often as queries share it; from ``[..., few, seen, width]`` to ``[..., heads, seen, width]``."""
    before, few, behind = _extents(item, 0, -3), _extents(item, -3, -2), _extents(item, -2)
    heads = _extents(query, -3, -2)
    spread = op.Expand(
        op.Unsqueeze(item, op.Constant(value_ints=[-3])),
        op.Concat(before, few, op.Div(heads, few), behind, axis=0),
    )
    return op.Reshape(spread, op.Concat(before, heads, behind, axis=0))


def _extents(item: Value, start: int, end: int | None = None) -> Value:
    return op.Shape(item, start=start, end=end)
