"""Conversion of a caller's inputs to tensors: numbers, lists, and tensors of any library that supports DLPack."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from inferox.core.dtype import DataType
from inferox.core.error_root import first_line
from inferox.core.errors import DTypeMismatchError, RequestError, UnknownInputError
from inferox.core.spec import MASK, Signature, TensorSpec
from inferox.core.tensor import Tensor, TensorBuilder, TensorLike

_DEFAULTS = {MASK: 1, "token_type_ids": 0}
"""The fill values of inputs that a caller may omit: every token is attended and belongs to the first text."""

_KINDS = {"U": "texts", "S": "bytes", "O": "other objects"}
"""The contents of arrays that are not numeric, by NumPy's kinds of data types."""


def name_inputs(given: tuple[Any, ...], named: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """Assigns names to the inputs of a call, as Python does for arguments.

    Args:
        given: The positional inputs, in the order of the signature; or one mapping of inputs by name.
        named: The inputs given by name.
        signature: The inputs.

    Raises:
        UnknownInputError: If there are more positional inputs than the signature has.
        RequestError: If an input is given twice.
    """
    names = signature.input_names
    if len(given) == 1 and isinstance(given[0], Mapping):
        names, given = tuple(given[0]), tuple(given[0].values())
    elif len(given) > len(names):
        surplus = [f"number {index + 1}" for index in range(len(names), len(given))]
        raise UnknownInputError(missing=(), unexpected=surplus, expected=names, positions=len(given))
    inputs = dict(zip(names, given, strict=False))
    twice = [name for name in named if name in inputs]
    if twice:
        raise RequestError(f"the input {twice[0]!r} is given twice")
    return {**inputs, **named}


def read_inputs(given: Mapping[str, Any], signature: Signature, builder: TensorBuilder) -> dict[str, TensorLike]:
    """Converts a caller's inputs to tensors of the signature's data types. Arrays and tensors keep their own types.

    ``attention_mask`` and ``token_type_ids`` may be omitted beside an input of the same dims: every token is then
    attended and belongs to the first text.

    Args:
        given: The inputs by name: Inferox's tensors, NumPy arrays, objects that support DLPack, or numbers and lists.
        signature: The signature.
        builder: Makes tensors.

    Raises:
        UnknownInputError: If an input is missing or unknown.
        RequestError: If a value is none of these, or a list is of lists that differ in length.
        DTypeMismatchError: If a number cannot be represented in the input's data type.
        UnsupportedDTypeError: If a tensor has a data type that the runtime lacks.
    """
    missing = missing_inputs(given, signature)
    unexpected = [name for name in given if name not in signature.input_names]
    if missing or unexpected:
        raise UnknownInputError(missing=missing, unexpected=unexpected, expected=signature.input_names)
    specs = {spec.name: spec for spec in signature.inputs}
    read = {name: _read(name, value, specs[name], builder) for name, value in given.items()}
    for name, number in _DEFAULTS.items():
        if name not in read and name in specs:
            beside = next(read[item.name] for item in signature.inputs if _is_beside(item, specs[name], read))
            read[name] = np.full(tuple(beside.shape), number, specs[name].dtype.numpy_dtype)
    return read


def missing_inputs(given: Container[str], signature: Signature) -> list[str]:
    """Lists the inputs that a call lacks, without those that may be omitted once the others are given.

    Args:
        given: The names of the given inputs.
        signature: The signature.
    """
    missing = [name for name in signature.input_names if name not in given and name not in _DEFAULTS]
    present = {name for name in signature.input_names if name in given or name in missing}
    specs = {spec.name: spec for spec in signature.inputs}
    for name in _DEFAULTS:  # in the order in which they are filled in
        if name in specs and name not in present:
            if not any(_is_beside(spec, specs[name], present) for spec in signature.inputs):
                missing.append(name)
            present.add(name)
    return missing


def _is_beside(spec: TensorSpec, left_out: TensorSpec, present: Container[str]) -> bool:
    return spec.name in present and spec.dims == left_out.dims and not left_out.dtype.is_floating


def _read(name: str, value: Any, spec: TensorSpec, builder: TensorBuilder) -> TensorLike:
    if isinstance(value, np.ma.MaskedArray):
        raise RequestError(
            f"input {name!r} is a masked array, and tensors have no masked elements",
            hint="fill them: array.filled(...)",
        )
    if isinstance(value, Tensor | np.ndarray):
        return value
    if hasattr(value, "__dlpack__"):
        return builder.from_dlpack(_detach(value))
    if not isinstance(value, bool | int | float | list | tuple | np.generic):
        raise RequestError(
            f"input {name!r} must be a tensor, an array, a number or a list of numbers, but is a value of the type "
            f"{type(value).__name__}",
            hint=_hint(is_text=isinstance(value, str)),
        )
    return _build(name, value, spec.dtype, builder)


def _hint(*, is_text: bool) -> str:
    if is_text:
        return "tensors are expected here; texts are for the method of the model's task, such as embed, or for run"
    return "make an array of numbers of it, in the data type that the signature states"


def _to_array(value: Any) -> np.ndarray[Any, Any]:
    try:
        return np.array(value)
    except RuntimeError:
        # PyTorch refuses to make arrays of tensors that record gradients.
        return np.array(_detach(value))


def _detach(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_detach(item) for item in value]
    return value.detach() if hasattr(value, "detach") else value


def _build(name: str, value: Any, dtype: DataType, builder: TensorBuilder) -> Tensor:
    try:
        array = _to_array(value)
    except ValueError as error:
        raise RequestError(
            f"input {name!r} has lists of different lengths, and a tensor has rows of one length",
            hint="give rows of different lengths one by one, or pad them",
        ) from error
    except (TypeError, RuntimeError) as error:  # what tensors of other libraries say that lie on a device
        raise RequestError(
            f"input {name!r} must hold numbers: {first_line(error)}", hint="give one tensor rather than a list of them"
        ) from error
    if array.dtype.kind not in "biuf":
        held = _KINDS.get(array.dtype.kind, array.dtype.name)
        raise RequestError(f"input {name!r} must hold numbers, but holds {held}", hint=_hint(is_text=held == "texts"))
    try:
        return builder.from_slice(array.ravel().tolist(), array.shape, dtype)
    except DTypeMismatchError as error:
        raise DTypeMismatchError(f"input {name!r}: {error.subject}", error.expected, error.actual) from None
