"""Rows of different lengths as one padded tensor, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import (
    BATCH,
    Dim,
    DTypeMismatchError,
    ShapeMismatchError,
    Signature,
    TensorSpec,
    UnknownInputError,
    dtype_of,
)

Row = Mapping[str, npt.NDArray[Any]]
"""One item: the model's inputs by name, without the batch dim, and whatever else its task needs to read the outputs."""


def pad_rows(rows: Sequence[Row], signature: Signature, pad_values: Mapping[str, int]) -> dict[str, npt.NDArray[Any]]:
    """Lays rows out as a batch: padded at their ends to the longest row, or to a fixed extent of the signature.

    Args:
        rows: At least one row. Arrays that the signature does not list are left out.
        signature: The inputs. The first dim of each is ``batch``, or a number that the number of rows must equal.
        pad_values: The number that an input is padded with. An input that is not listed is never padded: its rows must
            be alike.

    Returns:
        Each input of the signature by name, in the signature's data type; shape ``[rows, ...]``.

    Raises:
        UnknownInputError: If a row lacks an input.
        DTypeMismatchError: If an array has another data type than the signature says.
        ShapeMismatchError: If there are no rows, if an array does not fit the signature's dims, or if rows differ in an
            input that is not padded.
    """
    if not rows:
        raise ShapeMismatchError("a batch", f"[{BATCH} >= 1]", [0])
    extents = [row_extents(row, signature) for row in rows]
    longest = {dim: max(extent[dim] for extent in extents) for dim in extents[0]}
    return {
        spec.name: _pad([row[spec.name] for row in rows], spec, longest, pad_values.get(spec.name))
        for spec in signature.inputs
    }


def split_rows(
    outputs: Mapping[str, npt.NDArray[Any]], rows: Sequence[Row], signature: Signature
) -> list[dict[str, npt.NDArray[Any]]]:
    """Cuts each row's own part out of a batch's outputs.

    Args:
        outputs: The outputs by name; shape ``[rows, ...]``.
        rows: The rows that the batch was laid out from.
        signature: The dims of the inputs and outputs. A named dim of an output is as long as that dim of the row's
            inputs.

    Returns:
        The outputs of each row by name, without the batch dim: views of the batch's memory.

    Raises:
        ShapeMismatchError: If an output has not one entry for each row, or is shorter than a row.
    """
    for spec in signature.outputs:
        shape = outputs[spec.name].shape
        if len(shape) != len(spec.dims) or shape[0] != len(rows):
            raise ShapeMismatchError(f"output {spec.name!r} of a batch of {len(rows)} rows", spec.shape_text, shape)
    return [_cut(outputs, index, row_extents(row, signature), signature) for index, row in enumerate(rows)]


def row_extents(row: Row, signature: Signature) -> dict[str, int]:
    """The extent of each named dim, but the batch, in one row.

    Args:
        row: The row.
        signature: The inputs that it must have.

    Raises:
        UnknownInputError: If the row lacks an input.
        DTypeMismatchError: If an array has another data type than the signature says.
        ShapeMismatchError: If an array has another number of dims than the signature says, or two arrays disagree about
            a named dim.
    """
    missing = [name for name in signature.input_names if name not in row]
    if missing:
        raise UnknownInputError(missing=missing, unexpected=(), expected=signature.input_names)
    extents: dict[str, int] = {}
    for spec in signature.inputs:
        array = row[spec.name]
        if array.dtype != spec.dtype.numpy_dtype:
            raise DTypeMismatchError(f"input {spec.name!r}", spec.dtype, dtype_of(array))
        if array.ndim != len(spec.dims) - 1:
            raise _mismatch(spec, array)
        for dim, extent in zip(spec.dims[1:], array.shape, strict=True):
            if isinstance(dim, str) and extents.setdefault(dim, extent) != extent:
                raise _mismatch(spec, array, hint=f"{dim} is {extents[dim]} in another input")
    return extents


def _pad(
    arrays: Sequence[npt.NDArray[Any]], spec: TensorSpec, longest: Mapping[str, int], pad_value: int | None
) -> npt.NDArray[Any]:
    if isinstance(spec.dims[0], int) and spec.dims[0] != len(arrays):
        raise ShapeMismatchError(f"input {spec.name!r}", spec.shape_text, [len(arrays), *arrays[0].shape])
    target = tuple(_extent(dim, longest) for dim in spec.dims[1:])
    for array in arrays:
        fits = array.shape == target if pad_value is None else all(np.less_equal(array.shape, target))
        if not fits:
            raise _mismatch(spec, array, hint=f"a row of this batch must have the shape {list(target)}")
    if all(array.shape == target for array in arrays):
        return np.stack(arrays)
    padded = np.full((len(arrays), *target), pad_value, dtype=spec.dtype.numpy_dtype)
    for index, array in enumerate(arrays):
        padded[index][tuple(slice(extent) for extent in array.shape)] = array
    return padded


def _cut(
    outputs: Mapping[str, npt.NDArray[Any]], index: int, extents: Mapping[str, int], signature: Signature
) -> dict[str, npt.NDArray[Any]]:
    cut = {}
    for spec in signature.outputs:
        whole = outputs[spec.name][index]
        wanted = [
            extents.get(dim, size) if isinstance(dim, str) else size
            for dim, size in zip(spec.dims[1:], whole.shape, strict=True)
        ]
        cut[spec.name] = whole[tuple(slice(extent) for extent in wanted)]
        if cut[spec.name].shape != tuple(wanted):
            raise ShapeMismatchError(f"output {spec.name!r} of row {index}", str(wanted), whole.shape)
    return cut


def _extent(dim: Dim, longest: Mapping[str, int]) -> int:
    return longest[dim] if isinstance(dim, str) else dim


def _mismatch(spec: TensorSpec, array: npt.NDArray[Any], *, hint: str | None = None) -> ShapeMismatchError:
    dims = ", ".join(str(dim) for dim in spec.dims[1:])
    return ShapeMismatchError(f"input {spec.name!r} of a row", f"[{dims}]", array.shape, hint=hint)
