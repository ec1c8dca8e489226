"""The packed layout: rows of different lengths end to end, without padding.

Every layer except attention treats each token alone, so the tokens of all rows can pass through it as one long row.
Only attention must know which tokens belong together. Two index tables tell it: ``pad_indices`` gives the token at
each place of the padded batch, and ``unpad_indices`` gives the place of each token in the padded batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inferox.core.batch import Array, Batch, to_cu_seqlens
from inferox.core.dtype import DataType
from inferox.core.empty_calls import require_tokens
from inferox.core.errors import RequestError, ShapeMismatchError
from inferox.core.layout import check_batch, token_places
from inferox.core.spec import (
    BATCH,
    EMPTY_PLACE,
    MASK,
    PAD_INDICES,
    SEQUENCE,
    TOKENS,
    UNPAD_INDICES,
    Signature,
    TensorSpec,
)

_PADDED_DIMS = (BATCH, SEQUENCE)

_TABLES = frozenset({PAD_INDICES, UNPAD_INDICES})


def can_be_packed(signature: Signature) -> bool:
    """Returns whether a padded signature has a packed form: all inputs are ``[batch, seq]``, one of them the mask."""
    return MASK in signature.input_names and all(spec.dims == _PADDED_DIMS for spec in signature.inputs)


def packed_signature(signature: Signature) -> Signature:
    """The packed form of a padded signature.

    Args:
        signature: A signature that can be packed.

    Returns:
        The same inputs and outputs with one axis ``tokens`` in place of ``batch, seq``, without the mask, and with
        ``pad_indices`` and ``unpad_indices``.
    """
    inputs = [replace(spec, dims=(TOKENS,)) for spec in signature.inputs if spec.name != MASK]
    tables = (TensorSpec(PAD_INDICES, DataType.I64, _PADDED_DIMS), TensorSpec(UNPAD_INDICES, DataType.I64, (TOKENS,)))
    outputs = [
        replace(spec, dims=(TOKENS, *spec.dims[2:])) if spec.dims[:2] == _PADDED_DIMS else spec
        for spec in signature.outputs
    ]
    return Signature((*inputs, *tables), tuple(outputs), signature.limits)


def padded_signature(signature: Signature) -> Signature:
    """The padded form of a packed signature, with the mask as its second input.

    Args:
        signature: A packed signature.
    """
    inputs = [replace(spec, dims=_PADDED_DIMS) for spec in signature.inputs if spec.name not in _TABLES]
    inputs.insert(1, TensorSpec(MASK, DataType.I64, _PADDED_DIMS))
    outputs = [
        replace(spec, dims=(*_PADDED_DIMS, *spec.dims[1:])) if spec.dims[:1] == (TOKENS,) else spec
        for spec in signature.outputs
    ]
    return Signature(tuple(inputs), tuple(outputs), signature.limits)


def pack_batch(batch: Batch, signature: Signature) -> dict[str, Array]:
    """Adds the two index tables of the packed layout to a batch.

    Args:
        batch: At least one row.
        signature: The padded signature of the model.

    Returns:
        Each input of the packed signature by name; those of the batch as they are.

    Raises:
        UnknownInputError: If an input is missing.
        DTypeMismatchError: If an input has another data type than the signature says.
        ShapeMismatchError: If there are no rows, or one has no tokens.
        RequestError: If an input is dense, or the batch brings a mask.
    """
    rows = batch.row_count
    if not rows:
        raise ShapeMismatchError("a batch", f"[{BATCH} >= 1]", [0])
    check_batch(batch, signature)
    dense = [name for name in signature.input_names if name in batch.dense]
    if dense or MASK in batch.ragged:
        raise RequestError(
            f"a packed batch must have neither dense inputs nor a mask, but has {', '.join(dense) or MASK}",
            hint="use forward, which takes padded tensors, or an artifact of the padded layout",
        )
    tokens = {name: batch.ragged[name] for name in signature.input_names if name != MASK}
    longest = batch.longest
    order = np.arange(batch.token_count, dtype=np.int64)
    # Row i begins at the place i * longest of the padded batch.
    padding_before = np.arange(0, rows * longest, longest) - batch.cu_seqlens[:-1]
    unpad_indices = order + np.repeat(padding_before, batch.lengths)
    pad_indices = np.empty(rows * longest, dtype=np.int64)
    pad_indices.fill(EMPTY_PLACE)
    pad_indices[unpad_indices] = order
    return {**tokens, PAD_INDICES: pad_indices.reshape(rows, longest), UNPAD_INDICES: unpad_indices}


def read_padded(inputs: Mapping[str, Array], signature: Signature) -> tuple[Batch, npt.NDArray[np.int64]]:
    """Removes the padding of a padded batch according to its mask.

    Args:
        inputs: The inputs by name, as the padded signature lists them.
        signature: The padded signature.

    Returns:
        The rows that have tokens, and the length of every row, shape ``[rows]``.

    Raises:
        RequestError: If a mask is not ones followed by zeros; or if a row has no tokens, and the model has outputs for
            whole rows.
    """
    require_tokens(inputs, signature)
    mask = inputs[MASK] != 0
    lengths = mask.sum(axis=1, dtype=np.int64)
    places = token_places(lengths, mask.shape[1])
    if not np.array_equal(mask, places):
        row = int((mask != places).any(axis=1).argmax())
        raise RequestError(
            f"the {MASK} of row {row} is not ones followed by zeros, and this artifact computes packed rows",
            hint="pad rows at their ends, or load an artifact of the padded layout",
        )
    tokens = {spec.name: inputs[spec.name][places] for spec in signature.inputs if spec.name != MASK}
    return Batch(tokens, {}, to_cu_seqlens(lengths[lengths > 0])), lengths


def repad(tokens: Array, lengths: npt.NDArray[np.int64], longest: int) -> Array:
    """Lays tokens out as a padded tensor, with zeros for padding.

    Args:
        tokens: All rows end to end; shape ``[tokens, ...]``.
        lengths: The length of each row; shape ``[rows]``.
        longest: The length to which rows are padded.

    Returns:
        Shape ``[rows, longest, ...]``.
    """
    padded = np.zeros((len(lengths), longest, *tokens.shape[1:]), dtype=tokens.dtype)
    padded[token_places(lengths, longest)] = tokens
    return padded
