"""The memory of an artifact's batches beside its weights."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inferox.core import BATCH, SEQUENCE, DeviceId, InputTooLargeError, OutOfMemoryError, Signature, counted
from inferox.engine.artifact_cost import ArtifactCost
from inferox.engine.learned_cost import CostParts
from inferox.engine.memory_budget import MemoryBudget
from inferox.engine.workload import Workload
from inferox.machine.memory import PeakGauge

_NEGLIGIBLE_BYTES = 8 << 20
"""The memory below which batches are neither split nor refused: other threads of the process may take as much."""

_LEAST_GROWTH_BYTES = 1 << 20
_LEAST_GROWTH = 0.1
"""The growth of memory from which a batch counts as measured: in bytes, and as a share of what the runtime had kept
from earlier batches. A batch with less growth shows only that the memory kept was enough."""

_WELL_KNOWN = 16
"""The number of measured batches after which only one in that many is measured, unless it is the largest so far."""

_HIDDEN = 768
"""The assumed width of a model whose outputs do not reveal it."""


class BatchMemory:
    """The memory of an artifact's batches beside its weights. Thread-safe.

    It is measured on CPUs if the kernel supports it: the growth of the process's memory while a batch is computed
    alone, on top of what the runtime has kept from earlier ones. Until then it is estimated from the width of the
    outputs, and nothing is refused unless its outputs alone do not fit.

    Args:
        cost: The learned cost of the artifact.
        budget: The memory budget of the engine.
        device: The device of the artifact.
        outputs: The memory of a batch's outputs in bytes, or less.
        weights_bytes: The memory of the artifact's weights.
        subject: The name of one row in errors, such as ``the call``; ``None`` to name it by its tokens.
        fixed_rows: The number of rows that the model always computes, however few are filled; ``None`` if it computes
            only those of the batch.
    """

    def __init__(
        self,
        cost: ArtifactCost,
        budget: MemoryBudget,
        device: DeviceId,
        *,
        outputs: CostParts,
        weights_bytes: int,
        subject: str | None = None,
        fixed_rows: int | None = None,
    ) -> None:
        self._cost = cost
        self._budget = budget
        self._outputs = outputs
        self._weights_bytes = weights_bytes
        self._subject = subject
        self._fixed_rows = fixed_rows
        self._is_host = device == DeviceId.cpu()
        self._kept_bytes, self._releases = 0, budget.releases
        self._largest_bytes = 0.0
        self._measured = self._skipped = 0

    def forget_kept(self) -> None:
        """Records that the artifact was closed, so that its runtime keeps no memory any more."""
        self._kept_bytes = 0

    def refuse_hopeless(self, work: Workload) -> None:
        """Refuses a row that can never have enough memory.

        Args:
            work: The work of the row alone.

        Raises:
            InputTooLargeError: If it needs more than there can be.
        """
        needed = self._certain_bytes(work)
        if needed <= _NEGLIGIBLE_BYTES or not self._is_host:
            return
        most = self._budget.most_for_batch(self._weights_bytes)
        if most is not None and needed > most:
            raise InputTooLargeError(self._describe(work), needed_bytes=needed, limit_bytes=max(0, most))

    @contextmanager
    def use(self, rows: int, work_of: Callable[[int], Workload]) -> Iterator[int]:
        """Reserves memory for as many rows as fit, while the block computes them.

        If not even one row fits, idle models are evicted, and running batches are waited for.

        Args:
            rows: The number of rows to compute.
            work_of: The work of the first rows, by their number.

        Yields:
            The number of rows that fit.

        Raises:
            OutOfMemoryError: If there is not enough for the first row alone.
        """
        if self._releases != self._budget.releases:
            self._releases, self._kept_bytes = self._budget.releases, 0
        work = work_of(rows)
        needed = self._estimate_bytes(work)
        if needed <= _NEGLIGIBLE_BYTES or not self._is_host:
            with self._budget.computing():
                yield rows
            return
        first = self._certain_bytes(work_of(1))
        least = first if first > _NEGLIGIBLE_BYTES else 0
        with self._budget.computing(least, needed, kept_bytes=self._kept_bytes) as room:
            count = rows if room is None or needed <= room else self._count_fitting(rows, work_of, room)
            if not count:
                raise OutOfMemoryError(
                    f"{self._describe(work_of(1))} needs about {first:,} bytes of memory beside the weights, but "
                    f"{max(0, room or 0):,} are free",
                    requested_bytes=first,
                    free_bytes=max(0, room or 0),
                    hint="unload other models, or raise memory_limit_bytes (--memory-limit) or the container's limit",
                )
            work = work_of(count)
            with self._measuring(self._estimate_bytes(work), work):
                yield count

    def _count_fitting(self, rows: int, work_of: Callable[[int], Workload], room: int) -> int:
        """Counts the rows that fit; at least one if it is not certain that it does not."""
        fitting = range(1, rows + 1)
        count = bisect_right(fitting, max(room, _NEGLIGIBLE_BYTES), key=lambda n: self._estimate_bytes(work_of(n)))
        return count or int(self._certain_bytes(work_of(1)) <= max(room, _NEGLIGIBLE_BYTES))

    def _certain_bytes(self, work: Workload) -> int:
        """Returns the memory that a batch needs: going by earlier ones or, before any was measured, its outputs."""
        return self._estimate_bytes(work) if self._cost.knows_bytes else int(self._outputs.of(work))

    def _estimate_bytes(self, work: Workload) -> int:
        return self._cost.estimate_bytes(self._filled(work))

    def _filled(self, work: Workload) -> Workload:
        """Returns the work of all rows that the model computes."""
        return work if self._fixed_rows is None else work.scaled_to(self._fixed_rows)

    @contextmanager
    def _measuring(self, needed: int, work: Workload) -> Iterator[None]:
        """Measures the memory of the batch that the block computes, if there is anything to learn from it."""
        if needed <= min(self._largest_bytes, self._kept_bytes) or not self._is_due(needed):
            yield
            return
        gauge, begun = PeakGauge(), self._budget.begun
        gauge.begin()
        yield
        found = gauge.read()
        if found is None or self._budget.running > 1 or self._budget.begun != begun:
            return  # other batches, or models that were loaded, contributed to the growth
        growth, stays = found
        if growth > max(_LEAST_GROWTH_BYTES, _LEAST_GROWTH * self._kept_bytes):
            self._cost.learn_bytes(self._filled(work), growth + self._kept_bytes)
        self._largest_bytes = max(self._largest_bytes, needed)
        self._kept_bytes = max(0, self._kept_bytes + stays)

    def _describe(self, work: Workload) -> str:
        return self._subject or f"a row of {counted(work.tokens, 'token')}"

    def _is_due(self, needed: int) -> bool:
        self._skipped += 1
        if needed <= self._largest_bytes and self._measured >= _WELL_KNOWN and self._skipped % _WELL_KNOWN:
            return False
        self._measured += 1
        return True


def memory_shape(signature: Signature) -> CostParts:
    """Estimates the memory of batches in bytes from the width of token outputs, and the size of row outputs.

    Measured on two cores, batches of MiniLM, which is 384 wide, take 38,000 to 120,000 bytes per token in rows of 250
    tokens, and 8,000 to 20,000 in short rows.

    Args:
        signature: The model's signature.
    """
    widths = [spec.dims[-1] for spec in signature.outputs if SEQUENCE in spec.dims[:-1]]
    width = max((dim for dim in widths if isinstance(dim, int)), default=_HIDDEN)
    per_row = output_shape(signature, has_tokens=False).per_row
    # 32 activations of 4 bytes as wide as the output, since inner layers are wider and several live at once; and for
    # each head, which is 32 wide in the smallest models, its scores and their softmax.
    return CostParts(per_batch=65536, per_row=1024 + per_row, per_token=128 * width, per_square=8 * max(1, width // 32))


def output_shape(signature: Signature, *, has_tokens: bool) -> CostParts:
    """Computes the memory of a batch's outputs in bytes. Dims of unknown extent count as 1.

    Args:
        signature: The model's signature.
        has_tokens: Whether the tokens of the batch's work are those of its rows; otherwise outputs per token count as
            nothing.
    """
    per_row = per_token = per_square = 0
    for spec in signature.outputs:
        size_bytes = spec.dtype.size * math.prod(dim for dim in spec.dims if isinstance(dim, int))
        tokens = spec.dims.count(SEQUENCE)
        per_row += size_bytes if BATCH in spec.dims and not tokens else 0
        per_token += size_bytes if has_tokens and tokens == 1 else 0
        per_square += size_bytes if has_tokens and tokens > 1 else 0
    return CostParts(0, per_row, per_token, per_square)
