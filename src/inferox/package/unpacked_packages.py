"""The packages that the store holds unpacked: which of them are in use, and which are removed first."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from inferox.package.file_lock import FileLock
from inferox.package.stored_package import StoredPackage

_STAGING = ".unpacking-"
_LEFTOVER_AGE_S = 24 * 60 * 60
_DISCARDED = "discarded"
_PRUNING = ".pruning"
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Pruning:
    """What was removed from the store, and what is left.

    Attributes:
        removed: The packages that were removed, or would be; the one that was used last is the last.
        kept: The others, in the same order.
    """

    removed: tuple[StoredPackage, ...]
    kept: tuple[StoredPackage, ...]

    @property
    def freed_bytes(self) -> int:
        """What was removed."""
        return sum(package.size_bytes for package in self.removed)

    @property
    def size_bytes(self) -> int:
        """What is left."""
        return sum(package.size_bytes for package in self.kept)


class UnpackedPackages:
    """Unpacked packages, each in a folder named after its archive's digest, with a lock that whoever uses it shares.

    The lock is a file of the same name in a folder beside them; the time of its last change is when the package was
    last opened. A package is removed only by whoever has its lock alone, in one step: it gets another name, and is
    deleted under that.

    Args:
        folder: The folder of the packages.
        uses: The folder of the locks.
    """

    def __init__(self, folder: Path, uses: Path) -> None:
        self.folder = folder
        self._uses = uses

    def use(self, digest: str) -> FileLock:
        """Keeps a package, or the place of one, from being removed as long as the lock is held; records the time.

        Args:
            digest: The archive's digest.

        Raises:
            OSError: If there is no lock, and it cannot be made.
        """
        path = self._uses / digest
        lock = FileLock.share(path)
        with suppress(OSError):  # where it can only be read, nobody removes packages by their last use
            now = time.time_ns()  # finer than what the system itself would take
            os.utime(path, ns=(now, now))
        return lock

    def make_staging(self) -> Path:
        """Makes a folder that nobody takes for a package, and removes what killed processes left in such.

        Raises:
            OSError: If it cannot be made.
        """
        self._remove_leftovers()
        return Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.folder))

    def discard(self, digest: str) -> bool:
        """Removes what lies in the place of a package, whoever uses it; ``False`` where it cannot be removed."""
        staging = self._move_away(self.folder / digest)
        if staging is None:
            return False
        shutil.rmtree(staging, ignore_errors=True)
        return True

    def list(self) -> tuple[StoredPackage, ...]:
        """Lists the packages; the one that was used last is the last."""
        with self._alone():
            return self._list()

    def prune(self, limit_bytes: int, *, dry_run: bool = False) -> Pruning:
        """Removes the packages that were not used for the longest time, until the others are within a limit.

        Packages in use are left, even where they are beyond the limit.

        Args:
            limit_bytes: The limit; 0 removes all that are not in use.
            dry_run: Whether to remove nothing, and say what would be removed.
        """
        removed, kept, stagings = [], [], []
        with self._alone():
            packages = self._list()
            size = sum(package.size_bytes for package in packages)
            for package in packages:
                spared = package.in_use or 0 < limit_bytes >= size
                staging = None if spared or dry_run else self._evict(package)
                if spared or not (dry_run or staging):
                    kept.append(package)
                    continue
                removed.append(package)
                size -= package.size_bytes
                if staging is not None:
                    stagings.append(staging)
            if not dry_run:
                self._remove_leftovers()
        for staging in stagings:
            shutil.rmtree(staging, ignore_errors=True)
        return Pruning(tuple(removed), tuple(kept))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps others from listing and pruning: whoever looks at a package's lock holds it alone for that instant."""
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

    def _evict(self, package: StoredPackage) -> Path | None:
        """Moves a package away that nobody uses."""
        use = self._uses / package.digest
        try:
            self._uses.mkdir(mode=0o700, exist_ok=True)
            lock = FileLock.exclude(use)
        except OSError:
            return None
        if lock is None:
            return None
        with lock:
            staging = self._move_away(package.root)
            if staging is not None:
                with suppress(OSError):  # as Windows does not remove what is open
                    use.unlink()
        return staging

    def _move_away(self, folder: Path) -> Path | None:
        """Moves a folder to a staging folder, as under its own name it could be found half deleted."""
        try:
            staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=self.folder))
        except OSError:
            return None
        try:
            folder.rename(staging / _DISCARDED)
        except OSError:
            staging.rmdir()
            return None
        return staging

    def _remove_leftovers(self) -> None:
        """Removes what killed processes had half removed, and what they had half unpacked a day ago or earlier."""
        for path in self.folder.glob(f"{_STAGING}*"):
            with suppress(OSError):
                if (path / _DISCARDED).exists() or time.time() - path.stat().st_mtime > _LEFTOVER_AGE_S:
                    shutil.rmtree(path, ignore_errors=True)
        for path in self._uses.glob("[0-9a-f]*"):
            if not (self.folder / path.name).exists():
                self._remove_lock(path)

    @staticmethod
    def _remove_lock(path: Path) -> None:
        """Removes the lock of a package that is not there, unless somebody is unpacking it."""
        with suppress(OSError):
            lock = FileLock.exclude(path)
            if lock is not None:
                with lock:
                    path.unlink()
