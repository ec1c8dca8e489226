"""Unnamed files through which processes share memory: nothing is left behind, however they end."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import sys
import tempfile
import weakref
from collections.abc import Iterable

_CAN_SEAL = hasattr(os, "memfd_create") and hasattr(os, "MFD_ALLOW_SEALING")


def make_file(pieces: Iterable[bytes | memoryview]) -> int:
    """Writes an unnamed file, in memory and sealed against changes if the system supports it.

    Args:
        pieces: Its content.

    Returns:
        Its descriptor, which the caller closes.

    Raises:
        OSError: If there is no memory, or no descriptor.
    """
    descriptor = open_file()
    try:
        for piece in pieces:
            _write_all(descriptor, memoryview(piece))
        if _CAN_SEAL:
            import fcntl

            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_file() -> int:
    """Opens an empty, unnamed file.

    Returns:
        Its descriptor, which the caller closes.

    Raises:
        OSError: If there is no memory, or no descriptor.
    """
    if hasattr(os, "memfd_create"):
        return os.memfd_create("inferox", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    descriptor, path = tempfile.mkstemp(prefix="inferox-")
    os.unlink(path)  # noqa: PTH108 - it has a descriptor, and is to have no path
    return descriptor


def map_file(descriptor: int, size_bytes: int) -> memoryview:
    """Maps a file that another process has written, read-only and without a copy.

    Args:
        descriptor: The file; it is closed.
        size_bytes: The number of bytes to map.

    Raises:
        ValueError: If it is smaller than that, or could be truncated: access beyond its end would kill this process.
    """
    try:
        _refuse_if_unsafe(descriptor, size_bytes)
        return _map(descriptor, size_bytes)
    finally:
        os.close(descriptor)


def _map(descriptor: int, size_bytes: int) -> memoryview:
    """Maps a file without keeping its descriptor, since a caller that keeps many answers would run out of them."""
    # A shared mapping of a sealed file needs Linux 6.7; a private one that is only read shares the same pages.
    flags, protection = mmap.MAP_PRIVATE, mmap.PROT_READ
    if sys.version_info >= (3, 13):
        return memoryview(mmap.mmap(descriptor, size_bytes, flags=flags, prot=protection, trackfd=False))
    system = ctypes.CDLL(None, use_errno=True)
    system.mmap.restype = ctypes.c_void_p
    system.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64)
    system.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    address = system.mmap(None, size_bytes, protection, flags, descriptor, 0)
    if address in {None, ctypes.c_void_p(-1).value}:
        raise ValueError(f"a file from another process cannot be mapped: {os.strerror(ctypes.get_errno())}")
    mapped = (ctypes.c_ubyte * size_bytes).from_address(address)
    finalizer = weakref.finalize(mapped, system.munmap, address, size_bytes)
    finalizer.atexit = False  # views of it may be read until the very end
    return memoryview(mapped).cast("B").toreadonly()


def _refuse_if_unsafe(descriptor: int, size_bytes: int) -> None:
    if os.fstat(descriptor).st_size < size_bytes:
        raise ValueError("a file from another process is smaller than it says")
    if _CAN_SEAL:
        import fcntl

        if not fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
            raise ValueError("a file from another process is not sealed")


def _write_all(descriptor: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(descriptor, piece) :]


def close_quietly(descriptors: Iterable[int]) -> None:
    """Closes descriptors, whatever state they are in.

    Args:
        descriptors: The descriptors.
    """
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.close(descriptor)
