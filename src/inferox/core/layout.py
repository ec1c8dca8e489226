"""Conversion between ragged batches and padded tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core.batch import Array, Batch
from inferox.core.errors import (
    DTypeMismatchError,
    InputTooLongError,
    RequestError,
    ShapeMismatchError,
    UnknownInputError,
)
from inferox.core.shown_text import counted
from inferox.core.spec import BATCH, MASK, Signature, TensorSpec
from inferox.core.tensor import dtype_of


def check_batch(batch: Batch, signature: Signature) -> None:
    """Checks that a batch has every input of a model, with the right types, axes, lengths and indices.

    A batch that was checked for a signature is not checked for it again, nor are rows selected from it.

    Args:
        batch: The batch.
        signature: The padded signature of the model.

    Raises:
        UnknownInputError: If an input is missing.
        DTypeMismatchError: If an input's data type differs from the signature.
        ShapeMismatchError: If an input's number of axes differs from the signature, or a row has no tokens.
        InputTooLongError: If a row is longer than the model takes.
        RequestError: If an index is out of range, or the model's mask has other dims than ``[batch, seq]``.
    """
    if batch.checked_for is signature:
        return
    missing = [name for name in signature.input_names if name not in batch.ragged and name not in batch.dense]
    if MASK in missing and batch.ragged:
        missing.remove(MASK)
        _check_mask(next(spec for spec in signature.inputs if spec.name == MASK))
    if missing:
        raise UnknownInputError(missing=missing, unexpected=(), expected=signature.input_names)
    longest = batch.longest if batch.ragged else 0
    for spec in signature.inputs:
        if spec.name in batch.ragged:
            _check_array(batch.ragged[spec.name], spec, len(spec.dims) - 1)
            limit = signature.limits.get(spec.dims[1]) if isinstance(spec.dims[1], str) else None
            if limit is not None and longest > limit:
                row = int(batch.lengths.argmax())
                error = InputTooLongError(f"row {row}", length=longest, limit=limit, unit="tokens")
                raise error.naming_item(row, "row {}")
        elif spec.name in batch.dense:
            array = batch.dense[spec.name]
            for part in array if array.dtype == object else (array,):
                _check_array(part, spec, len(spec.dims) - (array.dtype == object))
                _check_extents(part, spec, signature)
    if batch.ragged and not batch.lengths.all():
        row = int(batch.lengths.argmin())
        hint = "leave out rows that are empty"
        raise ShapeMismatchError(f"row {row}", "[tokens >= 1]", [0], hint=hint).naming_item(row, "row {}")
    batch.note_check(signature)


def _check_mask(spec: TensorSpec) -> None:
    if len(spec.dims) != 2:  # noqa: PLR2004 - batch and seq
        raise RequestError(
            f"a mask is made for [{BATCH}, seq], but the model takes {spec}",
            hint="use the task raw, which passes tensors on as they are",
        )


def _check_array(array: Array, spec: TensorSpec, axes: int) -> None:
    if array.dtype != spec.dtype.numpy_dtype:
        raise DTypeMismatchError(f"input {spec.name!r}", spec.dtype, dtype_of(array), hint=spec.dtype.conversion_hint)
    if array.ndim != axes:
        raise _mismatch(spec, array.shape)
    if spec.upper_bound is not None:
        spec.check_indices(array)


def _check_extents(array: Array, spec: TensorSpec, signature: Signature) -> None:
    dims = spec.dims[len(spec.dims) - array.ndim :]
    for dim, extent in zip(dims, array.shape, strict=True):
        if extent == 0 and dim != spec.dims[0]:
            raise _mismatch(spec, array.shape, hint="leave out rows that are empty")
        limit = signature.limits.get(dim) if isinstance(dim, str) else None
        if limit is not None and extent > limit:
            raise InputTooLongError("an input", length=extent, limit=limit, unit=f"places along {dim}")


def pad_batch(batch: Batch, signature: Signature) -> dict[str, Array]:
    """Pads a batch: each row to the length of the longest, or to the signature's fixed length.

    Args:
        batch: At least one row. Inputs that the signature does not list are left out.
        signature: The padded signature. The first dim of each input is ``batch``, or a number that the number of rows
            must equal. ``attention_mask`` is derived from the rows' lengths.

    Returns:
        Each input of the signature by name, in the signature's data type; shape ``[rows, ...]``.

    Raises:
        UnknownInputError: If an input is missing.
        DTypeMismatchError: If an input has another data type than the signature says.
        ShapeMismatchError: If there are no rows, if an input does not fit the signature's dims, or if rows differ in an
            input that is not padded.
    """
    rows = batch.row_count
    if not rows:
        raise ShapeMismatchError("a batch", f"[{BATCH} >= 1]", [0])
    check_batch(batch, signature)
    padded: dict[str, Array] = {}
    places: dict[int, npt.NDArray[np.bool_]] = {}
    for spec in signature.inputs:
        if isinstance(spec.dims[0], int) and spec.dims[0] != rows:
            raise ShapeMismatchError(f"input {spec.name!r}", spec.shape_text, [rows])
        if spec.name in batch.dense:
            padded[spec.name] = _stack(batch.dense[spec.name], spec)
        else:
            padded[spec.name] = _pad(batch, spec, places)
    return padded


def token_places(lengths: npt.NDArray[np.int64], longest: int) -> npt.NDArray[np.bool_]:
    """Computes the mask of a padded batch: the places that hold tokens.

    Args:
        lengths: The length of each row; shape ``[rows]``.
        longest: The length to which rows are padded.

    Returns:
        Shape ``[rows, longest]``, bool.
    """
    places: npt.NDArray[np.bool_] = np.arange(longest) < lengths[:, None]
    return places


def _pad(batch: Batch, spec: TensorSpec, places: dict[int, npt.NDArray[np.bool_]]) -> Array:
    rows, longest, (_, dim, *_) = batch.row_count, batch.longest, spec.dims
    target = longest if isinstance(dim, str) else dim
    if longest > target:
        raise _mismatch(spec, [longest], hint=f"a row of this batch must have a length of up to {target}")
    if target not in places:  # as it is for each input but the first
        places[target] = token_places(batch.lengths, target)
    if spec.name == MASK and MASK not in batch.ragged:
        return places[target].astype(spec.dtype.numpy_dtype)
    values, pad_value = batch.ragged[spec.name], batch.pad_values.get(spec.name)
    if batch.token_count == rows * target:
        return values.reshape(rows, target, *values.shape[1:])
    if pad_value is None:
        different = int(batch.lengths[batch.lengths != target][0])
        raise _mismatch(spec, [different], hint=f"a row of this batch must have the length {target}")
    if spec.upper_bound is not None and not 0 <= pad_value < spec.upper_bound:
        spec.check_indices(np.array(pad_value))
    padded = np.full((rows, target, *values.shape[1:]), pad_value, dtype=spec.dtype.numpy_dtype)
    padded[places[target]] = values
    return padded


def _stack(array: Array, spec: TensorSpec) -> Array:
    shapes = {part.shape for part in array} if array.dtype == object else {array.shape[1:]}
    for shape in shapes:
        fits = all(isinstance(dim, str) or dim == extent for dim, extent in zip(spec.dims[1:], shape, strict=True))
        if not fits or len(shapes) > 1:
            raise _mismatch(spec, shape, hint="rows that share a batch must have the same shape")
    return np.stack(list(array)) if array.dtype == object else array


def _mismatch(spec: TensorSpec, shape: Any, *, hint: str | None = None) -> ShapeMismatchError:
    dims = ", ".join(str(dim) for dim in spec.dims[1:])
    return ShapeMismatchError(f"input {spec.name!r} of a row", f"[{dims}]", shape, hint=hint)


def ragged_dims(batch: Batch, signature: Signature) -> frozenset[str]:
    """The named dims along which a batch's rows differ in length; the height and width of an image are not among them.

    Args:
        batch: The batch.
        signature: The padded signature.
    """
    specs = [spec for spec in signature.inputs if spec.name in batch.ragged]
    return frozenset(dim for spec in specs for dim in spec.dims[1:2] if isinstance(dim, str))


def unpad(array: Array, lengths: npt.NDArray[np.int64]) -> Array:
    """Lays the rows of a padded tensor end to end, without their padding.

    Args:
        array: Shape ``[rows, seq, ...]``.
        lengths: The length of each row; shape ``[rows]``.

    Returns:
        Shape ``[tokens, ...]``; a view of the same memory if there is no padding.

    Raises:
        ShapeMismatchError: If the tensor is shorter than a row.
    """
    longest = int(lengths.max(initial=0))
    if array.ndim < 2 or array.shape[1] < longest:  # noqa: PLR2004 - rows and seq
        raise ShapeMismatchError(f"a tensor of {counted(len(lengths), 'row')}", f"[rows, {longest}, ...]", array.shape)
    if bool((lengths == array.shape[1]).all()):
        return array.reshape(-1, *array.shape[2:])
    return array[token_places(lengths, array.shape[1])]
