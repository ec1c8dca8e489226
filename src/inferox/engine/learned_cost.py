"""The cost of batches, learned while they are computed."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from inferox.engine.workload import Workload

_KEPT = 0.98
"""The weight that each new batch leaves to the earlier ones: about the last 50 count."""

_TRUST_IN_SHAPE = 0.003
_TRUST_IN_KNOWN = 0.03
"""The weight of the cost's shape, and of a cost learned earlier, in batches whose whole cost is a single part."""

_LEAST_SHARE = 0.02
"""The least share of its shape that a part of a previously learned cost keeps: current lengths may not have occurred
then."""

_TYPICAL = Workload.of_lengths([32] * 8)

_EAGER = 8
_SETTLED_EVERY = 8
"""The number of batches after which the cost is refitted; at first it is fitted after each."""

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CostParts:
    """The cost of a batch, in any unit: a fixed part, and parts in proportion to its rows, tokens and squared lengths.

    Attributes:
        per_batch: The fixed cost of a batch.
        per_row: The cost of each row.
        per_token: The cost of each token.
        per_square: The cost of each pair of tokens in a row.
    """

    per_batch: float
    per_row: float
    per_token: float
    per_square: float

    def of(self, work: Workload, batches: int = 1) -> float:
        """Computes the cost of rows.

        Args:
            work: The work of the rows.
            batches: The number of batches in which they are computed.
        """
        linear = self.per_batch * batches + self.per_row * work.rows + self.per_token * work.tokens
        return linear + self.per_square * work.squares


class LearnedCost:
    """The cost of batches, in seconds or in bytes, learned from computed batches. Thread-safe.

    It is a non-negative least-squares fit of the four parts to the relative costs of recent batches, with exponentially
    decaying weights. A weak prior towards the given shape decides what batches of similar size leave open.

    Args:
        shape: The ratio of the parts to assume if nothing else is known, in any unit.
        known: The cost that was learned before; ``None`` if none was.
    """

    def __init__(self, shape: CostParts, known: CostParts | None = None) -> None:
        self._lock = Lock()
        parts = _to_array(shape)
        self._trust = _TRUST_IN_SHAPE
        if known is not None:
            parts = np.maximum(_to_array(known), _LEAST_SHARE * parts * known.of(_TYPICAL) / shape.of(_TYPICAL))
            self._trust = _TRUST_IN_KNOWN
        self._shape = parts
        self._products, self._sums = np.zeros((4, 4)), np.zeros(4)
        self._new: list[tuple[float, ...]] = []
        self._batches = 0
        self._parts = None if known is None else CostParts(*parts.tolist())

    @property
    def parts(self) -> CostParts | None:
        """Returns the learned cost; ``None`` before the first batch, unless one was learned before."""
        return self._parts

    def learn(self, work: Workload, cost: float) -> None:
        """Learns from a batch.

        Args:
            work: The work of its rows.
            cost: The cost of the batch, above 0.
        """
        with self._lock:
            self._new.append((1, *work, cost))
            self._batches += 1
            if self._batches <= _EAGER or len(self._new) == _SETTLED_EVERY:
                self._take_new()
                self._parts = CostParts(*(self._shape * self._fit()).tolist())

    def estimate(self, work: Workload, batches: int = 1) -> float | None:
        """Estimates the cost of rows; ``None`` if nothing is known.

        Args:
            work: The work of the rows.
            batches: The number of batches in which they are computed.
        """
        return None if self._parts is None else self._parts.of(work, batches)

    def _take_new(self) -> None:
        """Adds the batches since the last time; doing so all at once is faster."""
        batches = np.array(self._new, dtype=np.float64)
        shares = self._shape * batches[:, :4] / batches[:, 4:]
        kept = _KEPT ** np.arange(len(shares))[::-1]
        self._products = _KEPT ** len(shares) * self._products + (shares.T * kept) @ shares
        self._sums = _KEPT ** len(shares) * self._sums + kept @ shares
        self._new.clear()

    def _fit(self) -> _Numbers:
        """Fits the factor of each part of the shape."""
        # The plain shape, scaled for the best fit: the parts are drawn towards it.
        scale = self._sums.sum() / self._products.sum()
        trust = self._trust / scale**2
        products, sums = self._products + trust * np.eye(4), self._sums + trust * scale
        free = np.ones(4, dtype=bool)
        found = np.zeros(4)
        while free.any():  # each round drops a part that would be negative
            found[:] = 0
            found[free] = np.linalg.solve(products[np.ix_(free, free)], sums[free])
            if found.min() >= 0:
                break
            free[found.argmin()] = False
        return found


def _to_array(parts: CostParts) -> _Numbers:
    return np.array((parts.per_batch, parts.per_row, parts.per_token, parts.per_square), dtype=np.float64)
