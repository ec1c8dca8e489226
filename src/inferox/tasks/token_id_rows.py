"""Rows of token ids from a caller's own tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from tokenizers import Tokenizer

from inferox.core import MASK, Batch, RequestError, TensorSpec, shown, to_cu_seqlens
from inferox.tasks.token import refuse_impossible_ids, unknown_token
from inferox.tasks.truncation import CUT_TOKENS, MORE_CUT


def make_token_id_rows(
    tokenizer: Tokenizer,
    inputs: Sequence[TensorSpec],
    rows: Sequence[Sequence[int]],
    *,
    max_length: int | None,
    side: str,
    pad_values: Mapping[str, int],
) -> Batch:
    """Makes rows of token ids without adding anything to them.

    Args:
        tokenizer: The tokenizer with the vocabulary.
        inputs: The inputs of the model.
        rows: The token ids of each row, including special tokens. All belong to the first text of a row.
        max_length: The most tokens of a row; ``None`` for no limit.
        side: The side on which longer rows are cut, whatever tokens are there: ``right`` or ``left``.
        pad_values: The number that pads each input.

    Returns:
        One row per list, as ``TextTokenizer.encode`` makes them.

    Raises:
        RequestError: If an item is not a list of ids that the vocabulary and the model have, or is empty.
    """
    _check(tokenizer, rows, next((spec.upper_bound for spec in inputs if spec.name == "input_ids"), None))
    kept = [_cut(row, max_length, side) for row in rows]
    lengths = np.array([len(row) for row in kept], dtype=np.int64)
    cut = np.array([len(row) for row in rows], dtype=np.int64) - lengths
    ids = np.fromiter(chain.from_iterable(kept), np.int64)
    ragged = {
        spec.name: (ids if spec.name == "input_ids" else np.zeros_like(ids)).astype(spec.dtype.numpy_dtype)
        for spec in inputs
        if spec.name != MASK
    }
    more = np.zeros(len(rows), dtype=np.bool_)
    return Batch(ragged, {CUT_TOKENS: cut, MORE_CUT: more}, to_cu_seqlens(lengths), pad_values)


def refuse_unknown_ids(tokenizer: Tokenizer, ids: Sequence[Sequence[int]]) -> None:
    """Refuses ids that a vocabulary does not have.

    Args:
        tokenizer: The tokenizer with the vocabulary.
        ids: The tokens of each text.

    Raises:
        RequestError: If there is such an id.
    """
    refuse_impossible_ids(ids)
    for index, some in enumerate(ids):
        for number in some:
            if tokenizer.id_to_token(number) is None:
                raise unknown_token(index, number)


def _cut(row: Sequence[int], most: int | None, side: str) -> Sequence[int]:
    if most is None:
        return row
    return row[-most:] if side == "left" else row[:most]


def _find_other_than_ids(row: object) -> str | None:
    if not isinstance(row, list | tuple):
        return f"is of the type {type(row).__name__}"
    found = next(((place, value) for place, value in enumerate(row) if type(value) is not int), None)
    return None if found is None else f"has {shown(found[1])} at {found[0]}"


def _check(tokenizer: Tokenizer, rows: Sequence[Sequence[int]], upper_bound: int | None) -> None:
    for index, row in enumerate(rows):
        if (problem := _find_other_than_ids(row)) is not None:
            message = f"text {index} must be a list of token ids, but {problem}"
            raise RequestError(message).naming_item(index, "text {}")
        if not row:
            raise RequestError(f"text {index} has no tokens, but the model needs at least one").naming_item(
                index, "text {}"
            )
    refuse_unknown_ids(tokenizer, rows)
    if upper_bound is not None:
        for index, row in enumerate(rows):
            if max(row) >= upper_bound:
                raise unknown_token(index, max(row))
