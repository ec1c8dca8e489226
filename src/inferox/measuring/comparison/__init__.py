"""Every artifact of a package, measured side by side on this machine."""

from inferox.machine.description import Machine
from inferox.measuring.comparison.comparing import Progress, compare
from inferox.measuring.comparison.measurements import (
    ArtifactMeasurement,
    Comparison,
    Latency,
    RowParity,
    Start,
    Throughput,
)
from inferox.measuring.comparison.plan import FULL, QUICK, Plan
from inferox.measuring.timing import Spread

__all__ = [
    "FULL",
    "QUICK",
    "ArtifactMeasurement",
    "Comparison",
    "Latency",
    "Machine",
    "Plan",
    "Progress",
    "RowParity",
    "Spread",
    "Start",
    "Throughput",
    "compare",
]
