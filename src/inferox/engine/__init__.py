"""Loading a package on the runtime that fits, and running it."""

from inferox.engine.load import load
from inferox.engine.select import Candidate, select
from inferox.engine.task_model import TaskModel

__all__ = ["Candidate", "TaskModel", "load", "select"]
