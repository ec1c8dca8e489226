"""The digests of files, remembered as long as the files do not change."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO


class Digests:
    """The SHA-256 digests of one folder's files, kept in one small file.

    A digest is computed again where the file's size, its times of change or its identity differ from what they were.
    A record that is damaged, unreadable or cannot be written costs time and nothing else.

    Args:
        record: The file that keeps them.
    """

    def __init__(self, record: Path) -> None:
        self._record = record
        self._known = _read(record)
        self._changed = False

    def sha256(self, stream: BinaryIO, name: str) -> str:
        """The digest of an open file, in lower-case hexadecimal digits.

        Args:
            stream: The file, at its beginning. It is left anywhere.
            name: Its path, relative to the folder.

        Raises:
            OSError: If it cannot be read.
        """
        before = _fingerprint(stream)
        known = self._known.get(name)
        if known is not None and known[1:] == before:
            return str(known[0])
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if _fingerprint(stream) == before:
            self._known[name] = [digest, *before]
            self._changed = True
        return digest

    def save(self) -> None:
        """Writes the record in one step, if there is anything new in it and it can be written."""
        if not self._changed:
            return
        try:
            self._record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, name = tempfile.mkstemp(dir=self._record.parent)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(_sealed(self._known))
                Path(name).replace(self._record)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError:
            return


def hash_file(path: Path) -> str:
    """The SHA-256 digest of a file, in lower-case hexadecimal digits.

    Args:
        path: The file.

    Raises:
        OSError: If it cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _fingerprint(stream: BinaryIO) -> list[int]:
    status = os.fstat(stream.fileno())
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _sealed(known: dict[str, list[Any]]) -> bytes:
    """The record, behind a digest of its own that shows damage."""
    content = json.dumps(known).encode()
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


def _read(record: Path) -> dict[str, list[Any]]:
    try:
        seal, _, content = record.read_bytes().partition(b"\n")
    except OSError:
        return {}
    if seal != hashlib.sha256(content).hexdigest().encode():
        return {}
    known: dict[str, list[Any]] = json.loads(content)
    return known
