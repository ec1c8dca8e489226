"""The learned cost of batches of a model's artifacts, which outlives the objects that compute them."""

from __future__ import annotations

import math
from threading import Lock

from inferox.batching import BatchBudget, BatchCost
from inferox.engine.cost_store import CostStore, KeptCost
from inferox.engine.learned_cost import CostParts, LearnedCost
from inferox.engine.workload import Workload
from inferox.loading import PlannedLoad

_MARGIN = 1.25
"""The safety margin on the memory of batches, as a factor: equal batches differ by that much."""

_FORGOTTEN = 0.02
"""The weight of a batch that took less memory than others."""

_FIRST_KEPT = 32
"""The number of batches after which the learned cost is first saved; then each time that they have doubled."""


class ArtifactCost:
    """The cost of an artifact's batches. Thread-safe.

    Args:
        artifact: The name of the artifact.
        seconds: The learned time of batches.
        memory_shape: The estimated memory of batches in bytes, beside the weights.
        memory_scale: The learned factor on that estimate; ``None`` if none was learned.
        store: The store that saves the cost; ``None`` to not save it.
    """

    def __init__(
        self,
        artifact: str,
        seconds: LearnedCost,
        memory_shape: CostParts,
        memory_scale: float | None,
        store: CostStore | None,
    ) -> None:
        self._artifact = artifact
        self._seconds = seconds
        self._memory_shape = memory_shape
        self._memory_scale = memory_scale
        self._store = store
        self._lock = Lock()
        self._batches = self._kept = 0

    def learn(self, work: Workload, seconds: float) -> None:
        """Learns from the time of a batch.

        Args:
            work: The work of the batch, including padding.
            seconds: The time that it took.
        """
        self._seconds.learn(work, max(seconds, 1e-6))
        with self._lock:
            self._batches += 1
            is_due = self._batches >= max(_FIRST_KEPT, 2 * self._kept)
        if is_due:
            self.keep()

    def estimate_s(self, work: Workload, budget: BatchBudget) -> tuple[float, int] | None:
        """Estimates the seconds that rows take together, and the number of their batches; ``None`` if not known.

        Args:
            work: The work of the rows.
            budget: The limits of a batch.
        """
        full = max(math.ceil(work.rows / budget.rows), math.ceil(work.tokens / budget.tokens), 1)
        batches = max(1, min(work.rows, full))
        seconds = self._seconds.estimate(work, batches)
        return None if seconds is None else (seconds, batches)

    @property
    def knows_bytes(self) -> bool:
        """True if the memory of batches was measured."""
        return self._memory_scale is not None

    def learn_bytes(self, work: Workload, size_bytes: int) -> None:
        """Learns from the memory that a batch took beside the weights.

        Args:
            work: The work of the batch, including padding.
            size_bytes: The memory that it took.
        """
        scale = size_bytes / self._memory_shape.of(work)
        with self._lock:
            known = scale if self._memory_scale is None else self._memory_scale
            # The maximum so far, decaying slowly: some batches fit into memory that the runtime already holds.
            self._memory_scale = max(scale, known + _FORGOTTEN * (scale - known))

    def estimate_bytes(self, work: Workload) -> int:
        """Estimates the memory of a batch beside the weights, rather too high than too low.

        Args:
            work: The work of the batch, including padding.
        """
        scale = 1.0 if self._memory_scale is None else _MARGIN * self._memory_scale
        return int(scale * self._memory_shape.of(work))

    def keep(self) -> None:
        """Saves what was learned since the last time."""
        with self._lock:
            if self._store is None or self._batches == self._kept:
                return
            self._kept = self._batches
        self._store.write(self._artifact, KeptCost(self._seconds.parts, self._memory_scale))


class CostBook:
    """The cost of batches of each artifact of a model. Thread-safe.

    It starts with what earlier processes learned or, failing that, with what ``inferox tune`` measured.

    Args:
        planned: The package; ``None`` if there is none, and so nothing is saved.
        task: The name of the model's task.
    """

    def __init__(self, planned: PlannedLoad | None, task: str) -> None:
        self._profile = None if planned is None else planned.plan.profile
        self._store = None if planned is None else CostStore(planned, task)
        self._costs: dict[str, ArtifactCost] = {}
        self._lock = Lock()

    def of(self, artifact: str, shape: BatchCost, memory_shape: CostParts) -> ArtifactCost:
        """Returns the cost of an artifact's batches.

        Args:
            artifact: Its name.
            shape: The ratio of the parts of the time to assume if nothing else is known.
            memory_shape: The memory in bytes to assume if nothing was measured.
        """
        with self._lock:
            if artifact not in self._costs:
                self._costs[artifact] = self._open(artifact, shape, memory_shape)
            return self._costs[artifact]

    def keep(self) -> None:
        """Saves what was learned."""
        with self._lock:
            costs = list(self._costs.values())
        for cost in costs:
            cost.keep()

    def _open(self, artifact: str, shape: BatchCost, memory_shape: CostParts) -> ArtifactCost:
        known = KeptCost() if self._store is None else self._store.read(artifact)
        seconds = LearnedCost(_to_parts(shape), known.seconds)
        if known.seconds is None and self._profile is not None:
            for cell in self._profile.cells.get(artifact, ()):
                seconds.learn(Workload(cell.rows, cell.tokens, cell.squares), cell.seconds)
        return ArtifactCost(artifact, seconds, memory_shape, known.memory_scale, self._store)


def _to_parts(shape: BatchCost) -> CostParts:
    """Converts a cost to parts, for as many tokens as places, as if rows of equal length shared batches."""
    return CostParts(
        shape.per_batch,
        max(1.0, shape.per_row),
        max(0.01, shape.per_token + shape.per_place),
        max(1e-6, shape.per_pair),
    )
