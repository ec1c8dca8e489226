"""Denial of network access to a process and its children."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from dataclasses import dataclass

_NO_NEW_PRIVILEGES = 38
"""The option of ``prctl`` without which only root may filter system calls."""

_SET_FILTER, _FOR_ALL_THREADS = 1, 1
"""The operation and the flag of ``seccomp``: install a filter, for all threads."""

_IO_URING_SETUP = 425
"""The system call of io_uring, whose rings can make sockets without the ``socket`` call."""

_OTHER_NUMBERS = 0x40000000
"""The number from which x86-64 repeats the same calls under other numbers (x32)."""

_INSTRUCTION = struct.Struct("=HBBI")
_LOAD, _IS_EQUAL, _IS_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET = 0, 4
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


@dataclass(frozen=True)
class _Calls:
    """The numbers of an architecture and of its system calls that matter here."""

    architecture: int
    socket: int
    seccomp: int


_CALLS = {"x86_64": _Calls(0xC000003E, 41, 317), "aarch64": _Calls(0xC00000B7, 198, 277)}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def deny_sockets() -> bool:
    """Permanently denies new sockets to this process, its threads and its children. Open sockets stay open.

    It installs a Linux system call filter (seccomp), which needs no privileges.

    Returns:
        Whether it was done; ``False`` on other systems or processors, or where filters are not allowed.
    """
    calls = _CALLS.get(platform.machine())
    if sys.platform != "linux" or calls is None:
        return False
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0:
        return False
    filters = _write_filter(calls)
    program = _Program(len(filters) // _INSTRUCTION.size, filters)
    return bool(library.syscall(calls.seccomp, _SET_FILTER, _FOR_ALL_THREADS, ctypes.byref(program)) == 0)


def _write_filter(calls: _Calls) -> bytes:
    """Encodes the filter. The two middle numbers are the instructions to skip if a test succeeds, and if it fails."""
    instructions = (
        (_LOAD, 0, 0, _ARCHITECTURE_OFFSET),
        (_IS_EQUAL, 0, 5, calls.architecture),  # programs of 32 bits have other numbers
        (_LOAD, 0, 0, _NUMBER_OFFSET),
        (_IS_AT_LEAST, 3, 0, _OTHER_NUMBERS),
        (_IS_EQUAL, 2, 0, calls.socket),
        (_IS_EQUAL, 1, 0, _IO_URING_SETUP),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    )
    return b"".join(_INSTRUCTION.pack(*instruction) for instruction in instructions)
