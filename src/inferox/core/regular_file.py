"""Reading files that strangers may have put there."""

from __future__ import annotations

import stat
from pathlib import Path


def read_regular_file(path: Path, max_bytes: int) -> bytes | None:
    """Reads a file of bounded size. A pipe would be waited for, and a device never ends: they are not opened.

    Args:
        path: The file.
        max_bytes: The largest size that is wanted; one byte more is read where there is more.

    Returns:
        What it holds; ``None`` if it is no regular file.

    Raises:
        OSError: If it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as stream:
        return stream.read(max_bytes + 1)
