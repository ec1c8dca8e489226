"""The output of a bulk run: its parts, its manifest, and its lock."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from inferox.bulk.answers import Answered
from inferox.bulk.manifest import BulkManifest, Part, publish
from inferox.bulk.shards import Shard, check_no_other_run, find_replaced_manifests, manifest_name
from inferox.bulk.writers import FORMATS, Schema, Writer, merge_parts, open_writer
from inferox.core import Closing, ConfigError, counted
from inferox.package.file_lock import FileLock
from inferox.package.writer import hash_file

_WAIT = "wait until it has ended"


def format_of(target: Path) -> str | None:
    """Returns the format of an output that is a single file, by its suffix; ``None`` for a folder.

    Args:
        target: The output.

    Raises:
        ConfigError: If it is not an existing folder, and its suffix is that of no format.
    """
    suffix = target.suffix.removeprefix(".")
    if not suffix or target.is_dir():
        return None
    if suffix not in FORMATS:
        raise ConfigError(
            f"rows go to a folder, or a file such as vectors.parquet, but the output is {target.name!r}",
            hint=f"give a name that ends in {', '.join(f'.{form}' for form in FORMATS)}; a folder with such "
            "a name must exist already",
        )
    return suffix


class Output(Closing):
    """A folder of parts, each of which appears once it is complete, or a file into which they are merged at the end.

    Args:
        target: The folder, which is created if it does not exist; or the file, whose parts are kept in a folder beside
            it until then.
        form: The format of the parts.
        shard: The index of the shard to write, from 0, and the number of shards.
        resume: Whether to continue an existing output.
        force: Whether to replace an existing output.

    Attributes:
        first_error: The error of the first row written that failed, with the name of the row; ``None`` if none did.

    Raises:
        ConfigError: If the output exists and neither is set, another run writes to it, or its suffix is that of no
            format.
    """

    def __init__(
        self, target: Path, form: str, *, shard: Shard = (0, 1), resume: bool = False, force: bool = False
    ) -> None:
        self._target, self._form, self._shard = target, form, shard
        self._is_file = format_of(target) is not None
        if self._is_file:
            self._folder = target.with_name(f"{target.name}.parts")
            self._manifest_path = target.with_name(f"{target.name}.manifest.json")
        else:
            self._folder = target
            self._manifest_path = target / manifest_name(shard)
        self._made: list[Path] = []
        self._has_begun = False
        self._lock = self._take_lock()
        try:
            self._before = None if force else BulkManifest.read(self._manifest_path)
            self._replaced = self._check_before(resume=resume, force=force)
        except BaseException:
            self._release()
            raise
        self._manifest = self._before or BulkManifest({})
        self._schema: Schema | None = None
        self._writer: Writer | None = None
        self._rows = self._failed = self._cut = 0
        self.first_error: str | None = None

    @property
    def is_complete(self) -> bool:
        """True if the output was completed by an earlier run, or this one has finished it."""
        return self._manifest.is_complete

    @property
    def finished(self) -> dict[int, int]:
        """The number of rows of each finished part, by its number."""
        return {part.number: part.rows for part in self._manifest.parts}

    def totals(self) -> dict[str, int]:
        """Returns the totals over all finished parts: ``rows``, ``failed`` and ``cut``."""
        return self._manifest.totals()

    def begin(self, job: Mapping[str, Any], schema: Schema) -> None:
        """Records the job of the output, or checks that it is the same as before.

        Args:
            job: Everything that determines the bytes of the output.
            schema: The schema of all parts.

        Raises:
            ConfigError: If the output was begun with another job, or a finished part is missing.
        """
        self._schema = schema
        if self._before is not None:
            self._before.check_same(job, self._target)
            self._check_parts()
            self._has_begun = True
            return
        # Only now, as an error before this point must leave the old output in place.
        self._has_begun = True
        for file in self._replaced:
            file.unlink(missing_ok=True)  # another shard that replaces the same run may have been faster
        self._manifest = BulkManifest(job)
        self._manifest.write(self._manifest_path)

    def write(self, answered: Answered) -> None:
        """Writes the rows of a window, and finishes the part if it ends with them.

        Args:
            answered: The rows.

        Raises:
            ConfigError: If they cannot be written.
        """
        target = self._folder / f"part-{answered.part:06}.{self._form}"
        temporary = target.with_name(f".{target.name}.tmp")
        if self._schema is None:
            raise ValueError("begin() comes before write()")
        try:
            if self._writer is None:
                self._rows = self._failed = self._cut = 0
                self._writer = open_writer(temporary, self._form, self._schema)
            self._writer.write(answered.columns, answered.errors)
            self._rows += len(answered.errors)
            self._failed += sum(error is not None for error in answered.errors)
            self.first_error = self.first_error or answered.first_error
            self._cut += answered.cut
            if answered.is_last:
                self._writer.close()
                self._writer = None
                publish(temporary, target)
                self._note(answered.part, target)
        except OSError as error:
            raise ConfigError(f"{target} cannot be written: {error.strerror or error}") from error

    def finish(self) -> None:
        """Marks the output as complete, after merging the parts if it is a single file.

        Raises:
            ConfigError: If the file cannot be written.
        """
        if self._is_file and not self.is_complete:
            temporary = self._folder / f".{self._target.name}.tmp"
            try:
                merge_parts([self._folder / part.file for part in self._manifest.parts], temporary, self._form)
                publish(temporary, self._target)
            except OSError as error:
                raise ConfigError(f"{self._target} cannot be written: {error.strerror or error}") from error
        if not self.is_complete:
            self._manifest.is_complete = True
            self._manifest.write(self._manifest_path)
        if self._is_file:
            shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Removes unfinished parts (and, if nothing was begun, new folders), and releases the lock."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for temporary in self._folder.glob(".part-*.tmp"):
            if self._owns(temporary.name.removeprefix(".")):
                temporary.unlink(missing_ok=True)
        self._release()

    def _take_lock(self) -> FileLock:
        try:
            missing = [folder for folder in (self._folder, *self._folder.parents) if not folder.exists()]
            for folder in reversed(missing):
                folder.mkdir(exist_ok=True)
                self._made.insert(0, folder)
            # Without locks, as on some network disks, two runs of one shard are not stopped.
            lock = FileLock.exclude(_lock_path(self._manifest_path), must_exclude=False)
        except OSError as error:
            raise ConfigError(f"{self._target} cannot be written: {error.strerror or error}") from error
        if lock is None:
            raise ConfigError(f"another run writes to {self._target}", hint=_WAIT)
        return lock

    def _release(self) -> None:
        """Releases the lock. Removes the folders that were created, if nothing was begun."""
        self._lock.remove()
        if self._has_begun:
            return
        with suppress(OSError):  # somebody else has put something there
            for folder in self._made:
                folder.rmdir()

    def _check_before(self, *, resume: bool, force: bool) -> list[Path]:
        """Refuses an existing output, unless it is to be continued or replaced; returns the files to replace."""
        before = self._before
        if before is not None:
            if resume:
                return []
            if before.is_complete:
                raise ConfigError(
                    f"{self._target} already has a complete output",
                    hint="choose another output, or replace it with --force",
                )
            raise ConfigError(
                f"{self._target} already has {counted(len(before.parts), 'finished part')}",
                hint="continue with --resume, or start again with --force",
            )
        # Without a manifest of this shard, they are of another run, or there is no telling what they are.
        found = sorted(file for file in self._folder.glob("part-*") if self._owns(file.name))
        found += [self._target] if self._is_file and self._target.exists() else []
        if found and not force:
            check_no_other_run(self._folder, found, self._shard)
            raise ConfigError(
                f"{found[0]} already exists, and no manifest says what it is",
                hint="choose another output, or replace it with --force",
            )
        others = find_replaced_manifests(self._folder, found, self._shard)
        for manifest in others:
            lock = FileLock.exclude(_lock_path(manifest), must_exclude=False)
            if lock is None:
                raise ConfigError(f"another run writes to {self._target}, as {manifest.name} says", hint=_WAIT)
            lock.remove()
        return [*found, *others]

    def _note(self, number: int, target: Path) -> None:
        counts = (self._rows, self._failed, self._cut)
        part = Part(number, target.name, *counts, target.stat().st_size, hash_file(target))
        self._manifest.parts.append(part)
        self._manifest.write(self._manifest_path)

    def _owns(self, name: str) -> bool:
        """Returns True if a part belongs to this shard."""
        index, count = self._shard
        number = name.removeprefix("part-").partition(".")[0]
        return number.isdigit() and int(number) % count == index

    def _check_parts(self) -> None:
        hint = "restore it, or start again with --force"
        if self._is_file and self.is_complete:
            if not self._target.is_file():
                raise ConfigError(
                    f"{self._target} is missing, although its manifest says that it is complete", hint=hint
                )
            return
        for part in self._manifest.parts:
            file = self._folder / part.file
            if not file.is_file() or file.stat().st_size != part.size_bytes:
                raise ConfigError(
                    f"{file} is not the finished part of {counted(part.size_bytes, 'byte')} that the manifest lists",
                    hint=hint,
                )


def _lock_path(manifest: Path) -> Path:
    return manifest.with_name(f".{manifest.name}.lock")
