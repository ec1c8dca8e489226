"""Load benchmarks of an engine or a server: throughput and latency."""

from inferox.bench.benching import bench
from inferox.bench.results import LoadReport, LoadStep

__all__ = ["LoadReport", "LoadStep", "bench"]
