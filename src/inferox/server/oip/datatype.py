"""The data types of the protocol's tensors."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np

from inferox.core import DataType


class Datatype(StrEnum):
    """The data type of a tensor, by its name on the wire."""

    BOOL = "BOOL"
    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FP16 = "FP16"
    FP32 = "FP32"
    FP64 = "FP64"
    BF16 = "BF16"
    BYTES = "BYTES"

    @classmethod
    def of(cls, dtype: DataType) -> Datatype:
        """Returns the datatype for a tensor of a model.

        Args:
            dtype: The data type in the model's signature.
        """
        return cls(_OF_MODELS[dtype])

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The NumPy dtype of its arrays: the same type, but float32 for BF16 (NumPy lacks it), and object for BYTES."""
        return _NUMPY_DTYPES[self]

    @property
    def size_bytes(self) -> int:
        """The size of one element on the wire.

        Raises:
            KeyError: For BYTES, whose elements vary in size.
        """
        return _SIZE_BYTES[self]

    @property
    def is_floating(self) -> bool:
        """True if it is a floating-point type."""
        return self in _FLOATING


_FLOATING = frozenset({Datatype.FP16, Datatype.FP32, Datatype.FP64, Datatype.BF16})

_NUMPY_DTYPES: dict[Datatype, np.dtype[Any]] = {
    Datatype.BOOL: np.dtype(np.bool_),
    Datatype.UINT8: np.dtype(np.uint8),
    Datatype.UINT16: np.dtype(np.uint16),
    Datatype.UINT32: np.dtype(np.uint32),
    Datatype.UINT64: np.dtype(np.uint64),
    Datatype.INT8: np.dtype(np.int8),
    Datatype.INT16: np.dtype(np.int16),
    Datatype.INT32: np.dtype(np.int32),
    Datatype.INT64: np.dtype(np.int64),
    Datatype.FP16: np.dtype(np.float16),
    Datatype.FP32: np.dtype(np.float32),
    Datatype.FP64: np.dtype(np.float64),
    Datatype.BF16: np.dtype(np.float32),
    Datatype.BYTES: np.dtype(np.object_),
}

_SIZE_BYTES: dict[Datatype, int] = {
    **{datatype: dtype.itemsize for datatype, dtype in _NUMPY_DTYPES.items() if datatype is not Datatype.BYTES},
    Datatype.BF16: 2,
}

_OF_MODELS = {
    DataType.F64: "FP64",
    DataType.F32: "FP32",
    DataType.F16: "FP16",
    DataType.BF16: "BF16",
    DataType.I64: "INT64",
    DataType.I32: "INT32",
    DataType.I16: "INT16",
    DataType.I8: "INT8",
    DataType.U64: "UINT64",
    DataType.U32: "UINT32",
    DataType.U16: "UINT16",
    DataType.U8: "UINT8",
    DataType.BOOL: "BOOL",
}
