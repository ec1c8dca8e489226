"""An unpacked package in the store."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from inferox.core import ManifestError
from inferox.package.manifest import METADATA_FILE, read_object


@dataclass(frozen=True)
class StoredPackage:
    """An unpacked package in the store.

    Attributes:
        root: Its folder, named after the digest of its archive.
        name: The package's name; ``None`` if its manifest cannot be read.
        version: Its version, or ``None`` likewise.
        size_bytes: The size of its files.
        used_at: The time when it was last opened.
        in_use: Whether a process has it open.
        files: Its files.
    """

    root: Path
    name: str | None
    version: str | None
    size_bytes: int
    used_at: datetime
    in_use: bool
    files: tuple[Path, ...] = field(repr=False)

    @property
    def digest(self) -> str:
        """The SHA-256 digest of its archive."""
        return self.root.name

    @classmethod
    def at(cls, root: Path, *, used_at_s: float | None, in_use: bool) -> StoredPackage:
        """Reads the facts about an unpacked package, which may be damaged.

        Args:
            root: Its folder.
            used_at_s: When it was last opened, in seconds since 1970; ``None`` to take it from the folder itself.
            in_use: Whether a process has it open.

        Raises:
            OSError: If there is no such folder any more.
        """
        sizes = dict(_sizes(root))
        return cls(
            root=root,
            name=_stated(root, "name"),
            version=_stated(root, "version"),
            size_bytes=sum(sizes.values()),
            used_at=datetime.fromtimestamp(root.lstat().st_mtime if used_at_s is None else used_at_s, UTC),
            in_use=in_use,
            files=tuple(sizes),
        )

    def to_json(self) -> dict[str, Any]:
        """Returns the package as ``inferox store --json`` shows it."""
        return {
            "digest": self.digest,
            "name": self.name,
            "version": self.version,
            "size_bytes": self.size_bytes,
            "used_at": self.used_at.isoformat(timespec="seconds"),
            "in_use": self.in_use,
            "path": str(self.root),
        }


def _sizes(root: Path) -> Iterator[tuple[Path, int]]:
    for path in root.rglob("*"):
        with suppress(OSError):  # such as a file that was removed in the meantime
            status = path.lstat()
            if not stat.S_ISDIR(status.st_mode):
                yield path, status.st_size


def _stated(root: Path, field_name: str) -> str | None:
    try:
        value = read_object(root / METADATA_FILE).get(field_name)
    except (OSError, ManifestError):
        return None
    return value if isinstance(value, str) else None
