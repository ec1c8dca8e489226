"""Writing a package, so that there is either the old one or the new one, and never half of one."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from inferox.core import ConfigError, PackageError
from inferox.package.archive import ARCHIVE_SUFFIX, write_archive
from inferox.package.evidence import PARITY_FILE, ParityReport
from inferox.package.manifest import (
    METADATA_FILE,
    MODEL_INFO_FILE,
    FileEntry,
    Metadata,
    ModelInfo,
    to_json_bytes,
)
from inferox.package.samples import SAMPLES_FILE, Samples

_STAGING = ".inferox-staging-"
_REPLACED = ".inferox-replaced"

_CLOCK_STEP_S = 1.0
"""How exactly the system says when a process started."""


class PackageWriter:
    """Writes a package: a folder, or one file where the output's name ends in ``.mlpkg``.

    A context manager. Files are written below ``root``, a staging folder beside the output, and ``commit`` puts the
    package in its place in one step. Where the block ends otherwise, or the process is killed, the output is what it
    was; what a killed writer left beside it is removed by the next one.

    A file is replaced in one step. A folder cannot be: the old one is moved aside first, and a writer that was killed
    in between is made good by ``restore_replaced``, which every reader and writer of that output calls.

    Args:
        output: Where the package is to lie.
        force: Whether a package that lies there may be replaced.

    Raises:
        ConfigError: If something lies there already and ``force`` is not set, if it is no package, or if there is no
            folder to write it in.
        PackageError: If nothing can be written there.
    """

    def __init__(self, output: Path, *, force: bool = False) -> None:
        self._output = output
        self._is_archive = output.suffix == ARCHIVE_SUFFIX
        with _translated(output):
            restore_replaced(output)
            _check_output(output, is_archive=self._is_archive, force=force)
            _remove_abandoned(output)
            prefix = f".{output.name}{_STAGING}{os.getpid()}-"
            self._staging = Path(tempfile.mkdtemp(prefix=prefix, dir=output.parent))
            self.root.mkdir()

    @property
    def root(self) -> Path:
        """The folder below which the files of the package are written."""
        return self._staging / "package"

    def add(self, source: Path, relative: str) -> None:
        """Copies a file into the package.

        Args:
            source: The file.
            relative: Where it goes, relative to the package.

        Raises:
            PackageError: If it cannot be written.
        """
        with _translated(self._output):
            target = self.root / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def commit(self, metadata: Metadata, info: ModelInfo, parity: ParityReport | None, samples: Samples | None) -> Path:
        """Completes the package and puts it in its place.

        Args:
            metadata: Where it comes from; its list of files is made here.
            info: What its model is.
            parity: The evidence; ``None`` where there is none.
            samples: The sample calls; ``None`` where there are none.

        Returns:
            The output.

        Raises:
            PackageError: If it cannot be written.
        """
        with _translated(self._output):
            (self.root / MODEL_INFO_FILE).write_bytes(to_json_bytes(info.to_json()))
            if parity is not None:
                (self.root / PARITY_FILE).write_bytes(to_json_bytes(parity.to_json()))
            if samples is not None:
                samples.save(self.root / SAMPLES_FILE)
            entries = tuple(_entry(self.root, path) for path in _files(self.root))
            complete = replace(metadata, files=entries)
            (self.root / METADATA_FILE).write_bytes(to_json_bytes(complete.to_json()))
            self._put_in_place()
        return self._output

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._staging, ignore_errors=True)
        if isinstance(error, OSError):
            raise _cannot_write(self._output, error) from error

    def _put_in_place(self) -> None:
        if self._is_archive:
            archive = self._staging / "package.mlpkg"
            write_archive(self.root, archive)
            _sync(archive)
            archive.replace(self._output)
        else:
            for path in (*self.root.rglob("*"), self.root):
                _sync(path)
            self._replace_folder()
        _sync(self._output.parent)

    def _replace_folder(self) -> None:
        aside = _aside(self._output)
        if self._output.exists():
            self._output.rename(aside)
        self.root.rename(self._output)
        if aside.exists():
            # What is about to be deleted gets a place from which it is never brought back, half deleted.
            aside.rename(self._staging / "replaced")


def restore_replaced(output: Path) -> None:
    """Puts a folder back that a killed writer had moved aside and not yet replaced.

    Args:
        output: Where the package is to lie.
    """
    aside = _aside(output)
    if not aside.exists():
        return
    if output.exists():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.rename(output)


def hash_file(path: Path) -> str:
    """The SHA-256 digest of a file, in lower-case hexadecimal digits.

    Args:
        path: The file.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_output(output: Path, *, is_archive: bool, force: bool) -> None:
    if not output.name:
        raise ConfigError(f"{str(output)!r} names no file or folder to write a package to")
    if not output.parent.is_dir():
        raise ConfigError(f"there is no folder {output.parent}", hint="make it first")
    if not (output.exists() or output.is_symlink()):
        return
    if not force:
        raise ConfigError(f"{output} exists already", hint="choose another name, or replace it with --force")
    is_package = output.is_file() if is_archive else (output / METADATA_FILE).is_file()
    if output.is_symlink() or not is_package:
        raise ConfigError(f"{output} is no package, and is not replaced", hint="move it away, or choose another name")


def _remove_abandoned(output: Path) -> None:
    """Removes what writers to the same output left behind whose processes are gone."""
    pattern = re.compile(re.escape(f".{output.name}{_STAGING}") + r"(?P<process>\d+)-")
    for path in output.parent.iterdir():
        match = pattern.match(path.name)
        if match and not _is_running(int(match["process"]), since=path.stat().st_mtime):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int, *, since: float) -> bool:
    """Whether the process that made something still runs, and not a later one that was given its number."""
    try:
        started: float = psutil.Process(process).create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
    return started <= since + _CLOCK_STEP_S


def _aside(output: Path) -> Path:
    return output.with_name(f".{output.name}{_REPLACED}")


def _files(root: Path) -> list[Path]:
    return sorted(
        (path for path in root.rglob("*") if path.is_file()), key=lambda path: path.relative_to(root).as_posix()
    )


def _entry(root: Path, path: Path) -> FileEntry:
    return FileEntry(path.relative_to(root).as_posix(), path.stat().st_size, hash_file(path))


def _sync(path: Path) -> None:
    """Asks the system to put a file or folder on the disk, so that it outlasts a loss of power."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
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
    hint = "free some space, or write to another disk" if error.errno in {errno.ENOSPC, errno.EDQUOT} else None
    return PackageError(f"{output} cannot be written: {error.strerror or error}", hint=hint)
