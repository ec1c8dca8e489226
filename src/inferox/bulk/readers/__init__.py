"""Files of rows: one reader per kind of file."""

from inferox.bulk.readers.opening import SUFFIXES, kind_of, open_reader
from inferox.bulk.readers.reader import Reader

__all__ = ["SUFFIXES", "Reader", "kind_of", "open_reader"]
