"""The packed layout: rows of different lengths end to end, without padding.

Every layer but attention treats each token alone, so that tokens of all rows can go through it as one long row. Only
attention must know which tokens belong together. It is told by two tables of indices: ``grid`` says which token stands
at each place of the padded batch, and ``slots`` at which place of the padded batch each token stands.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching.layout import Row, row_extents
from inferox.core import BATCH, SEQUENCE, TOKENS, DataType, ShapeMismatchError, Signature, TensorSpec

MASK = "attention_mask"
"""The input that tells tokens from padding in the padded layout; the packed layout has none."""

GRID = "grid"
"""The index of the token at each place of the padded batch, -1 where it is empty: [batch, seq], int64."""

SLOTS = "slots"
"""The place of each token in the padded batch, ``row * seq + position``: [tokens], int64."""

_PADDED_DIMS = (BATCH, SEQUENCE)


def can_be_packed(signature: Signature) -> bool:
    """Whether a padded signature has a packed form: all inputs are ``[batch, seq]``, one of them the mask."""
    return MASK in signature.input_names and all(spec.dims == _PADDED_DIMS for spec in signature.inputs)


def packed_signature(signature: Signature) -> Signature:
    """The packed form of a padded signature.

    Args:
        signature: A signature that can be packed.

    Returns:
        The same inputs and outputs with one axis ``tokens`` in the place of ``batch, seq``, without the mask, and with
        ``grid`` and ``slots``.
    """
    inputs = [replace(spec, dims=(TOKENS,)) for spec in signature.inputs if spec.name != MASK]
    tables = (TensorSpec(GRID, DataType.I64, _PADDED_DIMS), TensorSpec(SLOTS, DataType.I64, (TOKENS,)))
    outputs = [
        replace(spec, dims=(TOKENS, *spec.dims[2:])) if spec.dims[:2] == _PADDED_DIMS else spec
        for spec in signature.outputs
    ]
    return Signature((*inputs, *tables), tuple(outputs), signature.limits)


def pack_rows(rows: Sequence[Row], signature: Signature) -> dict[str, npt.NDArray[Any]]:
    """Lays rows out end to end.

    Args:
        rows: At least one row. Arrays that the signature does not list are left out.
        signature: The packed signature.

    Returns:
        Each input of the signature by name, in the signature's data type.

    Raises:
        UnknownInputError: If a row lacks an input.
        DTypeMismatchError: If an array has another data type than the signature says.
        ShapeMismatchError: If there are no rows, a row is empty, or its arrays disagree about its length.
    """
    if not rows:
        raise ShapeMismatchError("a batch", f"[{BATCH} >= 1]", [0])
    tokenwise = _tokenwise(signature)
    lengths = np.array([row_extents(row, tokenwise)[SEQUENCE] for row in rows], dtype=np.int64)
    if not lengths.all():
        raise ShapeMismatchError(f"row {int(lengths.argmin())}", f"[{SEQUENCE} >= 1]", [0])
    mask = np.arange(lengths.max()) < lengths[:, None]
    joined = {spec.name: np.concatenate([row[spec.name] for row in rows]) for spec in tokenwise.inputs}
    return {**joined, **_tables(mask)}


def pack_batch(inputs: Mapping[str, npt.NDArray[Any]], signature: Signature) -> dict[str, npt.NDArray[Any]]:
    """Takes the padding out of a padded batch, wherever its mask says that it is.

    Args:
        inputs: The inputs by name, as the padded signature lists them.
        signature: The packed signature.

    Returns:
        Each input of the packed signature by name.

    Raises:
        ShapeMismatchError: If the mask leaves no token.
    """
    mask = inputs[MASK] != 0
    if not mask.any():
        raise ShapeMismatchError(f"input {MASK!r}", "[at least one token]", mask.shape)
    return {**{spec.name: inputs[spec.name][mask] for spec in _tokenwise(signature).inputs}, **_tables(mask)}


def unpack_batch(
    outputs: Mapping[str, npt.NDArray[Any]], signature: Signature, slots: npt.NDArray[np.int64], shape: tuple[int, int]
) -> dict[str, npt.NDArray[Any]]:
    """Lays packed outputs out as a padded batch, with zeros for the padding.

    Args:
        outputs: The outputs by name, as the packed signature lists them.
        signature: The packed signature.
        slots: The place of each token in the padded batch; shape ``[tokens]``.
        shape: The number of rows and the length of the padded batch.
    """
    padded = {}
    for spec in signature.outputs:
        values = outputs[spec.name]
        if spec.dims[0] != TOKENS:
            padded[spec.name] = values
            continue
        whole = np.zeros((shape[0] * shape[1], *values.shape[1:]), dtype=values.dtype)
        whole[slots] = values
        padded[spec.name] = whole.reshape(*shape, *values.shape[1:])
    return padded


def split_packed(
    outputs: Mapping[str, npt.NDArray[Any]], rows: Sequence[Row], signature: Signature
) -> list[dict[str, npt.NDArray[Any]]]:
    """Cuts each row's own part out of packed outputs.

    Args:
        outputs: The outputs by name; shape ``[tokens, ...]`` or ``[batch, ...]``.
        rows: The rows that the batch was laid out from.
        signature: The packed signature.

    Returns:
        The outputs of each row by name: views of the batch's memory.

    Raises:
        ShapeMismatchError: If an output has not one entry for each token, or for each row.
    """
    first = signature.input_names[0]
    ends = np.cumsum([len(row[first]) for row in rows])
    split: list[dict[str, npt.NDArray[Any]]] = [{} for _ in rows]
    for spec in signature.outputs:
        values, tokens = outputs[spec.name], spec.dims[0] == TOKENS
        if values.ndim != len(spec.dims) or len(values) != (ends[-1] if tokens else len(rows)):
            raise ShapeMismatchError(
                f"output {spec.name!r} of a batch of {len(rows)} rows", spec.shape_text, values.shape
            )
        parts = np.split(values, ends[:-1]) if tokens else values
        for row, part in zip(split, parts, strict=True):
            row[spec.name] = part
    return split


def _tokenwise(signature: Signature) -> Signature:
    """The inputs that rows bring, as they are in a padded batch."""
    inputs = tuple(replace(spec, dims=_PADDED_DIMS) for spec in signature.inputs if spec.name not in {GRID, SLOTS})
    return Signature(inputs, ())


def _tables(mask: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[np.int64]]:
    slots = np.flatnonzero(mask)
    grid = np.full(mask.size, -1, dtype=np.int64)
    grid[slots] = np.arange(len(slots))
    return {GRID: grid.reshape(mask.shape), SLOTS: slots.astype(np.int64)}
