"""Choosing the writer for a format."""

from __future__ import annotations

from pathlib import Path

from inferox.bulk.arrow_install import check_arrow
from inferox.bulk.writers.array_file import ArrayWriter
from inferox.bulk.writers.delimited import CsvWriter
from inferox.bulk.writers.lines import JsonWriter
from inferox.bulk.writers.writer import Schema, Writer
from inferox.core import ConfigError

PARQUET, ARROW, JSON_LINES, _, ARRAY = FORMATS = ("parquet", "arrow", "jsonl", "csv", "npy")
"""The formats of an output, which are also the suffixes of its files."""

TABLES = (PARQUET, ARROW)
"""The formats that state the types of their columns."""


def check_format(form: str) -> None:
    """Checks that a format can be written here.

    Args:
        form: The format.

    Raises:
        ConfigError: If there is no such format, or it needs a library that is not installed.
    """
    if form not in FORMATS:
        raise ConfigError(f"the format must be one of {', '.join(FORMATS)}, but is {form!r}")
    if form in TABLES:
        check_arrow()


def open_writer(path: Path, form: str, schema: Schema) -> Writer:
    """Opens a file for rows with their answers.

    Args:
        path: The file, which is overwritten.
        form: One of ``FORMATS``.
        schema: The schema of all parts of the output.
    """
    if form in TABLES:
        from inferox.bulk.writers.arrow import ArrowWriter, ParquetWriter

        return ParquetWriter(path, schema) if form == PARQUET else ArrowWriter(path, schema)
    if form == ARRAY:
        return ArrayWriter(path, schema)
    return JsonWriter(path, schema) if form == JSON_LINES else CsvWriter(path, schema)
