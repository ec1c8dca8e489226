"""The packed layout: rows of different lengths end to end, without padding.

Every layer but attention treats each token alone, so that tokens of all rows can go through it as one long row. Only
attention must know which tokens belong together. It is told by two tables of indices: ``pad_indices`` says which token
stands at each place of the padded batch, and ``unpad_indices`` at which place of the padded batch each token stands.

A row is packed up to the last token that its mask attends to. Masked tokens before that one come along, because a model
may count positions over them, or answer from the row's first; ``pad_indices`` marks them, and no token attends to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching.layout import Row, row_extents
from inferox.core import (
    BATCH,
    EMPTY_PLACE,
    MASKED_PLACE,
    PAD_INDICES,
    SEQUENCE,
    TOKENS,
    UNPAD_INDICES,
    DataType,
    RequestError,
    ShapeMismatchError,
    Signature,
    TensorSpec,
)

MASK = "attention_mask"
"""The input that tells tokens from padding in the padded layout; in the packed layout ``pad_indices`` says it."""

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
        ``pad_indices`` and ``unpad_indices``.
    """
    inputs = [replace(spec, dims=(TOKENS,)) for spec in signature.inputs if spec.name != MASK]
    tables = (TensorSpec(PAD_INDICES, DataType.I64, _PADDED_DIMS), TensorSpec(UNPAD_INDICES, DataType.I64, (TOKENS,)))
    outputs = [
        replace(spec, dims=(TOKENS, *spec.dims[2:])) if spec.dims[:2] == _PADDED_DIMS else spec
        for spec in signature.outputs
    ]
    return Signature((*inputs, *tables), tuple(outputs), signature.limits)


def pack_rows(rows: Sequence[Row], signature: Signature) -> dict[str, npt.NDArray[Any]]:
    """Lays rows out end to end.

    Args:
        rows: At least one row. Its ``attention_mask`` says which of its tokens are seen; without one, all are. Other
            arrays that the signature does not list are left out.
        signature: The packed signature.

    Returns:
        Each input of the signature by name, in the signature's data type.

    Raises:
        UnknownInputError: If a row lacks an input.
        DTypeMismatchError: If an array has another data type than the signature says.
        ShapeMismatchError: If there are no rows, a row is empty, or its arrays disagree about its length.
        RequestError: If a row has nothing but masked tokens, and the model has answers for whole rows.
    """
    if not rows:
        raise ShapeMismatchError("a batch", f"[{BATCH} >= 1]", [0])
    tokenwise = _tokenwise(signature)
    lengths = [row_extents(row, tokenwise)[SEQUENCE] for row in rows]
    if not all(lengths):
        raise ShapeMismatchError(f"row {lengths.index(0)}", f"[{SEQUENCE} >= 1]", [0])
    mask = _mask_of(rows, lengths)
    _check_rows(mask, signature)
    mask = _attend_one(mask)
    kept = _kept_lengths(mask)
    joined = {
        spec.name: np.concatenate([row[spec.name][:count] for row, count in zip(rows, kept, strict=True)])
        for spec in tokenwise.inputs
    }
    return {**joined, **_tables(mask, kept)}


def pack_batch(inputs: Mapping[str, npt.NDArray[Any]], signature: Signature) -> dict[str, npt.NDArray[Any]]:
    """Takes the padding behind each row's last token out of a padded batch, as its mask says.

    Args:
        inputs: The inputs by name, as the padded signature lists them.
        signature: The packed signature.

    Returns:
        Each input of the packed signature by name. Where the mask hides every token, the first one is shown, because a
        model needs one: what is computed for it stands at padding, where it has no meaning.

    Raises:
        ShapeMismatchError: If the batch has no rows, or no places in them.
        RequestError: If a row has nothing but masked tokens, and the model has answers for whole rows.
    """
    mask = inputs[MASK] != 0
    if not mask.size:
        raise ShapeMismatchError(f"input {MASK!r}", f"[{BATCH} >= 1, {SEQUENCE} >= 1]", mask.shape)
    _check_rows(mask, signature)
    mask = _attend_one(mask)
    kept = _kept_lengths(mask)
    placed = _placed(kept, mask.shape[1])
    return {**{spec.name: inputs[spec.name][placed] for spec in _tokenwise(signature).inputs}, **_tables(mask, kept)}


def unpack_batch(
    outputs: Mapping[str, npt.NDArray[Any]], signature: Signature, pad_indices: npt.NDArray[np.int64]
) -> dict[str, npt.NDArray[Any]]:
    """Lays packed outputs out as a padded batch, with zeros for padding and for masked tokens.

    Args:
        outputs: The outputs by name, as the packed signature lists them.
        signature: The packed signature.
        pad_indices: The token at each place of the padded batch, as ``pack_batch`` gives it; shape ``[batch, seq]``.
    """
    attended = pad_indices >= 0
    padded = {}
    for spec in signature.outputs:
        values = outputs[spec.name]
        if spec.dims[0] != TOKENS:
            padded[spec.name] = values
            continue
        padded[spec.name] = np.zeros((*pad_indices.shape, *values.shape[1:]), dtype=values.dtype)
        padded[spec.name][attended] = values[pad_indices[attended]]
    return padded


def empty_outputs(inputs: Mapping[str, npt.NDArray[Any]], signature: Signature) -> dict[str, npt.NDArray[Any]]:
    """The answer to a padded batch without rows: arrays without elements, in the shapes that the signature states.

    Args:
        inputs: The inputs by name, as the padded signature lists them.
        signature: The padded signature.
    """
    extents = signature.check_inputs(inputs)
    return {
        spec.name: np.zeros(
            [extents.get(dim, 0) if isinstance(dim, str) else dim for dim in spec.dims], spec.dtype.numpy_dtype
        )
        for spec in signature.outputs
    }


def split_packed(
    outputs: Mapping[str, npt.NDArray[Any]], rows: Sequence[Row], signature: Signature
) -> list[dict[str, npt.NDArray[Any]]]:
    """Cuts each row's own part out of packed outputs.

    Args:
        outputs: The outputs by name; shape ``[tokens, ...]`` or ``[batch, ...]``.
        rows: The rows that the batch was laid out from.
        signature: The packed signature.

    Returns:
        The outputs of each row by name: views of the batch's memory, but for rows with masked tokens, which get zeros
        at their places.

    Raises:
        ShapeMismatchError: If an output has not one entry for each token, or for each row.
    """
    first = signature.input_names[0]
    lengths = [len(row[first]) for row in rows]
    mask = _mask_of(rows, lengths)
    masks = int(mask.sum()) < sum(lengths)
    attended = [own[:length] for own, length in zip(mask.copy(), lengths, strict=True)] if masks else []
    ends = np.cumsum(_kept_lengths(_attend_one(mask)) if masks else lengths)
    split: list[dict[str, npt.NDArray[Any]]] = [{} for _ in rows]
    for spec in signature.outputs:
        values, tokens = outputs[spec.name], spec.dims[0] == TOKENS
        if values.ndim != len(spec.dims) or len(values) != (ends[-1] if tokens else len(rows)):
            raise ShapeMismatchError(
                f"output {spec.name!r} of a batch of {len(rows)} rows", spec.shape_text, values.shape
            )
        parts = [values[begin:end] for begin, end in pairwise((0, *ends))] if tokens else values
        if tokens and masks:
            parts = [_blank(part, own) for part, own in zip(parts, attended, strict=True)]
        for row, part in zip(split, parts, strict=True):
            row[spec.name] = part
    return split


def _tokenwise(signature: Signature) -> Signature:
    """The inputs that rows bring, as they are in a padded batch."""
    inputs = tuple(
        replace(spec, dims=_PADDED_DIMS) for spec in signature.inputs if spec.name not in {PAD_INDICES, UNPAD_INDICES}
    )
    return Signature(inputs, ())


def _mask_of(rows: Sequence[Row], lengths: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Which tokens are seen, at their places in the padded batch; shape ``[batch, seq]``."""
    own = [row.get(MASK) for row in rows]
    for index, (each, length) in enumerate(zip(own, lengths, strict=True)):
        if each is not None and each.shape != (length,):
            raise ShapeMismatchError(f"input {MASK!r} of row {index}", f"[{length}]", each.shape)
    mask = _placed(np.array(lengths, dtype=np.int64), max(lengths))
    attended = [np.ones(length, bool) if each is None else each for each, length in zip(own, lengths, strict=True)]
    mask[mask] = np.concatenate(attended) != 0
    return mask


def _check_rows(mask: npt.NDArray[np.bool_], signature: Signature) -> None:
    attended = mask.any(axis=1)
    if not attended.all() and any(spec.dims[:1] != (TOKENS,) for spec in signature.outputs):
        raise RequestError(
            f"the {MASK} of row {int(attended.argmin())} is all zeros, and the model has row-level outputs",
            hint="leave out rows that have no tokens",
        )


def _attend_one(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask, with a token where it has none."""
    if not mask.any():
        mask[0, 0] = True
    return mask


def _kept_lengths(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How many tokens of each row are packed: those up to the last one that is shown."""
    return np.where(mask.any(axis=1), mask.shape[1] - mask[:, ::-1].argmax(axis=1), 0)


def _placed(lengths: npt.NDArray[np.int64], longest: int) -> npt.NDArray[np.bool_]:
    return np.arange(longest) < lengths[:, None]


def _tables(mask: npt.NDArray[np.bool_], kept: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.int64]]:
    placed = _placed(kept, mask.shape[1])
    unpad_indices = np.flatnonzero(placed)
    pad_indices = np.full(mask.shape, EMPTY_PLACE, dtype=np.int64)
    pad_indices[placed] = np.arange(len(unpad_indices))
    masked = placed & ~mask
    pad_indices[masked] = MASKED_PLACE - pad_indices[masked]
    return {PAD_INDICES: pad_indices, UNPAD_INDICES: unpad_indices.astype(np.int64)}


def _blank(part: npt.NDArray[Any], attended: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    if attended.all():
        return part
    whole = np.zeros((len(attended), *part.shape[1:]), dtype=part.dtype)
    whole[attended] = part[attended[: len(part)]]
    return whole
