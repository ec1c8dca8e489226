"""The local store of unpacked packages and of the record of verified files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from inferox.core import ConfigError, IntegrityError, ManifestError, PackageError, read_json_object
from inferox.package.archive import extract_archive, holds_same
from inferox.package.file_lock import READ_ONLY, FileLock
from inferox.package.format1 import is_format1
from inferox.package.manifest import METADATA_FILE, FileEntry, read_json
from inferox.package.private_folders import check_private
from inferox.package.store_limit import STORE_LIMIT_VARIABLE, stated_limit
from inferox.package.stored_package import StoredPackage
from inferox.package.unpacked_packages import Pruning, UnpackedPackages
from inferox.package.writer import hash_file

STORE_VARIABLE = "INFEROX_STORE"
"""The environment variable that sets the store's folder."""

_PACKAGES = "packages"
_VERIFIED = "verified"
_PROFILES = "profiles"
_PACKED = "packed"
_USES = "uses"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unpacked:
    """An unpacked archive in the store.

    Attributes:
        root: The folder.
        lock: Keeps the folder in the store while it is held; ``None`` if the store is read-only, and so never pruned.
    """

    root: Path
    lock: FileLock | None


class Store:
    """A private cache folder, which can be deleted while nobody uses it. It is created on the first write.

    If it cannot be written, archives cannot be unpacked; folders open all the same, and are verified every time.
    Unpacked packages are kept up to ``limit_bytes``, besides those in use. Profiles are small and took minutes to
    measure, so they are always kept.

    Args:
        root: The folder; ``None`` for ``$INFEROX_STORE``, or the user's cache folder.

    Attributes:
        root: The folder.
        limit_bytes: The size limit of unpacked packages, from ``$INFEROX_STORE_LIMIT``; ``None`` for no limit.

    Raises:
        ConfigError: If others could write to it or to a folder above it, or if the limit is not a size.
    """

    def __init__(self, root: Path | None = None) -> None:
        stated = os.environ.get(STORE_VARIABLE)
        self.root = root or (Path(stated) if stated else user_cache_path("inferox"))
        self.limit_bytes = stated_limit()
        for name in ("", _PACKAGES, _VERIFIED, _PROFILES, _PACKED, _USES):
            self._check_private(self.root / name)
        self._packages = UnpackedPackages(self.root / _PACKAGES, self.root / _USES)

    @property
    def profiles(self) -> Path:
        """The folder of the profiles measured on this machine. It may not exist yet."""
        return self.root / _PROFILES

    def make_profiles(self, digest: str) -> Path:
        """Makes the folder for the profiles of a package.

        Args:
            digest: The name of the folder, derived from the package's digest.

        Raises:
            ConfigError: If others could write to it.
            OSError: If it cannot be made.
        """
        folder = self.profiles / digest
        self._make_private(self.profiles)
        self._make_private(folder)
        return folder

    def make_packed(self) -> Path:
        """Makes the folder for packages that were packed on this machine when a model was loaded by its name.

        They are exempt from the limit, and can be deleted while nobody uses them.

        Raises:
            ConfigError: If it cannot be made, or others could write to it.
        """
        folder = self.root / _PACKED
        try:
            self._make_private(folder)
        except OSError as error:
            raise self._unusable(error) from error
        return folder

    def unpack(self, archive: Path) -> Unpacked:
        """Unpacks an archive, unless it is in the store already.

        An existing folder is used only if its manifest, which lists the digest of every other file, is the one in the
        archive; otherwise it is replaced. Unpacking may remove other packages: see ``prune``.

        Args:
            archive: An ``.mlpkg`` file.

        Returns:
            The folder, named after the digest of the archive.

        Raises:
            UnsafePathError: If the archive is hostile.
            IntegrityError: If it is damaged, or changes while it is read.
            PackageError: If it cannot be read, or does not fit on the disk.
            ConfigError: If the store cannot be written.
        """
        try:
            before = _fingerprint(archive)
            digest = self._digest(archive)
        except OSError as error:
            raise PackageError(f"{archive} cannot be read: {error.strerror or error}") from error
        unpacked = Unpacked(self._packages.folder / digest, self._use(digest))
        there = os.path.lexists(unpacked.root)
        if there and unpacked.root.is_dir() and self._is_unpacked(archive, unpacked.root):
            return unpacked
        try:
            self._make_private(self._packages.folder)
            if there:  # rather than put there by another process in the meantime
                self._packages.discard(digest)
            with self._packages.staging() as staging:
                self._extract(archive, before, staging, unpacked.root)
        except OSError as error:
            raise self._unusable(error) from error
        self._keep_limit()
        return unpacked

    def discard(self, archive: Path) -> bool:
        """Removes the unpacked folder of an archive, so that it is unpacked again.

        Args:
            archive: An ``.mlpkg`` file.

        Returns:
            Whether a folder existed and was removed.

        Raises:
            OSError: If the archive cannot be read.
        """
        return self._packages.discard(self._digest(archive))

    def packages(self) -> tuple[StoredPackage, ...]:
        """Lists the unpacked packages, the least recently used first.

        Raises:
            ConfigError: If the store cannot be read.
        """
        try:
            return self._packages.list()
        except OSError as error:
            raise self._unusable(error, "read") from error

    def prune(self, limit_bytes: int, *, dry_run: bool = False) -> Pruning:
        """Removes the least recently used packages until the others are within a limit.

        A package that a process has open is never removed. A removed one is unpacked again from its archive when it is
        next opened.

        Args:
            limit_bytes: The limit; 0 removes all that are not in use.
            dry_run: Whether to only report what would be removed.

        Raises:
            ConfigError: If the store cannot be read.
        """
        try:
            done = self._packages.prune(limit_bytes, dry_run=dry_run)
        except OSError as error:
            raise self._unusable(error, "read") from error
        if not dry_run:
            for path in (path for package in done.removed for path in package.files):
                with suppress(OSError):
                    self._record(path).unlink()
        return done

    def verify(self, path: Path, entry: FileEntry) -> bool:
        """Returns whether a file has the digest that the manifest states.

        The file is read only if it was not verified before, or if its size, times or identity have changed since. The
        result is recorded if the store can be written to.

        Args:
            path: The file.
            entry: The file's entry in the manifest.

        Raises:
            OSError: If it cannot be read.
        """
        before = _fingerprint(path)
        if self._read(path).get(entry.sha256) == before:
            return True
        if hash_file(path) != entry.sha256:
            return False
        # The fingerprint was taken before reading: a file that changes meanwhile does not match it, and is read again.
        self._write(path, {entry.sha256: before})
        return True

    def _is_unpacked(self, archive: Path, folder: Path) -> bool:
        """Returns whether a folder holds what an archive does, except for what is checked when the folder is opened."""
        try:
            if folder.is_symlink():
                return False
            self._check_private(folder)
            # Format 1 does not list the digests of its files.
            names = None if is_format1(read_json(folder / METADATA_FILE)) else (METADATA_FILE,)
            return holds_same(archive, folder, names)
        except (OSError, PackageError, ConfigError):
            return False

    def _extract(self, archive: Path, before: list[int], staging: Path, folder: Path) -> None:
        try:
            extract_archive(archive, staging, self._make_room)
            if _fingerprint(archive) != before:
                raise IntegrityError(f"{archive} changed while it was unpacked", hint="try again once it is written")
            staging.rename(folder)
        except OSError as error:
            # Another process was faster, and its result is the same.
            if not self._is_unpacked(archive, folder):
                raise PackageError(f"{archive} cannot be unpacked to {folder}: {error.strerror or error}") from error

    def _use(self, digest: str) -> FileLock | None:
        """Takes the lock that keeps a package in the store; ``None`` if the store is read-only."""
        try:
            self._make_private(self.root / _USES)
            return self._packages.use(digest)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno in READ_ONLY:
                return None
            raise self._unusable(error) from error

    def _make_room(self, missing_bytes: int) -> None:
        """Removes packages not in use when the disk is full, if that helps and unless there is no limit."""
        if self.limit_bytes is None:
            return
        limit_bytes = max(0, sum(package.size_bytes for package in self.packages()) - missing_bytes)
        if self.prune(limit_bytes, dry_run=True).freed_bytes >= missing_bytes:
            self._prune_and_say(limit_bytes, "the disk is full")

    def _keep_limit(self) -> None:
        """Removes packages beyond the limit, and logs what was removed and what could not be."""
        if self.limit_bytes is None:
            return
        done = self._prune_and_say(self.limit_bytes, "the store is full")
        if done.size_bytes > self.limit_bytes:
            _logger.warning(
                "the packages in the store %s have %s bytes, but its limit is %s (%s); they are in use",
                self.root,
                f"{done.size_bytes:,}",
                f"{self.limit_bytes:,}",
                STORE_LIMIT_VARIABLE,
            )

    def _prune_and_say(self, limit_bytes: int, reason: str) -> Pruning:
        done = self.prune(limit_bytes)
        for package in done.removed:
            _logger.info("%s: removed %s, %s bytes", reason, package.name, f"{package.size_bytes:,}")
        return done

    def _digest(self, archive: Path) -> str:
        """Returns the SHA-256 digest of an archive, which is computed again only if it has changed."""
        known = self._read(archive)
        fingerprint = _fingerprint(archive)
        digest = next((digest for digest, seen in known.items() if seen == fingerprint), None)
        if digest is None:
            digest = hash_file(archive)
            self._write(archive, {digest: fingerprint})
        return digest

    def _read(self, path: Path) -> dict[str, list[int]]:
        try:
            return read_json_object(self._record(path))
        except (OSError, ManifestError):
            return {}

    def _write(self, path: Path, record: dict[str, list[int]]) -> None:
        target = self._record(path)
        with suppress(OSError):
            self._make_private(target.parent)
            write_json(target, record)

    def _record(self, path: Path) -> Path:
        return self.root / _VERIFIED / hashlib.sha256(os.fsencode(path.resolve())).hexdigest()

    def _make_private(self, folder: Path) -> None:
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.mkdir(exist_ok=True, mode=0o700)
        for each in (self.root, folder):
            self._check_private(each)

    def _check_private(self, folder: Path) -> None:
        check_private(folder, hint=f"set {STORE_VARIABLE} to a folder of your own")

    def _unusable(self, error: OSError, action: str = "written") -> ConfigError:
        return ConfigError(
            f"the store {self.root} cannot be {action}: {error.strerror}",
            hint=f"set {STORE_VARIABLE} to a folder that can",
        )


def write_json(path: Path, data: Any) -> None:
    """Writes a JSON file atomically: readers, and a failure, see either the old content or the new.

    Args:
        path: The file, in a folder that exists.
        data: The JSON value.

    Raises:
        OSError: If it cannot be written; then nothing of it is left behind.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(data, stream)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _fingerprint(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]
