"""The folder of an output: its parts, its manifest, and its lock."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferox.bulk.answers import Answered
from inferox.bulk.manifest import BulkManifest, Part, publish
from inferox.bulk.writers import Schema, Writer, open_writer
from inferox.core import Closing, ConfigError
from inferox.package.file_lock import FileLock
from inferox.package.writer import hash_file


class Output(Closing):
    """A folder of parts, each of which appears once it is complete.

    Args:
        folder: The folder, which is made where it does not exist.
        form: The format of the parts.
        shard: Which shard of how many it gets, from 0.
        resume: Whether it goes on with what is there.
        force: Whether what is there is replaced.

    Raises:
        ConfigError: If there is something already and neither is said, or another run writes there.
    """

    def __init__(
        self, folder: Path, form: str, *, shard: tuple[int, int] = (0, 1), resume: bool = False, force: bool = False
    ) -> None:
        self._folder, self._form = folder, form
        index, count = shard
        self._shard = shard
        self._manifest_path = folder / ("_manifest.json" if count == 1 else f"_manifest-{index}-of-{count}.json")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock.exclude(folder / f".{self._manifest_path.name}.lock")
        except OSError as error:
            raise ConfigError(f"{folder} cannot be written: {error.strerror or error}") from error
        if lock is None:
            raise ConfigError(f"another run writes to {folder}", hint="wait until it has ended")
        self._lock = lock
        self._before = None if force else BulkManifest.read(self._manifest_path)
        if self._before is not None and not resume:
            done = "a complete output" if self._before.is_complete else f"{len(self._before.parts)} finished parts"
            raise ConfigError(f"{folder} has {done} already", hint="go on with --resume, or begin anew with --force")
        self._check_foreign(force=force)
        self._manifest = self._before or BulkManifest({})
        self._schema: Schema | None = None
        self._writer: Writer | None = None
        self._rows = self._failed = self._cut = 0

    @property
    def is_complete(self) -> bool:
        """Whether all of it was finished before."""
        return self._manifest.is_complete

    @property
    def finished(self) -> dict[int, int]:
        """The rows of each finished part, by its number."""
        return {part.number: part.rows for part in self._manifest.parts}

    def totals(self) -> dict[str, int]:
        """The numbers of rows of all finished parts: ``rows``, ``failed`` and ``cut``."""
        return self._manifest.totals()

    def begin(self, job: Mapping[str, Any], schema: Schema) -> None:
        """Notes what the output is made from, or checks that it is the same as before.

        Args:
            job: What decides about the bytes of the output.
            schema: What all parts have in common.

        Raises:
            ConfigError: If the output was begun with something else, or a finished part is missing.
        """
        self._schema = schema
        if self._before is not None:
            self._before.check_same(job, self._manifest_path)
            self._check_parts()
        else:
            self._manifest = BulkManifest(job)
            self._manifest.write(self._manifest_path)

    def write(self, answered: Answered) -> None:
        """Writes the rows of a window; at the end of a part the part is finished.

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
            self._cut += answered.cut
            if answered.is_last:
                self._writer.close()
                self._writer = None
                publish(temporary, target)
                self._note(answered.part, target)
        except OSError as error:
            raise ConfigError(f"{target} cannot be written: {error.strerror or error}") from error

    def finish(self) -> None:
        """Notes that all parts are finished."""
        self._manifest.is_complete = True
        self._manifest.write(self._manifest_path)

    def close(self) -> None:
        """Leaves what is finished, and lets others write."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        for temporary in self._folder.glob(".part-*.tmp"):
            if self._owns(temporary.name.removeprefix(".")):
                temporary.unlink(missing_ok=True)
        self._lock.close()

    def _note(self, number: int, target: Path) -> None:
        counts = (self._rows, self._failed, self._cut)
        part = Part(number, target.name, *counts, target.stat().st_size, hash_file(target))
        self._manifest.parts.append(part)
        self._manifest.write(self._manifest_path)

    def _owns(self, name: str) -> bool:
        """Whether a part belongs to this shard."""
        index, count = self._shard
        number = name.removeprefix("part-").partition(".")[0]
        return number.isdigit() and int(number) % count == index

    def _check_foreign(self, *, force: bool) -> None:
        """Refuses to mix with parts that nobody knows, which killed runs leave before their manifest has them."""
        if self._before is not None:
            return
        parts = [file for file in self._folder.glob("part-*") if self._owns(file.name)]
        if parts and not force:
            raise ConfigError(
                f"{self._folder} has files such as {parts[0].name}, and no manifest that says what they are",
                hint="choose another folder, or replace them with --force",
            )
        for file in parts:
            file.unlink()

    def _check_parts(self) -> None:
        for part in self._manifest.parts:
            file = self._folder / part.file
            if not file.is_file() or file.stat().st_size != part.size_bytes:
                raise ConfigError(
                    f"{file} is not the finished part of {part.size_bytes:,} bytes that the manifest lists",
                    hint="put it back, or begin anew with --force",
                )


def remove(folder: Path) -> None:
    """Removes the folder of an output.

    Args:
        folder: The folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
