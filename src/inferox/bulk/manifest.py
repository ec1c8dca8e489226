"""The manifest of a bulk run: the sources of the output, and the finished parts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inferox.bulk.changes import describe_changes
from inferox.core import ConfigError, InferoxError, parse_json
from inferox.core.json_writer import to_json_bytes

FORMAT = 1


@dataclass(frozen=True)
class Part:
    """A finished part of the output.

    Attributes:
        number: Its number, from 0.
        file: The name of its file.
        rows: The number of its rows.
        failed: The number of its rows with an error.
        cut: The number of its texts that were cut to the model's limit.
        size_bytes: The size of its file.
        sha256: The digest of its file.
    """

    number: int
    file: str
    rows: int
    failed: int
    cut: int
    size_bytes: int
    sha256: str


@dataclass
class BulkManifest:
    """The manifest of an output, rewritten after each finished part.

    Attributes:
        job: Everything that determines the bytes of the output: package, embedding space, artifact, options and inputs.
        parts: The finished parts, in order.
        is_complete: Whether those are all parts.
    """

    job: Mapping[str, Any]
    parts: list[Part] = field(default_factory=list)
    is_complete: bool = False

    @classmethod
    def read(cls, path: Path) -> BulkManifest | None:
        """Reads a manifest.

        Args:
            path: The file.

        Returns:
            The manifest; ``None`` if there is no file.

        Raises:
            ConfigError: If it is not a manifest, or cannot be read.
        """
        hint = "choose another folder for the output"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror or error}") from error
        try:
            data = parse_json(content, str(path), error_type=ConfigError, hint=hint)
            if data["format"] != FORMAT:
                raise ConfigError(f"{path} has the format {data['format']!r}, but only {FORMAT} can be read", hint=hint)
            return cls(data["job"], [Part(**part) for part in data["parts"]], data["complete"])
        except InferoxError:
            raise
        except (KeyError, TypeError) as error:
            raise ConfigError(f"{path} is not the manifest of a bulk run: {error!r}", hint=hint) from error

    def write(self, path: Path) -> None:
        """Writes the manifest atomically.

        Args:
            path: The file.
        """
        parts = [vars(part) for part in self.parts]
        data = {"format": FORMAT, "complete": self.is_complete, **self.totals(), "job": self.job, "parts": parts}
        with replacing(path) as temporary:
            temporary.write_bytes(to_json_bytes(data))

    def totals(self) -> dict[str, int]:
        """Returns the totals over all finished parts: rows, failed rows, and cut texts."""
        return {name: sum(getattr(part, name) for part in self.parts) for name in ("rows", "failed", "cut")}

    def check_same(self, job: Mapping[str, Any], target: Path) -> None:
        """Checks that an output is continued with the job that it was begun with.

        Args:
            job: The job that is to continue it.
            target: The output, for the error.

        Raises:
            ConfigError: If anything differs; the error says what.
        """
        if self.job != job:
            raise ConfigError(
                f"{target} cannot be continued: {describe_changes(self.job, job)}",
                hint="continue with the same options and inputs, or start again with --force or another output",
            )


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yields a temporary file that replaces the target atomically, once it is on disk.

    Args:
        target: The file.

    Yields:
        The path of the temporary file, in the same folder. If the process is killed, the next run overwrites it.

    Raises:
        ConfigError: If the file cannot be written.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        yield temporary
        publish(temporary, target)
    except OSError as error:
        raise ConfigError(f"{target} cannot be written: {error.strerror or error}") from error


def publish(temporary: Path, target: Path) -> None:
    """Renames a written file atomically, once it is on disk.

    Args:
        temporary: The file.
        target: Its new name.
    """
    with temporary.open("rb+") as stream:
        os.fsync(stream.fileno())
    temporary.replace(target)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
