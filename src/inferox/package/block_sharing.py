"""Copies of files that share disk blocks: they take no space or time, and either file may change afterwards."""

from __future__ import annotations

import struct
import sys
from typing import BinaryIO

BLOCK_BYTES = 4096
"""The unit in which file systems share blocks: a part of a file must begin at a multiple of it."""

_CLONE_RANGE = 0x4020940D
"""Linux's ``FICLONERANGE``, which XFS, Btrfs, bcachefs and others support."""

_RANGE = struct.Struct("=qQQQ")


def share_blocks(source: BinaryIO, offset: int, size_bytes: int, target: BinaryIO) -> int:
    """Fills an empty file with a part of another file by sharing its blocks, if the system can.

    Args:
        source: The other file.
        offset: The start of the part.
        size_bytes: The size of the part.
        target: The empty file.

    Returns:
        The number of bytes shared; 0 if the part is not aligned to a block, the file system does not share blocks, or
        the files lie on different file systems.
    """
    whole_bytes = size_bytes - size_bytes % BLOCK_BYTES
    if offset % BLOCK_BYTES or not whole_bytes:
        return 0
    try:
        _clone(source, offset, whole_bytes, target)
    except OSError:
        return 0
    return whole_bytes


if sys.platform == "linux":
    import fcntl

    def _clone(source: BinaryIO, offset: int, size_bytes: int, target: BinaryIO) -> None:
        fcntl.ioctl(target.fileno(), _CLONE_RANGE, _RANGE.pack(source.fileno(), offset, size_bytes, 0))
else:

    def _clone(source: BinaryIO, offset: int, size_bytes: int, target: BinaryIO) -> None:  # noqa: ARG001
        raise OSError("only Linux shares parts of files")
