"""Bulk runs: any number of rows from files, into files, in parts so that a run can be resumed."""

from inferox.bulk.job import BulkResult, run_bulk
from inferox.bulk.options import BulkOptions
from inferox.bulk.watching import Watcher

__all__ = ["BulkOptions", "BulkResult", "Watcher", "run_bulk"]
