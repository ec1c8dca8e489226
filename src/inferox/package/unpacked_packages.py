"""The unpacked packages of the store: those in use, and the order in which others are removed."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from inferox.package.file_lock import FileLock
from inferox.package.stored_package import StoredPackage

_STAGING = ".unpacking-"
_LEFTOVER_AGE_S = 24 * 60 * 60
_REMOVED = ".removed-"
_PRUNING = ".pruning"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Pruning:
    """The packages removed from the store, and those left.

    Attributes:
        removed: The packages that were removed, or would be, the least recently used first.
        kept: The others, in the same order.
    """

    removed: tuple[StoredPackage, ...]
    kept: tuple[StoredPackage, ...]

    @property
    def freed_bytes(self) -> int:
        """The size of what was removed."""
        return sum(package.size_bytes for package in self.removed)

    @property
    def size_bytes(self) -> int:
        """The size of what is left."""
        return sum(package.size_bytes for package in self.kept)


class UnpackedPackages:
    """The unpacked packages, each in a folder named after its archive's digest, with a lock that its users share.

    The lock is a file of the same name in a folder beside them; its modification time is when the package was last
    opened. Only the exclusive holder of a package's lock removes the package, atomically: it is renamed, and deleted
    under the new name.

    Args:
        folder: The folder of the packages.
        uses: The folder of the locks.
    """

    def __init__(self, folder: Path, uses: Path) -> None:
        self.folder = folder
        self._uses = uses

    def use(self, digest: str) -> FileLock:
        """Protects a package, or its future place, from removal while the lock is held; records the time of use.

        Args:
            digest: The archive's digest.

        Raises:
            OSError: If the lock file does not exist and cannot be created.
        """
        path = self._uses / digest
        lock = FileLock.share(path)
        with suppress(OSError):  # in a read-only store, nobody removes packages by their last use
            now = time.time_ns()  # finer than the system's own timestamp
            os.utime(path, ns=(now, now))
        return lock

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Makes a staging folder that is removed at the end, along with those that killed processes left behind.

        Raises:
            OSError: If it cannot be made.
        """
        self._remove_leftovers()
        folder = self.folder / f"{_STAGING}{secrets.token_hex(8)}"
        lock = FileLock.share(self._uses / folder.name)
        try:
            folder.mkdir(mode=0o700)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.remove()

    def discard(self, digest: str) -> bool:
        """Removes a package's folder, even if it is in use; returns ``False`` if it cannot be removed."""
        moved = self._move_away(self.folder / digest)
        if moved is not None:
            _delete(moved)
        return moved is not None

    def list(self) -> tuple[StoredPackage, ...]:
        """Lists the packages, the least recently used first."""
        with self._alone():
            return self._list()

    def prune(self, limit_bytes: int, *, dry_run: bool = False) -> Pruning:
        """Removes the least recently used packages until the others are within a limit.

        Packages in use are kept, even if they exceed the limit.

        Args:
            limit_bytes: The limit; 0 removes all that are not in use.
            dry_run: Whether to only report what would be removed.
        """
        removed, kept = [], []
        with self._alone():
            packages = self._list()
            size = sum(package.size_bytes for package in packages)
            for package in packages:
                spared = package.in_use or 0 < limit_bytes >= size
                if spared or not (dry_run or self._evict(package)):
                    kept.append(package)
                else:
                    removed.append(package)
                    size -= package.size_bytes
        if not dry_run:
            self._remove_leftovers()
        return Pruning(tuple(removed), tuple(kept))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps others from listing and pruning: to inspect a lock is to hold it exclusively for an instant."""
        try:
            lock = FileLock.exclude(self._uses / _PRUNING, wait=True)
        except OSError:
            lock = None
        try:
            yield
        finally:
            if lock is not None:
                lock.close()

    def _list(self) -> tuple[StoredPackage, ...]:
        found = []
        with suppress(FileNotFoundError):
            for path in self.folder.iterdir():
                if not _DIGEST.fullmatch(path.name):
                    continue
                with suppress(FileNotFoundError):  # discarded in the meantime
                    found.append(StoredPackage.at(path, used_at_s=self._used_at(path.name), in_use=self._is_used(path)))
        return tuple(sorted(found, key=lambda package: (package.used_at, package.digest)))

    def _used_at(self, digest: str) -> float | None:
        try:
            return (self._uses / digest).stat().st_mtime
        except OSError:
            return None

    def _is_used(self, package: Path) -> bool:
        lock = self._uses / package.name
        try:
            held = FileLock.exclude(lock) if lock.exists() else None
        except OSError:
            return True
        if held is None:
            return lock.exists()
        held.close()
        return False

    def _evict(self, package: StoredPackage) -> bool:
        """Moves a package away; returns ``False`` if it is in use or cannot be moved."""
        try:
            self._uses.mkdir(mode=0o700, exist_ok=True)
            lock = FileLock.exclude(self._uses / package.digest)
        except OSError:
            return False
        if lock is None:
            return False
        with lock:
            if self._move_away(package.root) is None:
                return False
            lock.remove()
        return True

    def _move_away(self, folder: Path) -> Path | None:
        """Renames a folder that is to be deleted, since under its own name it could be found half deleted."""
        moved = self.folder / f"{_REMOVED}{secrets.token_hex(8)}"
        try:
            folder.rename(moved)
        except OSError:
            return None
        return moved

    def _remove_leftovers(self) -> None:
        """Removes what killed processes left half removed or half unpacked, and the locks of missing packages."""
        for path in self.folder.glob(f"{_REMOVED}*"):
            _delete(path)
        for path in self.folder.glob(f"{_STAGING}*"):
            with suppress(OSError):
                if self._remove_lock(self._uses / path.name) or _is_old(path):
                    _delete(path)
        for path in self._uses.glob("*"):
            if path.name != _PRUNING and not (self.folder / path.name).exists():
                with suppress(OSError):
                    self._remove_lock(path)

    @staticmethod
    def _remove_lock(path: Path) -> bool:
        """Removes a lock; returns ``False`` if it is held."""
        lock = FileLock.exclude(path)
        if lock is None:
            return False
        lock.remove()
        return True


def _is_old(staging: Path) -> bool:
    """Returns whether a folder is a day old, for systems without locks that would tell that it is not in use."""
    return time.time() - staging.stat().st_mtime > _LEFTOVER_AGE_S


def _delete(path: Path) -> None:
    """Deletes a folder, or whatever was put in its place. Never raises."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()
