"""Files that share blocks on the disk: such a copy takes no space or time, and either file may change afterwards."""

from __future__ import annotations

import struct
import sys
from typing import BinaryIO

BLOCK_BYTES = 4096
"""The smallest unit that file systems share: a part of a file must begin at a multiple of it."""

_CLONE_RANGE = 0x4020940D
"""``FICLONERANGE`` of Linux, which XFS, Btrfs, bcachefs and others know."""

_RANGE = struct.Struct("=qQQQ")


def share_blocks(source: BinaryIO, offset: int, size_bytes: int, target: BinaryIO) -> int:
    """Makes an empty file begin with a part of another file, of which it shares the blocks, where the system can.

    Args:
        source: The other file.
        offset: Where its part begins.
        size_bytes: How long its part is.
        target: The empty file.

    Returns:
        How many bytes of the part the file now has; 0 where the part does not begin at a block, the file system
        does not share blocks, or the files lie on two.
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
