"""Image files, which only the command line and programs (as ``pathlib.Path``) may name."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from inferox.core import RequestError

MAX_FILE_BYTES = 2**28
"""The largest image file: the size of the most pixels in four uncompressed channels."""


@dataclass(frozen=True)
class ImageFile:
    """An image file that is read lazily, so that many take no more memory than one.

    Never make one from a path that came over a network.

    Attributes:
        name: The name in messages and results.
        origin: The path of a regular file, or the content of one.
    """

    name: str
    origin: Path | bytes = field(repr=False)

    @classmethod
    def at(cls, path: Path) -> ImageFile:
        """Makes the file at a path, named after it."""
        return cls(str(path), path)

    def __str__(self) -> str:
        """The name."""
        return self.name

    def read(self, subject: str) -> bytes:
        """Reads the file without decoding it.

        Args:
            subject: The name of the image in messages.

        Raises:
            RequestError: If it is not a regular file, cannot be read or is too large. A device or a pipe is refused
                without being opened, because opening one may wait forever.
        """
        content = self.origin if isinstance(self.origin, bytes) else _read_path(self.origin, subject)
        _check_size(len(content), subject)
        return content


def _read_path(path: Path, subject: str) -> bytes:
    try:
        _check_regular(path.stat(), subject)
        # The path may have become a pipe in between.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as stream:
            _check_regular(os.fstat(stream.fileno()), subject)
            return stream.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RequestError(f"{subject} cannot be read: {reason}") from error


def _check_regular(status: os.stat_result, subject: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise RequestError(f"{subject} must be a regular file, but is {kind}")
    _check_size(status.st_size, subject)


def _check_size(size_bytes: int, subject: str) -> None:
    if size_bytes > MAX_FILE_BYTES:
        raise RequestError(f"{subject} has more than {MAX_FILE_BYTES} bytes", hint="scale the image down first")
