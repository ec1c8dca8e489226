"""Bulk work: any number of rows of files, into files, in parts that can be gone on with."""

from inferox.bulk.job import BulkResult, run_bulk
from inferox.bulk.options import BulkOptions
from inferox.bulk.watching import Watcher

__all__ = ["BulkOptions", "BulkResult", "Watcher", "run_bulk"]
