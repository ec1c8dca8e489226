"""How much an engine or a server computes under load, and how long its callers wait."""

from inferox.bench.benching import bench
from inferox.bench.results import LoadReport, LoadStep

__all__ = ["LoadReport", "LoadStep", "bench"]
