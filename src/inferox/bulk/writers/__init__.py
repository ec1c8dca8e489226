"""Writers of answers, one per file format."""

from inferox.bulk.writers.merging import merge_parts
from inferox.bulk.writers.opening import ARRAY, FORMATS, TABLES, check_format, open_writer
from inferox.bulk.writers.writer import Schema, Writer

__all__ = ["ARRAY", "FORMATS", "TABLES", "Schema", "Writer", "check_format", "merge_parts", "open_writer"]
