"""The cost of batches, learned while they are computed."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from inferox.engine.workload import Workload

_KEPT = 0.98
"""The share of what is known that each batch leaves: about the last 50 count."""

_TRUST_IN_SHAPE = 0.003
_TRUST_IN_KNOWN = 0.03
"""The number of batches that the shape of the cost, and an earlier learned cost, count as, where each part makes up
all of what a batch costs."""

_LEAST_SHARE = 0.02
"""The least share of its shape that a part of a cost keeps where the cost was learned before: lengths that
come now may not have come then."""

_TYPICAL = Workload.of_lengths([32] * 8)

_EAGER = 8
_SETTLED_EVERY = 8
"""The number of batches after which the cost is fitted anew; at first it is fitted after each."""

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CostParts:
    """The cost of a batch, in any unit: a fixed part, and parts in proportion to its rows, tokens and squared lengths.

    Attributes:
        per_batch: What every batch costs.
        per_row: What each row costs.
        per_token: What each token costs.
        per_square: What each pair of tokens of a row costs.
    """

    per_batch: float
    per_row: float
    per_token: float
    per_square: float

    def of(self, work: Workload, batches: int = 1) -> float:
        """The cost of rows.

        Args:
            work: How much they ask.
            batches: In how many batches they are computed.
        """
        linear = self.per_batch * batches + self.per_row * work.rows + self.per_token * work.tokens
        return linear + self.per_square * work.squares


class LearnedCost:
    """The cost of batches, in seconds or in bytes, learned from those that were computed. Several threads may use it.

    It is the combination of the four parts, none of them negative, that deviates least from the last batches in
    proportion to what each cost (least squares, older batches counting exponentially less), and a little from the shape
    that such costs have, which decides what batches alike in size leave open.

    Args:
        shape: The shape, in any unit: how the parts are to one another where nothing else is known.
        known: What was learned before; ``None`` if nothing was.
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
        """The learned cost; ``None`` before the first batch, unless something was known."""
        return self._parts

    def learn(self, work: Workload, cost: float) -> None:
        """Takes a batch into account.

        Args:
            work: How much its rows asked.
            cost: What it cost, above 0.
        """
        with self._lock:
            self._new.append((1, *work, cost))
            self._batches += 1
            if self._batches <= _EAGER or len(self._new) == _SETTLED_EVERY:
                self._take_new()
                self._parts = CostParts(*(self._shape * self._fit()).tolist())

    def estimate(self, work: Workload, batches: int = 1) -> float | None:
        """The expected cost of rows; ``None`` if nothing is known.

        Args:
            work: How much they ask.
            batches: In how many batches they are computed.
        """
        return None if self._parts is None else self._parts.of(work, batches)

    def _take_new(self) -> None:
        """Takes the batches into account that came since the last time, which all at once takes less time."""
        batches = np.array(self._new, dtype=np.float64)
        shares = self._shape * batches[:, :4] / batches[:, 4:]
        kept = _KEPT ** np.arange(len(shares))[::-1]
        self._products = _KEPT ** len(shares) * self._products + (shares.T * kept) @ shares
        self._sums = _KEPT ** len(shares) * self._sums + kept @ shares
        self._new.clear()

    def _fit(self) -> _Numbers:
        """The factor of each part of the shape."""
        # The plain shape, scaled to fit with the least deviation: the parts are drawn towards it.
        scale = self._sums.sum() / self._products.sum()
        trust = self._trust / scale**2
        products, sums = self._products + trust * np.eye(4), self._sums + trust * scale
        free = np.ones(4, dtype=bool)
        found = np.zeros(4)
        while free.any():  # each round leaves one out that would be negative
            found[:] = 0
            found[free] = np.linalg.solve(products[np.ix_(free, free)], sums[free])
            if found.min() >= 0:
                break
            free[found.argmin()] = False
        return found


def _to_array(parts: CostParts) -> _Numbers:
    return np.array((parts.per_batch, parts.per_row, parts.per_token, parts.per_square), dtype=np.float64)
