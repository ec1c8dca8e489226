"""The measurement of artifacts where they run: their agreement and their speed."""

from inferox.measuring.time_budget import Ending, TimeBudget
from inferox.measuring.tuning import Tuning, tune
from inferox.measuring.verification import Verification, verify

__all__ = [
    "Ending",
    "TimeBudget",
    "Tuning",
    "Verification",
    "tune",
    "verify",
]
