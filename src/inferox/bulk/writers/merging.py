"""Merging the parts of an output into one file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from inferox.bulk.writers.array_file import merge_arrays
from inferox.bulk.writers.delimited import skip_header


def merge_parts(parts: Sequence[Path], target: Path, form: str) -> None:
    """Concatenates parts.

    Args:
        parts: The files of the parts; at least one.
        target: The file to write.
        form: Their format.

    Raises:
        OSError: If a file cannot be read or written.
    """
    _MERGERS[form](parts, target)


def _merge_lines(parts: Sequence[Path], target: Path) -> None:
    with target.open("wb") as out:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, out)


def _merge_delimited(parts: Sequence[Path], target: Path) -> None:
    with target.open("wb") as out:
        for place, part in enumerate(parts):
            with part.open("rb") as stream:
                if place:
                    skip_header(stream)
                shutil.copyfileobj(stream, out)


def _merge_parquet(parts: Sequence[Path], target: Path) -> None:
    from inferox.bulk.writers.arrow import merge_parquet

    merge_parquet(parts, target)


def _merge_arrow(parts: Sequence[Path], target: Path) -> None:
    from inferox.bulk.writers.arrow import merge_arrow

    merge_arrow(parts, target)


_MERGERS: dict[str, Callable[[Sequence[Path], Path], None]] = {
    "parquet": _merge_parquet,
    "arrow": _merge_arrow,
    "jsonl": _merge_lines,
    "csv": _merge_delimited,
    "npy": merge_arrays,
}
