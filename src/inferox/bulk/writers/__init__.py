"""Files of answers: one writer per format."""

from inferox.bulk.writers.opening import FORMATS, open_writer
from inferox.bulk.writers.writer import Schema, Writer

__all__ = ["FORMATS", "Schema", "Writer", "open_writer"]
