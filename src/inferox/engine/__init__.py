"""Loading a package on the runtime that fits, and running it."""

from inferox.engine.loading import load
from inferox.engine.selection import Candidate, select
from inferox.engine.task_model import TaskModel
from inferox.engine.verification import Verification, verify

__all__ = ["Candidate", "TaskModel", "Verification", "load", "select", "verify"]
