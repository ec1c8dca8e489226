"""The comparison of all artifacts of a package, measured side by side on this machine."""

from inferox.machine.description import Machine
from inferox.measuring.comparison.comparing import compare
from inferox.measuring.comparison.measurements import (
    ArtifactMeasurement,
    Comparison,
    Latency,
    Start,
    Throughput,
)
from inferox.measuring.comparison.peer_bench import PEER
from inferox.measuring.comparison.plan import FULL, Plan
from inferox.measuring.comparison.schedule import FAIR_ITEMS, Progress
from inferox.measuring.timing import Spread

__all__ = [
    "FAIR_ITEMS",
    "FULL",
    "PEER",
    "ArtifactMeasurement",
    "Comparison",
    "Latency",
    "Machine",
    "Plan",
    "Progress",
    "Spread",
    "Start",
    "Throughput",
    "compare",
]
