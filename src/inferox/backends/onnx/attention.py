"""Attention, written as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import ir, opset18

op: Any = opset18

Value = Any
"""A tensor of a graph; onnxscript states different types for its operators' outputs and inputs."""


def attend(  # noqa: PLR0917 - as PyTorch has them
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Value:
    """Writes ``torch.nn.functional.scaled_dot_product_attention`` in a form that runtimes can fuse.

    PyTorch's own translation transposes keys by way of reshapes, scales them as well as the queries, and checks every
    weight of a masked attention for NaN, so that OpenVINO computes each step separately.

    Args:
        query: Shape ``[..., heads, seq, width]``.
        key: Shape ``[..., heads, seen, width]``; with ``enable_gqa`` the heads may be fewer.
        value: Shape ``[..., heads, seen, width]``, with as many heads as the keys.
        attn_mask: The bias of the scores, or whether a query sees a key; broadcast to ``[..., heads, seq, seen]``. A
            query that sees no key attends to all of them equally.
        dropout_p: The dropout probability, which must be 0 in a graph.
        is_causal: Whether each query sees only keys up to its own position, in addition to the mask.
        scale: The factor of the scores; ``None`` for ``width ** -0.5``.
        enable_gqa: Whether several query heads share one key head.

    Returns:
        The attention output; shape ``[..., heads, seq, width]``.

    Raises:
        ValueError: If ``dropout_p`` is not 0.
    """
    if dropout_p:
        raise ValueError(f"attention drops {dropout_p:.0%} of its weights, which it must not do in evaluation mode")
    dtype, rank = query.dtype, len(query.shape)
    if enable_gqa:
        key, value = (_repeat_heads(item, query) for item in (key, value))
    keys = op.Transpose(key, perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = op.MatMul(op.Mul(query, _factor(query, scale)), keys)
    if attn_mask is not None:
        scores = op.Add(scores, _bias(attn_mask, dtype))
    if is_causal:
        scores = op.Add(scores, _causal_bias(query, key))
    return op.MatMul(op.Softmax(scores, axis=-1), value)


TRANSLATIONS: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.ops.aten.scaled_dot_product_attention.default: attend
}
"""The operators that are translated differently from PyTorch's exporter."""


def _scalar(number: float, dtype: ir.DataType) -> Value:
    return op.Constant(value=ir.tensor(number, dtype=dtype))


def _factor(query: Value, scale: float | None) -> Value:
    width = query.shape[-1]
    if scale is None and not isinstance(width, int):
        return op.Pow(op.CastLike(_extents(query, -1), query), _scalar(-0.5, query.dtype))
    return _scalar(width**-0.5 if scale is None else scale, query.dtype)


def _bias(mask: Value, dtype: ir.DataType) -> Value:
    """Makes the bias that a mask adds to the scores. It is finite, as a softmax over only infinities is undefined."""
    least = _scalar(float(dtype.min), dtype)
    if mask.dtype == ir.DataType.BOOL:
        return op.Where(mask, _scalar(0.0, dtype), least)
    return op.Max(op.Cast(mask, to=dtype) if mask.dtype != dtype else mask, least)


def _causal_bias(query: Value, key: Value) -> Value:
    """Makes the bias with the least number wherever a key comes after the query; shape ``[seq, seen]``."""
    places = op.Concat(_extents(query, -2, -1), _extents(key, -2, -1), axis=0)
    least = ir.tensor([float(query.dtype.min)], dtype=query.dtype)
    return op.Trilu(op.ConstantOfShape(places, value=least), op.Constant(value_int=1), upper=1)


def _repeat_heads(item: Value, query: Value) -> Value:
    """Repeats heads that queries share; from ``[..., few, seen, width]`` to ``[..., heads, seen, width]``."""
    before, few, behind = _extents(item, 0, -3), _extents(item, -3, -2), _extents(item, -2)
    heads = _extents(query, -3, -2)
    spread = op.Expand(
        op.Unsqueeze(item, op.Constant(value_ints=[-3])),
        op.Concat(before, few, op.Div(heads, few), behind, axis=0),
    )
    return op.Reshape(spread, op.Concat(before, heads, behind, axis=0))


def _extents(item: Value, start: int, end: int | None = None) -> Value:
    return op.Shape(item, start=start, end=end)
