"""The data types that tensors can have."""

from __future__ import annotations

from enum import Enum
from functools import cached_property
from typing import Any

import numpy as np

from inferox.core.errors import UnsupportedDTypeError


class DataType(Enum):
    """The type of a tensor's elements: four floating-point types, eight integer types and the boolean.

    The value is the name used everywhere: in manifests, on the command line and on the wire.
    """

    F64 = "f64"
    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    I64 = "i64"
    I32 = "i32"
    I16 = "i16"
    I8 = "i8"
    U64 = "u64"
    U32 = "u32"
    U16 = "u16"
    U8 = "u8"
    BOOL = "bool"

    def __str__(self) -> str:
        return self.value

    @property
    def size(self) -> int:
        """The size of one element in bytes."""
        return _SIZE_BYTES[self]

    @property
    def is_floating(self) -> bool:
        """True if this is a floating-point type, and so has NaN and infinities."""
        return self in _FLOATING

    @property
    def conversion_hint(self) -> str:
        """The way to convert an array or a tensor of another type, for error messages."""
        name = _NUMPY_NAMES[self]
        of_array = "" if self is DataType.BF16 else f"array.astype('{name}') or "
        return f"convert it, if its values allow that: {of_array}tensor.to(torch.{name})"

    @cached_property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The NumPy type with the same representation.

        Raises:
            UnsupportedDTypeError: For ``bf16``, which NumPy itself does not have.
        """
        if self is DataType.BF16:
            raise UnsupportedDTypeError(
                self,
                "numpy",
                [dtype for dtype in DataType if dtype is not DataType.BF16],
                hint="pass bf16 tensors on through DLPack, or ask for an f32 output",
            )
        return _NUMPY_DTYPES[self]

    @classmethod
    def parse(cls, name: str) -> DataType:
        """Finds a data type by its name.

        Args:
            name: One of the names, such as ``f32``.

        Raises:
            UnsupportedDTypeError: If there is no such data type.
        """
        try:
            return cls(name)
        except ValueError:
            raise UnsupportedDTypeError(name, "inferox", list(cls)) from None

    @classmethod
    def from_numpy(cls, dtype: np.dtype[Any]) -> DataType:
        """Finds the data type with the same representation as a NumPy type.

        The ``bfloat16`` that the package ml_dtypes adds to NumPy is recognised by its name.

        Args:
            dtype: A NumPy type in the machine's own byte order.

        Raises:
            UnsupportedDTypeError: If there is none: complex, text, objects, or a foreign byte order.
        """
        found = _BY_NUMPY_NAME.get(dtype.name)
        if found is None or not dtype.isnative:
            raise UnsupportedDTypeError(dtype.str if not dtype.isnative else dtype.name, "inferox", list(cls))
        return found


_FLOATING = frozenset({DataType.F64, DataType.F32, DataType.F16, DataType.BF16})

_NUMPY_NAMES = {
    DataType.F64: "float64",
    DataType.F32: "float32",
    DataType.F16: "float16",
    DataType.BF16: "bfloat16",
    DataType.I64: "int64",
    DataType.I32: "int32",
    DataType.I16: "int16",
    DataType.I8: "int8",
    DataType.U64: "uint64",
    DataType.U32: "uint32",
    DataType.U16: "uint16",
    DataType.U8: "uint8",
    DataType.BOOL: "bool",
}

_NUMPY_DTYPES = {dtype: np.dtype(name) for dtype, name in _NUMPY_NAMES.items() if dtype is not DataType.BF16}

_BY_NUMPY_NAME = {name: dtype for dtype, name in _NUMPY_NAMES.items()}

_SIZE_BYTES = {
    DataType.F64: 8,
    DataType.F32: 4,
    DataType.F16: 2,
    DataType.BF16: 2,
    DataType.I64: 8,
    DataType.I32: 4,
    DataType.I16: 2,
    DataType.I8: 1,
    DataType.U64: 8,
    DataType.U32: 4,
    DataType.U16: 2,
    DataType.U8: 1,
    DataType.BOOL: 1,
}
