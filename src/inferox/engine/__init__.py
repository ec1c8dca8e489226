"""Loading a package on the runtime that fits, and running it."""

from inferox.engine.explanation import Explanation, Verdict, explain
from inferox.engine.loading import load
from inferox.engine.selection import QUALITIES, Candidate, Wish, select
from inferox.engine.task_model import TaskModel
from inferox.engine.tuning import Tuning, tune
from inferox.engine.verification import Verification, verify

__all__ = [
    "QUALITIES",
    "Candidate",
    "Explanation",
    "TaskModel",
    "Tuning",
    "Verdict",
    "Verification",
    "Wish",
    "explain",
    "load",
    "select",
    "tune",
    "verify",
]
