"""The writer of packages: the output is either the old package or the new one, never half of one."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from inferox.core import ConfigError, IntegrityError, ManifestError, PackageError, to_json_bytes
from inferox.package.archive import ARCHIVE_SUFFIX, is_archive, write_archive
from inferox.package.manifest import (
    METADATA_FILE,
    MODEL_INFO_FILE,
    FileEntry,
    Metadata,
    ModelInfo,
    read_json,
)
from inferox.package.paths import check_distinct, check_member_path, list_files
from inferox.package.staging import make_staging, recover, remove_staging, replace_folder
from inferox.parity.evidence import PARITY_FILE
from inferox.parity.report import ParityReport
from inferox.parity.samples import SAMPLES_FILE, Samples

_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DISK_FAULTS = _DISK_FULL | {errno.EIO, errno.EROFS, errno.EFBIG}


class PackageWriter:
    """A context manager that writes a package: a folder, or one file if the output's name ends in ``.mlpkg``.

    Files are written below ``root``, in a staging folder beside the output, and ``commit`` moves the package into
    place. If the block ends without it, or the process is killed, the output is unchanged; the next writer removes what
    a killed one left beside it.

    A file is replaced atomically. A folder cannot be: for an instant there is none, and if a writer is killed in that
    instant, the next writer moves the old one back. Until then, readers are told where it lies.

    Args:
        output: The path of the package to write.
        force: Whether an existing package may be replaced.

    Raises:
        ConfigError: If something exists there and ``force`` is not set, if it is not a package, or if there is no
            folder to write it in.
        PackageError: If nothing can be written there.
    """

    def __init__(self, output: Path, *, force: bool = False) -> None:
        self._output = output
        self._force = force
        self._is_archive = output.suffix == ARCHIVE_SUFFIX
        with _translated(output):
            _check_place(output)
            recover(output)
            self._check_output()
            self._staging = make_staging(output)
            try:
                self.root.mkdir()
            except OSError:
                remove_staging(self._staging, output)
                raise

    @property
    def root(self) -> Path:
        """The folder below which the files of the package are written."""
        return self._staging / "package"

    def add(self, source: Path, relative: str) -> None:
        """Copies a file into the package.

        Args:
            source: The file.
            relative: The destination, relative to the package.

        Raises:
            UnsafePathError: If that is not a plain path below the package.
            PackageError: If it cannot be written.
        """
        check_member_path(relative)
        with _translated(self._output):
            target = self.root / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def commit(self, metadata: Metadata, info: ModelInfo, parity: ParityReport | None, samples: Samples | None) -> Path:
        """Completes the package and moves it into place. A package that could not be opened again is refused.

        Args:
            metadata: The origin of the package; its list of files is filled in here.
            info: The description of its model.
            parity: The evidence; ``None`` if there is none.
            samples: The sample calls; ``None`` if there are none.

        Returns:
            The output.

        Raises:
            UnsafePathError: If a file is a link, its name is not plain, or two names collide on some systems.
            IntegrityError: If an artifact needs a file that is not there.
            ManifestError: If the metadata are malformed.
            ConfigError: If something that must not be replaced has appeared at the output.
            PackageError: If it cannot be written.
        """
        with _translated(self._output):
            self._write_json(MODEL_INFO_FILE, info.to_json())
            ModelInfo.from_json(read_json(self.root / MODEL_INFO_FILE), self.root)
            if parity is not None:
                self._write_json(PARITY_FILE, parity.to_json())
                ParityReport.from_json(read_json(self.root / PARITY_FILE))
            if samples is not None:
                samples.save(self.root / SAMPLES_FILE)
            complete = Metadata.from_json(replace(metadata, files=self._list_entries()).to_json())
            check_artifacts(complete, info)
            self._write_json(METADATA_FILE, complete.to_json())
            read_json(self.root / METADATA_FILE)
            self._put_in_place()
        return self._output

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        remove_staging(self._staging, self._output)
        # Other failures in the block, such as a source that is missing, are not the output's fault.
        if isinstance(error, OSError) and error.errno in _DISK_FAULTS:
            raise _cannot_write(self._output, error) from error

    def _write_json(self, name: str, data: Any) -> None:
        try:
            content = to_json_bytes(data)
        except (ValueError, TypeError) as error:  # NaN, a lone surrogate, or what JSON does not have
            raise ManifestError(f"{name} cannot be written: {error}") from error
        (self.root / name).write_bytes(content)

    def _check_output(self) -> None:
        """Refuses to replace anything without permission, and to replace anything but a package at all."""
        output = self._output
        if not (output.exists() or output.is_symlink()):
            return
        if not self._force:
            raise ConfigError(
                f"{output} already exists", hint="choose another name, or replace it with force=True (--force)"
            )
        is_package = output.is_file() and is_archive(output) if self._is_archive else _is_package_folder(output)
        if output.is_symlink() or not is_package:
            raise ConfigError(
                f"{output} is not a package, or has other files in it, and is not replaced",
                hint="move it away, or choose another name",
            )

    def _list_entries(self) -> tuple[FileEntry, ...]:
        paths = [path for path in list_files(self.root) if path != METADATA_FILE]
        for path in paths:
            check_member_path(path)
        check_distinct((*paths, METADATA_FILE))
        return tuple(FileEntry(path, (self.root / path).stat().st_size, hash_file(self.root / path)) for path in paths)

    def _put_in_place(self) -> None:
        if self._is_archive:
            archive = self._staging / "package.mlpkg"
            write_archive(self.root, archive)
            _sync(archive)
            self._check_output()
            archive.replace(self._output)
        else:
            for path in (*self.root.rglob("*"), self.root):
                _sync(path)
            self._check_output()
            replace_folder(self.root, self._output, self._staging)
        _sync(self._output.parent)


def hash_file(path: Path) -> str:
    """Computes the SHA-256 digest of a file, in lower-case hexadecimal digits.

    Args:
        path: The file.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_artifacts(metadata: Metadata, info: ModelInfo) -> None:
    """Checks that the package lists every file of every artifact.

    Args:
        metadata: The metadata, with the files.
        info: The description, with the artifacts.

    Raises:
        UnsafePathError: If a path is not plain.
        IntegrityError: If the package does not list a file.
    """
    listed = {entry.path for entry in metadata.files}
    for artifact in info.listed:
        for path in artifact.files.values():
            check_member_path(path)
            if path not in listed:
                raise IntegrityError(f"the artifact {artifact.name} needs {path!r}, which the package does not list")


def _check_place(output: Path) -> None:
    if not output.name:
        raise ConfigError(f"{str(output)!r} names no file or folder to write a package to")
    if not output.parent.is_dir():
        raise ConfigError(f"there is no folder {output.parent}", hint="make it first")


def _is_package_folder(output: Path) -> bool:
    """Returns whether a folder is a package, intact or damaged, without other files that would be lost with it."""
    try:
        metadata = Metadata.from_json(read_json(output / METADATA_FILE))
        present = list_files(output)
    except PackageError:
        return False
    return {*present} <= {METADATA_FILE, *(entry.path for entry in metadata.files)}


def _sync(path: Path) -> None:
    """Flushes a file or folder to the disk, so that it survives a power loss."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(output, error) from error


def _cannot_write(output: Path, error: OSError) -> PackageError:
    hint = "free some space, or write to another disk" if error.errno in _DISK_FULL else None
    return PackageError(f"{output} cannot be written: {error.strerror or error}", hint=hint)
