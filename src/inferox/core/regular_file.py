"""Reading of untrusted files."""

from __future__ import annotations

import stat
from pathlib import Path


def read_regular_file(path: Path, max_bytes: int) -> bytes | None:
    """Reads a regular file of bounded size. Pipes, which may block, and devices, which never end, are not opened.

    Args:
        path: The file.
        max_bytes: The size limit; of a larger file, one byte more is read.

    Returns:
        The content; ``None`` if it is not a regular file.

    Raises:
        OSError: If it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as stream:
        return stream.read(max_bytes + 1)
