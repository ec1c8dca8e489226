"""Every artifact of a package, measured side by side on this machine."""

from inferox.engine.comparison.comparing import Progress, compare
from inferox.engine.comparison.machine import Machine
from inferox.engine.comparison.measurements import (
    ArtifactMeasurement,
    Comparison,
    Latency,
    RowParity,
    Spread,
    Start,
    Throughput,
)
from inferox.engine.comparison.plan import FULL, QUICK, Plan

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
