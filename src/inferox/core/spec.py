"""Signatures: the named tensors that a model takes and returns, whose dims are fixed or named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core.dtype import DataType
from inferox.core.errors import (
    DTypeMismatchError,
    InputTooLongError,
    ManifestError,
    RequestError,
    ShapeMismatchError,
    UnknownInputError,
)
from inferox.core.json_reader import MAX_INTEGER
from inferox.core.kinds import find_kind
from inferox.core.shown_text import shown
from inferox.core.tensor import TensorLike, dtype_of

Dim = int | str
"""One dim: a number if its extent is fixed, a name such as ``batch`` or ``seq`` if every call may choose it."""

BATCH = "batch"
"""The dim that counts rows: independent items that may be computed together."""

SEQUENCE = "seq"
"""The dim that counts the tokens of a row."""

TOKENS = "tokens"
"""The dim that counts the tokens of all rows together, in the packed layout."""

MASK = "attention_mask"
"""The input of a padded layout that tells tokens from padding: [batch, seq], 1 and 0."""

PAD_INDICES = "pad_indices"
"""The input of the packed layout with the token at each place of the padded batch: [batch, seq], int64.

``EMPTY_PLACE`` where there is none.
"""

UNPAD_INDICES = "unpad_indices"
"""The input of the packed layout with each token's place in the padded batch, ``row * seq + position``: [tokens]."""

EMPTY_PLACE = -1
"""The value in the pad indices at places that hold no token."""

_NAME_CHARACTERS = 1024
"""The most characters of a tensor's or dim's name: exporters put whole module paths there."""

_MAX_AXES = 64
"""The most axes that NumPy's arrays have."""

_MAX_EXTENT = 2**31 - 1
"""The largest fixed extent of an axis: some runtimes index with 32 bits."""

_UNITS = {BATCH: "rows", SEQUENCE: "tokens"}
"""The units that the usual dims count."""


@dataclass(frozen=True)
class TensorSpec:
    """One named tensor of a signature.

    Attributes:
        name: The tensor's name.
        dtype: The type of its elements.
        dims: The extent of each axis. Equal names have equal extents within one call.
        upper_bound: For indices, the exclusive upper bound; none may be negative. ``None`` if nothing is known about
            the elements.
    """

    name: str
    dtype: DataType
    dims: tuple[Dim, ...]
    upper_bound: int | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}{self.shape_text}"

    @property
    def shape_text(self) -> str:
        """The dims as text, such as ``[batch, seq, 384]``."""
        return f"[{', '.join(str(dim) for dim in self.dims)}]"

    def allows(self, shape: Sequence[int], extents: Mapping[Dim, int]) -> bool:
        """Returns whether a shape is allowed for this tensor.

        Args:
            shape: The shape.
            extents: The extents of named dims in this call; a dim that is not listed may have any.
        """
        if len(shape) != len(self.dims):
            return False
        expected = (
            dim if isinstance(dim, int) else extents.get(dim, extent)
            for dim, extent in zip(self.dims, shape, strict=True)
        )
        return tuple(shape) == tuple(expected)

    def shape_for(self, extents: Mapping[str, int]) -> tuple[int, ...]:
        """Returns the shape of this tensor in a call.

        Args:
            extents: The extents of named dims in this call; one that is not listed counts as 0.
        """
        return tuple(extents.get(dim, 0) if isinstance(dim, str) else dim for dim in self.dims)

    def check(self, value: TensorLike, bindings: dict[str, int]) -> None:
        """Checks the data type and shape of a tensor against this specification.

        Args:
            value: The tensor.
            bindings: The extents that named dims have taken so far in this call; new ones are added.

        Raises:
            DTypeMismatchError: If the data type differs.
            ShapeMismatchError: If an extent differs from the fixed one, or from what its name already stands for.
        """
        actual = dtype_of(value)
        if actual is not self.dtype:
            raise DTypeMismatchError(f"input {self.name!r}", self.dtype, actual, hint=self.dtype.conversion_hint)
        if len(value.shape) != len(self.dims):
            raise ShapeMismatchError(f"input {self.name!r}", self.shape_text, value.shape)
        for dim, extent in zip(self.dims, value.shape, strict=True):
            expected = bindings.setdefault(dim, extent) if isinstance(dim, str) else dim
            if expected != extent:
                bound = f"{dim} is {expected} in another input" if isinstance(dim, str) else None
                raise ShapeMismatchError(f"input {self.name!r}", self.shape_text, value.shape, hint=bound)

    def check_indices(self, value: TensorLike) -> None:
        """Checks that each index is below the upper bound: some runtimes would read beyond the end of a table.

        Args:
            value: The tensor. One on an accelerator is not checked.

        Raises:
            RequestError: If an index is out of range.
        """
        upper_bound = self.upper_bound
        if upper_bound is None or (not isinstance(value, np.ndarray) and value.device.kind != "cpu"):
            return
        array = value if isinstance(value, np.ndarray) else value.numpy()
        if array.size and not _are_below(array, upper_bound):
            wrong = int(array[(array < 0) | (array >= upper_bound)].flat[0])
            raise RequestError(f"input {self.name!r} must hold numbers from 0 to {upper_bound - 1}, but holds {wrong}")

    def to_json(self) -> dict[str, Any]:
        """Returns the specification as the manifest stores it."""
        upper_bound = {} if self.upper_bound is None else {"upper_bound": self.upper_bound}
        return {"name": self.name, "dtype": self.dtype.value, "dims": list(self.dims), **upper_bound}

    @classmethod
    def from_json(cls, data: Any) -> TensorSpec:
        """Reads a specification from a manifest.

        Raises:
            UnknownKindError: If this version does not know its data type.
            ManifestError: If a field is missing or of the wrong type.
        """
        try:
            name, stated, dims = data["name"], data["dtype"], data["dims"]
        except (KeyError, TypeError) as error:
            raise ManifestError(f"a tensor needs name, dtype and dims, but is {shown(data)}") from error
        dtype = find_kind("data type", DataType, stated, f"the dtype of {shown(name)}")
        if not _is_name(name):
            raise ManifestError(
                f"the name of a tensor must be 1 to {_NAME_CHARACTERS} printable characters, but is {shown(name)}"
            )
        if not isinstance(dims, list) or len(dims) > _MAX_AXES or not all(_is_dim(dim) for dim in dims):
            raise ManifestError(
                f"the dims of {name!r} must be at most {_MAX_AXES} names or numbers from 0 to {_MAX_EXTENT}, but are "
                f"{shown(dims)}"
            )
        upper_bound = data.get("upper_bound")
        if upper_bound is not None and not _is_count(upper_bound):
            raise ManifestError(
                f"'upper_bound' of {name!r} must be a positive 64-bit integer, but is {shown(upper_bound)}"
            )
        return cls(name, dtype, tuple(dims), upper_bound)


def _are_below(indices: npt.NDArray[Any], upper_bound: int) -> bool:
    """Returns whether all indices are at least 0 and below a bound. The array must not be empty."""
    if indices.dtype.kind != "i":
        return bool(indices.min() >= 0 and indices.max() < upper_bound)
    # Read as unsigned, negative numbers exceed all others: one pass over the array instead of two.
    greatest = 2 ** (8 * indices.itemsize - 1)
    return bool(indices.view(f"u{indices.itemsize}").max() < min(upper_bound, greatest))


@dataclass(frozen=True)
class Signature:
    """The named inputs and outputs of a model.

    Attributes:
        inputs: Every input; all are required.
        outputs: Every output.
        limits: The largest extent of each named dim that has a limit.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    limits: Mapping[str, int] = field(default_factory=dict, hash=False)

    @cached_property
    def input_names(self) -> tuple[str, ...]:
        """The names of the inputs, in the order in which the model takes them."""
        return tuple(spec.name for spec in self.inputs)

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """The names of the outputs, in the order in which the model returns them."""
        return tuple(spec.name for spec in self.outputs)

    def check_inputs(self, inputs: Mapping[str, TensorLike]) -> dict[str, int]:
        """Checks named tensors against the signature.

        Args:
            inputs: The tensors by name.

        Returns:
            The extent that each named dim of the inputs has in this call.

        Raises:
            UnknownInputError: If an input is missing or unknown.
            DTypeMismatchError: If a data type differs.
            ShapeMismatchError: If a shape differs, or two inputs disagree about a named dim.
            InputTooLongError: If the extent of a named dim is beyond its limit.
            RequestError: If an index is out of range.
        """
        bindings = self.check_shapes(inputs)
        for spec in self.inputs:
            spec.check_indices(inputs[spec.name])
        for dim, limit in self.limits.items():
            extent = bindings.get(dim, 0)
            if extent > limit:
                raise InputTooLongError(
                    "an input", length=extent, limit=limit, unit=_UNITS.get(dim, f"places along {dim}")
                )
        return bindings

    def check_shapes(self, inputs: Mapping[str, TensorLike]) -> dict[str, int]:
        """Checks only the names, data types and shapes of tensors; see ``check_inputs``.

        Args:
            inputs: The tensors by name.

        Returns:
            The extent that each named dim of the inputs has in this call.

        Raises:
            UnknownInputError: If an input is missing or unknown.
            DTypeMismatchError: If a data type differs.
            ShapeMismatchError: If a shape differs, or two inputs disagree about a named dim.
        """
        expected = self.input_names
        missing = [name for name in expected if name not in inputs]
        unexpected = [name for name in inputs if name not in expected]
        if missing or unexpected:
            raise UnknownInputError(missing=missing, unexpected=unexpected, expected=expected)
        bindings: dict[str, int] = {}
        for spec in self.inputs:
            spec.check(inputs[spec.name], bindings)
        return bindings

    def fixed(self, extents: Mapping[str, int]) -> Signature:
        """Returns the signature with numbers in place of named dims that turned out to be fixed.

        Args:
            extents: The extent by the dim's name.
        """

        def fix(spec: TensorSpec) -> TensorSpec:
            dims = tuple(extents.get(dim, dim) if isinstance(dim, str) else dim for dim in spec.dims)
            return replace(spec, dims=dims)

        return Signature(tuple(map(fix, self.inputs)), tuple(map(fix, self.outputs)), self.limits)

    def to_json(self) -> dict[str, Any]:
        """Returns the signature as the manifest stores it."""
        return {
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
            **({"limits": dict(self.limits)} if self.limits else {}),
        }

    @classmethod
    def from_json(cls, data: Any) -> Signature:
        """Reads a signature from a manifest.

        Raises:
            ManifestError: If a field is missing or of the wrong type, or a name appears twice.
        """
        if not isinstance(data, dict) or not all(isinstance(data.get(side), list) for side in ("inputs", "outputs")):
            raise ManifestError(f"a signature needs the lists inputs and outputs, but is {shown(data)}")
        inputs, outputs = (tuple(TensorSpec.from_json(item) for item in data[side]) for side in ("inputs", "outputs"))
        for side, specs in (("inputs", inputs), ("outputs", outputs)):
            names = [spec.name for spec in specs]
            if len(set(names)) != len(names):
                raise ManifestError(f"the {side} of a signature must have different names, but are {shown(names)}")
        limits = data.get("limits", {})
        if not isinstance(limits, dict) or not all(_is_name(dim) and _is_count(limit) for dim, limit in limits.items()):
            raise ManifestError(
                f"the limits of a signature must give a positive integer for each dim, but are {shown(limits)}"
            )
        return cls(inputs, outputs, limits)


def _is_dim(dim: Any) -> bool:
    return _is_name(dim) or (type(dim) is int and 0 <= dim <= _MAX_EXTENT)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _NAME_CHARACTERS and value.isprintable()


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= MAX_INTEGER
