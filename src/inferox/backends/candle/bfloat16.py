"""DLPack for ``bf16``, which NumPy lacks: the same bits as 16-bit integers, with the type's code changed.

Source: the DLPack specification, ``dlpack.h``: a capsule named ``dltensor`` holds a ``DLManagedTensor``, which begins
with the pointer to the data (8 bytes), the device (4 + 4), the number of axes (4), and then the type's code (1 byte).
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

_NAME = b"dltensor"
_CODE_OFFSET_BYTES = 20
_INTEGER, _BFLOAT = 0, 4

_pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_of.restype = ctypes.c_void_p
_pointer_of.argtypes = [ctypes.py_object, ctypes.c_char_p]


def export_bits(bits: npt.NDArray[np.int16]) -> Any:
    """Exports the bits of ``bf16`` numbers as a DLPack capsule of that type.

    Args:
        bits: The bits, in writable memory; int16.
    """
    capsule = bits.__dlpack__()
    _set_code(capsule, _BFLOAT)
    return capsule


def import_bits(source: Any) -> npt.NDArray[np.int16]:
    """Imports the bits of a ``bf16`` tensor on the CPU.

    Args:
        source: An object with ``__dlpack__`` whose type is ``bf16``.

    Returns:
        The bits; int16, in the source's memory.
    """
    capsule = source.__dlpack__()
    _set_code(capsule, _INTEGER)
    bits: npt.NDArray[Any] = np.from_dlpack(_Holder(capsule))
    return bits


def is_bfloat16(source: Any) -> bool:
    """Returns whether a tensor exports ``bf16`` through DLPack."""
    return _code_of(source.__dlpack__()) == _BFLOAT


class _Holder:
    """An object that hands a capsule to NumPy, which requests it from an object."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0


def _code_of(capsule: Any) -> int:
    return int(_byte(capsule).value)


def _set_code(capsule: Any, code: int) -> None:
    _byte(capsule).value = code


def _byte(capsule: Any) -> ctypes.c_uint8:
    address = _pointer_of(capsule, _NAME)
    return ctypes.c_uint8.from_address(address + _CODE_OFFSET_BYTES)
