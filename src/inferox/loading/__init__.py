"""The choice of the artifact of a package that runs here, and loading it."""

from inferox.loading.explanation import Explanation, Verdict, explain
from inferox.loading.planned_load import PlannedLoad, load, plan_load
from inferox.loading.selection import QUALITIES, Candidate, Requirements, select
from inferox.loading.task_model import TaskModel

__all__ = [
    "QUALITIES",
    "Candidate",
    "Explanation",
    "PlannedLoad",
    "Requirements",
    "TaskModel",
    "Verdict",
    "explain",
    "load",
    "plan_load",
    "select",
]
