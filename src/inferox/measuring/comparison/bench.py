"""The measurements of one loaded artifact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from inferox.backends.registry import probe_backend
from inferox.core import Artifact, DeviceId, LoadOptions, PackageError
from inferox.loading.context import PackageContext
from inferox.machine.memory import peak_memory_bytes
from inferox.measuring.agreement import measure_again
from inferox.measuring.comparison.workload import Workload
from inferox.measuring.timing import time_call, time_calls
from inferox.package import Package, open_package

_FEWEST_CALLS, _MOST_CALLS = 3, 200
"""The fewest and the most repetitions of a call, however long it takes."""


class Bench:
    """An artifact that is loaded and has done its first computation.

    Args:
        package: The path of a package.
        artifact: The name of one of its artifacts.
        device: The device to load on; ``None`` for the backend's default device.
        threads: The number of CPU threads that the runtime may use.
        trust_code: Whether code that comes with the package may run.

    Raises:
        InferoxError: If the package cannot be opened, or the artifact cannot be loaded or run.
    """

    def __init__(self, package: str, artifact: str, device: str | None, *, threads: int, trust_code: bool) -> None:
        self._context = PackageContext(open_package(Path(package)))
        self._package = self._context.package
        self._artifact = _find(self._package, artifact)
        options = LoadOptions(self._package.metadata.name, threads=threads, trust_code=trust_code)
        wanted = DeviceId.of(device)
        began = perf_counter()
        self._model = self._context.load(self._artifact, wanted, options)
        self._load_s = perf_counter() - began
        self._task = self._context.task(self._model.signature)
        self._samples = self._context.samples
        self._workload = Workload(self._task, self._package.info.signature, self._samples)
        self._singles: list[Any] = []
        self._warm: set[int] = set()
        self._answer([self._workload.first()])

    def started(self) -> dict[str, Any]:
        """Returns the loading time in seconds, the model's device, and the version of its runtime."""
        version = probe_backend(self._artifact.backend).version
        return {"load_s": self._load_s, "device": str(self._model.metadata.device), "version": version}

    def describe(self) -> dict[str, Any]:
        """Prepares the single rows to measure; returns the length of each, and the index of the typical one."""
        self._singles = self._workload.singles()
        lengths = [self._workload.length(item) for item in self._singles]
        return {"lengths": lengths, "typical": self._workload.typical(self._singles)}

    def latency(self, *, index: int, budget_s: float) -> dict[str, Any]:
        """Measures the latency of one row by repeated calls.

        Args:
            index: The index among the single rows.
            budget_s: The time to spend, in seconds.
        """
        items = [self._singles[index]]
        # Whatever ran in between has evicted this process's data from the caches.
        self._answer(items)
        seconds = time_calls(lambda: self._answer(items), budget_s, fewest=_FEWEST_CALLS, most=_MOST_CALLS)
        return {"seconds": seconds}

    def throughput(self, *, items: int) -> dict[str, Any]:
        """Measures one computation of items of mixed lengths, in the batches that the task chooses.

        If it has not computed as many before, it first does so untimed.

        Args:
            items: The number of items.
        """
        made = self._workload.mixed(items)
        rows = self._workload.rows(made)
        if items not in self._warm:
            self._answer(made)
            self._warm.add(items)
        seconds = time_call(lambda: self._answer(made))
        return {
            "rows": len(made) if rows is None else len(rows),
            "tokens": self._workload.tokens(rows),
            "seconds": seconds,
        }

    def memory(self) -> dict[str, Any]:
        """Returns the peak memory of this process, in bytes."""
        return {"peak_memory_bytes": peak_memory_bytes()}

    def parity(self) -> dict[str, Any]:
        """Computes the samples, and compares the outputs with the reference's."""
        if self._samples is None:
            return {"evidence": None}
        return {"evidence": measure_again(self._context, self._artifact, self._model, self._samples).to_json()}

    def close(self) -> None:
        """Frees the model's resources."""
        self._model.close()

    def _answer(self, items: Sequence[Any]) -> None:
        self._task.run(self._model, items)


def _find(package: Package, name: str) -> Artifact:
    for artifact in package.artifacts:
        if artifact.name == name:
            return artifact
    raise PackageError(f"{package.metadata.name!r} has no artifact {name!r}")
