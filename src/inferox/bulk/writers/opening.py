"""Which writer a format needs."""

from __future__ import annotations

from pathlib import Path

from inferox.bulk.writers.lines import JsonWriter
from inferox.bulk.writers.writer import Schema, Writer
from inferox.core import ConfigError

FORMATS = ("parquet", "jsonl")
"""The formats of an output, which are also how the names of its files end."""


def open_writer(path: Path, form: str, schema: Schema) -> Writer:
    """Opens a file for rows with their answers.

    Args:
        path: The file, which is written anew.
        form: One of ``FORMATS``.
        schema: What all parts of the output have in common.

    Raises:
        ConfigError: If the format needs a package that is not installed.
    """
    if form == "jsonl":
        return JsonWriter(path, schema)
    check_arrow()
    from inferox.bulk.writers.arrow import ParquetWriter

    return ParquetWriter(path, schema)


def check_arrow() -> None:
    """Checks that pyarrow is installed.

    Raises:
        ConfigError: If it is not.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"Parquet and Arrow need pyarrow: {error}", hint="pip install 'inferox[parquet]', or write jsonl"
        ) from error
