"""One loaded artifact, and what can be measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from inferox.backends.registry import get_backend
from inferox.batching import run_batches
from inferox.core import BATCH, MASK, Artifact, ConfigError, DeviceId, LoadOptions, PackageError, Signature
from inferox.loading.context import PackageContext
from inferox.machine.memory import peak_memory_bytes
from inferox.measuring.comparison.workload import Workload
from inferox.measuring.timing import time_call, time_calls
from inferox.package import Package, open_package
from inferox.parity import ArtifactEvidence, SampleBatch, Samples, measure_model

_FEWEST_CALLS, _MOST_CALLS = 3, 200
"""How often a call is repeated, whatever its time."""


class Bench:
    """An artifact, loaded and put through its first computation.

    Args:
        package: The path of a package.
        artifact: The name of one of its artifacts.
        device: Where to load it; ``None`` for the backend's default device.
        threads: How many CPU threads the runtime may use.
        trust_code: Whether code that comes with the package may run.

    Raises:
        InferoxError: If the package cannot be opened, or the artifact not be loaded or run.
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
        self._task.run(self._model, [self._workload.first()])
        self._singles: list[Any] = []

    def started(self) -> dict[str, Any]:
        """How long loading took, in seconds, and on which device the model is."""
        return {"load_s": self._load_s, "device": str(self._model.metadata.device)}

    def describe(self) -> dict[str, Any]:
        """What there is to measure: the length of each single row, which of them is typical, and sizes of batches."""
        self._singles = self._workload.singles()
        lengths = [self._workload.length(item) for item in self._singles]
        return {
            "lengths": lengths,
            "typical": self._workload.typical(self._singles),
            "batches": self._workload.batches(),
        }

    def latency(self, *, index: int, budget_s: float) -> dict[str, Any]:
        """Computes one row again and again.

        Args:
            index: Which of the single rows.
            budget_s: For how long, in seconds.
        """
        items = [self._singles[index]]
        # What ran in between has taken this process' place in the caches.
        self._task.run(self._model, items)
        seconds = time_calls(
            lambda: self._task.run(self._model, items), budget_s, fewest=_FEWEST_CALLS, most=_MOST_CALLS
        )
        return {"seconds": seconds}

    def throughput(self, *, items: int) -> dict[str, Any]:
        """Answers items of mixed lengths once, in the batches that the task chooses.

        Args:
            items: How many.
        """
        made = self._workload.mixed(items)
        rows = self._workload.rows(made)
        seconds = time_call(lambda: self._task.run(self._model, made))
        return {
            "rows": len(made) if rows is None else len(rows),
            "tokens": self._workload.tokens(rows),
            "seconds": seconds,
        }

    def batch(self, *, items: int, size: int) -> dict[str, Any]:
        """Computes rows of mixed lengths once, in batches of at most some size, without making rows or answers.

        Args:
            items: How many.
            size: The most tokens of a batch or, where rows have no length, the most rows.
        """
        rows = self._workload.rows(self._workload.mixed(items))
        if rows is None:
            raise ConfigError(f"{self._package.metadata.name!r} has no rows to make batches of")
        tokens = self._workload.tokens(rows)
        limits = {"max_rows": size} if tokens is None else {"max_tokens": size, "max_rows": len(rows)}

        def compute() -> None:
            for _ in run_batches(self._model, rows, **limits):
                pass

        return {"rows": len(rows), "tokens": tokens, "seconds": time_call(compute)}

    def memory(self) -> dict[str, Any]:
        """The most memory that this process has had, in bytes."""
        return {"peak_memory_bytes": peak_memory_bytes()}

    def parity(self) -> dict[str, Any]:
        """Runs the samples, and compares with the reference: all of them, and each row by itself."""
        samples = self._samples
        if samples is None:
            return {"evidence": None, "rows": []}
        known, parity_target = (
            self._context.evidence.get(self._artifact.name),
            self._task.parity_target(self._model.signature),
        )
        tolerance, scales = known.tolerance if known else None, parity_target.scales(samples)

        def measure(some: Samples, *, beside_others: bool = False) -> ArtifactEvidence:
            return measure_model(
                self._model,
                self._artifact,
                some,
                parity_target,
                tolerance,
                scales=scales,
                beside_others=beside_others,
                distributions=get_backend(self._artifact.backend).distributions,
            )

        rows = [
            {"length": _sample_length(row), **_figures(measure(Samples((row,))))}
            for row in single_rows(samples, self._package.info.signature)
        ]
        return {"evidence": measure(samples, beside_others=True).to_json(), "rows": rows}

    def close(self) -> None:
        """Frees what the model holds."""
        self._model.close()


def single_rows(samples: Samples, signature: Signature) -> list[SampleBatch]:
    """Cuts sample calls into calls of one row each.

    Args:
        samples: The sample calls.
        signature: The dims of their inputs and outputs.

    Returns:
        The rows in order, as they were padded; the calls as they are, where not everything in them has a batch dim.
    """
    specs = (*signature.inputs, *signature.outputs)
    if not all(spec.dims[:1] == (BATCH,) for spec in specs):
        return list(samples.batches)
    return [
        SampleBatch(
            {name: array[index : index + 1] for name, array in batch.inputs.items()},
            {name: array[index : index + 1] for name, array in batch.outputs.items()},
        )
        for batch in samples.batches
        for index in range(len(next(iter(batch.inputs.values()))))
    ]


def _find(package: Package, name: str) -> Artifact:
    for artifact in package.artifacts:
        if artifact.name == name:
            return artifact
    raise PackageError(f"{package.metadata.name!r} has no artifact {name!r}")


def _sample_length(row: SampleBatch) -> int | None:
    mask = row.inputs.get(MASK)
    return None if mask is None else int((mask != 0).sum())


def _figures(evidence: ArtifactEvidence) -> Mapping[str, float | None]:
    agreement = evidence.to_json()["agreement"]
    comparable = agreement["max_abs"] is not None
    return {"max_abs": agreement["max_abs"], "cosine": agreement["cosine_min"] if comparable else None}
