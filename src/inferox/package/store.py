"""What Inferox keeps on this machine: unpacked packages, and which files it has verified already."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from inferox.core import ConfigError, IntegrityError, PackageError
from inferox.package.archive import extract_archive
from inferox.package.manifest import FileEntry
from inferox.package.writer import hash_file

STORE_VARIABLE = "INFEROX_STORE"
"""The environment variable that moves the store."""

_UNPACKING = ".unpacking-"
_LEFTOVER_AGE_S = 24 * 60 * 60


class Store:
    """A private folder that can be deleted at any time. It is made when something is first written to it.

    Where it cannot be written, archives cannot be unpacked; folders open all the same, and are verified every time.

    Args:
        root: The folder; ``None`` for ``$INFEROX_STORE``, or the user's cache folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        stated = os.environ.get(STORE_VARIABLE)
        self.root = root or (Path(stated) if stated else user_cache_path("inferox"))

    def unpack(self, archive: Path) -> Path:
        """Unpacks an archive once; the second time, and in other processes, it is there already.

        Args:
            archive: An ``.mlpkg`` file.

        Returns:
            The folder, named after the digest of the archive.

        Raises:
            UnsafePathError: If the archive is hostile.
            IntegrityError: If it is damaged, or changes while it is read.
            PackageError: If it cannot be read, or does not fit the disk.
            ConfigError: If the store cannot be written.
        """
        try:
            before = _fingerprint(archive)
            folder = self.root / "packages" / self._digest(archive)
        except OSError as error:
            raise PackageError(f"{archive} cannot be read: {error.strerror or error}") from error
        if folder.is_dir():
            return folder
        try:
            _make_private(folder.parent)
            _remove_leftovers(folder.parent)
            staging = Path(tempfile.mkdtemp(prefix=_UNPACKING, dir=folder.parent))
        except OSError as error:
            raise self._unusable(error) from error
        try:
            extract_archive(archive, staging)
            if _fingerprint(archive) != before:
                raise IntegrityError(f"{archive} changed while it was unpacked", hint="try again once it is written")
            staging.rename(folder)
        except OSError as error:
            # Another process was faster, and what it put there is the same.
            if not folder.is_dir():
                raise PackageError(f"{archive} cannot be unpacked to {folder}: {error.strerror or error}") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return folder

    def is_verified(self, path: Path, entry: FileEntry) -> bool:
        """Whether the file was verified before and is unchanged since, by size, time of change and identity.

        Args:
            path: The file.
            entry: What the manifest says of it.
        """
        return self._read(path).get(entry.sha256) == _fingerprint(path)

    def remember(self, path: Path, entry: FileEntry) -> None:
        """Records that the file has the digest that the manifest says. Where that cannot be written, it is forgotten.

        Args:
            path: The file.
            entry: What the manifest says of it.
        """
        self._write(path, {entry.sha256: _fingerprint(path)})

    def _digest(self, archive: Path) -> str:
        """The SHA-256 digest of an archive, computed again only where it has changed."""
        known = self._read(archive)
        fingerprint = _fingerprint(archive)
        digest = next((digest for digest, seen in known.items() if seen == fingerprint), None)
        if digest is None:
            digest = hash_file(archive)
            if _fingerprint(archive) == fingerprint:
                self._write(archive, {digest: fingerprint})
        return digest

    def _read(self, path: Path) -> dict[str, list[int]]:
        try:
            found = json.loads(self._record(path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, path: Path, record: dict[str, list[int]]) -> None:
        target = self._record(path)
        try:
            _make_private(target.parent)
            descriptor, name = tempfile.mkstemp(dir=target.parent)
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump(record, stream)
            Path(name).replace(target)
        except OSError:
            return

    def _record(self, path: Path) -> Path:
        return self.root / "verified" / hashlib.sha256(os.fsencode(path.resolve())).hexdigest()

    def _unusable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"the store {self.root} cannot be written: {error.strerror}",
            hint=f"set {STORE_VARIABLE} to a folder that can",
        )


def _make_private(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.mkdir(exist_ok=True, mode=0o700)


def _remove_leftovers(folder: Path) -> None:
    """Removes what killed processes had half unpacked. What is a day old is nobody's work any more."""
    for path in folder.glob(f"{_UNPACKING}*"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _LEFTOVER_AGE_S:
                shutil.rmtree(path, ignore_errors=True)


def _fingerprint(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
