"""Rows through a model: planned into batches, padded, computed, and cut apart again."""

from __future__ import annotations

import sys
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy.typing as npt

from inferox.batching.layout import Row, pad_rows, row_extents, split_rows
from inferox.batching.packed import pack_rows, split_packed
from inferox.batching.policy import plan_batches
from inferox.core import BATCH, ConfigError, Layout, Model, ShapeMismatchError, Signature, Tensor

MAX_TOKENS = 1024
"""The most tokens of a batch, padding included, where the caller sets no limit."""

MAX_ROWS = 256
"""The most rows of a batch, where the caller sets no limit."""

Arrays = Mapping[str, npt.NDArray[Any]]
"""The inputs of a batch by name."""

Outputs = dict[str, npt.NDArray[Any]]
"""The outputs of one row by name, without the batch dim."""


def run_batches(
    model: Model,
    rows: Sequence[Row],
    *,
    pad_values: Mapping[str, int],
    max_tokens: int = MAX_TOKENS,
    max_rows: int = MAX_ROWS,
) -> Iterator[tuple[list[int], list[Outputs]]]:
    """Computes rows of any lengths, batch by batch, so that only one batch's outputs need to be held at a time.

    Rows of a model that was measured to depend on the batch are computed one by one: an answer never depends on what
    else was asked.

    Args:
        model: The model, with a padded signature. Where it is a view of another one, batches are laid out as that one
            takes them.
        rows: The rows, in any order.
        pad_values: The number that an input is padded with; rows that differ in any other input never share a batch.
        max_tokens: The most tokens of a batch, padding included. Where the model takes a fixed number of rows, a
            batch costs the same however few of them are filled, and this limit does not apply.
        max_rows: The most rows of a batch.

    Yields:
        The indices of a batch's rows, and the outputs of each.

    Raises:
        ConfigError: If the model does not compute rows independently: an input or output has no batch dim.
        RequestError: If a row does not fit the model's signature, or is empty. Nothing is computed then.
        BackendError: If the runtime fails.
    """
    fixed = _fixed_rows(model.signature)
    most = 1 if model.metadata.batch_invariant is False else fixed or max_rows
    ragged = _ragged_dims(model.signature, pad_values)
    lengths = [_length(row, model.signature, ragged, index) for index, row in enumerate(rows)]
    limit = max_tokens if fixed is None else sys.maxsize
    plan = _plan(rows, lengths, model.signature, pad_values, max_tokens=limit, max_rows=most)
    batches = list(plan)
    laid_out = (_repeat_last_row([rows[index] for index in indices], fixed) for indices in batches)
    computed = _compute(model.inner, laid_out, len(batches), pad_values)
    for indices, outputs in zip(batches, computed, strict=True):
        yield indices, outputs[: len(indices)]


def _repeat_last_row(rows: list[Row], fixed: int | None) -> list[Row]:
    """A model that was traced with a number of rows takes no other: the last row is computed again to fill it."""
    return rows if fixed is None else [*rows, *[rows[-1]] * (fixed - len(rows))]


def _ragged_dims(signature: Signature, pad_values: Mapping[str, int]) -> frozenset[str]:
    """The dims along which rows are padded, and so have tokens; the height and width of an image are none of them."""
    padded = [spec for spec in signature.inputs if spec.name in pad_values]
    return frozenset(dim for spec in padded for dim in spec.dims[1:] if isinstance(dim, str))


def _length(row: Row, signature: Signature, ragged: frozenset[str], index: int) -> int:
    """The number of tokens of a row; 1 where rows have none."""
    extents = row_extents(row, signature)
    for dim, extent in extents.items():
        if extent == 0:
            raise ShapeMismatchError(f"row {index}", f"[{dim} >= 1]", [0], hint="leave out rows that are empty")
    return max((extents[dim] for dim in ragged), default=1)


def _compute(
    model: Model, batches: Iterable[Sequence[Row]], count: int, pad_values: Mapping[str, int]
) -> Iterator[list[Outputs]]:
    """Computes batches in the layout of a model, and cuts each apart again."""
    packed, signature = model.metadata.layout is Layout.PACKED, model.signature
    laid_out: deque[Sequence[Row]] = deque()

    def lay_out() -> Iterator[Arrays]:
        for rows in batches:
            laid_out.append(rows)
            yield pack_rows(rows, signature) if packed else pad_rows(rows, signature, pad_values)

    for computed in model.forward_all(lay_out(), count):
        rows, split = laid_out.popleft(), split_packed if packed else split_rows
        yield split(_to_arrays(computed), rows, signature)


def _to_arrays(outputs: Mapping[str, Tensor]) -> Outputs:
    return {name: tensor.numpy() for name, tensor in outputs.items()}


def _plan(
    rows: Sequence[Row],
    lengths: Sequence[int],
    signature: Signature,
    pad_values: Mapping[str, int],
    *,
    max_tokens: int,
    max_rows: int,
) -> Iterator[list[int]]:
    """Plans the rows that may share a batch: those that are alike in every input that is not padded."""
    rigid = [name for name in signature.input_names if name not in pad_values]
    alike: defaultdict[tuple[tuple[int, ...], ...], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        alike[tuple(row[name].shape for name in rigid)].append(index)
    for members in alike.values():
        planned = plan_batches([lengths[index] for index in members], max_tokens=max_tokens, max_rows=max_rows)
        yield from ([members[position] for position in batch] for batch in planned)


def _fixed_rows(signature: Signature) -> int | None:
    """The number of rows that a model was traced with; ``None`` where every call may choose it."""
    firsts = {spec.dims[0] if spec.dims else None for spec in (*signature.inputs, *signature.outputs)}
    first = firsts.pop() if len(firsts) == 1 else None
    if first is None or (first != BATCH and (isinstance(first, str) or first < 1)):
        specs = ", ".join(str(spec) for spec in (*signature.inputs, *signature.outputs))
        raise ConfigError(
            f"the model has no batch dim that all its inputs and outputs share: {specs}",
            hint="use the task raw, which passes tensors on as they are",
        )
    return first if isinstance(first, int) else None
