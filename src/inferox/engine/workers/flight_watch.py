"""The watch of a worker over one model: it records what is in flight, and learns how long that takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from inferox.batching import PADDED_COST
from inferox.engine.request import RequestOptions, Row
from inferox.engine.watch import Watch
from inferox.engine.workers.flight_record import ALL_ROWS, FlightRecord
from inferox.engine.workers.hang_limit import HangLimit
from inferox.parity import Samples

_NOBODYS = (0, ALL_ROWS)
"""The row for work that belongs to no call: calls are counted from 1."""

_ITEM_COST = 64
"""The cost of encoding an item, besides its characters."""


@dataclass(frozen=True)
class CallOptions(RequestOptions):
    """The options of a request that arrived as a call.

    Attributes:
        call: The number of the call.
    """

    call: int = 0


class FlightWatch(Watch):
    """Records what a worker does for one model. A tokenizer can crash and hang as well as a runtime.

    Args:
        flights: The record.
        least_s: The least seconds after which a computation counts as hung.
    """

    def __init__(self, flights: FlightRecord, least_s: float) -> None:
        self._flights = flights
        # Neither predicts how long the others take.
        self._makes, self._computes, self._checks = HangLimit(least_s), HangLimit(least_s), HangLimit(least_s)

    def making(self, asked: Sequence[RequestOptions], items: Sequence[Any]) -> AbstractContextManager[None]:
        """Records that rows are encoded; see ``Watch``."""
        noted = [(options.call, ALL_ROWS) for options in asked if isinstance(options, CallOptions)]
        return self._note(noted, self._makes, sum(_ITEM_COST + _size_of(item) for item in items))

    def computing(self, rows: Sequence[Row]) -> AbstractContextManager[None]:
        """Records that rows are computed; see ``Watch``."""
        noted = [
            (request.options.call, place - request.rows.start)
            for request, place in rows
            if isinstance(request.options, CallOptions)
        ]
        longest = max((request.lengths[place] for request, place in rows), default=0)
        return self._note(noted, self._computes, PADDED_COST.of_batch(len(rows), 0, longest))

    def checking(self) -> AbstractContextManager[None]:
        """Records that the stored samples are computed; see ``Watch``."""
        return self._note([_NOBODYS], self._checks, 1.0)

    @contextmanager
    def trying(self, samples: Samples) -> Iterator[None]:
        """Learns the time limit of the first batch from stored samples; see ``Watch``."""
        began_s = time.monotonic()
        yield
        cost = sum(PADDED_COST.of_batch(*_shape_of(batch.inputs)) for batch in samples.batches)
        self._computes.learn(cost, time.monotonic() - began_s)

    def _note(self, noted: Sequence[tuple[int, int]], limit: HangLimit, cost: float) -> AbstractContextManager[None]:
        return _Noted(self._flights, noted, limit, cost)


class _Noted(AbstractContextManager[None]):
    """A block whose rows are recorded as in flight, and whose time is learned.

    Args:
        flights: The record.
        noted: The rows in flight, as pairs of a call and the index of an item.
        limit: Learns how long it takes.
        cost: The cost of the block.
    """

    def __init__(self, flights: FlightRecord, noted: Sequence[tuple[int, int]], limit: HangLimit, cost: float) -> None:
        self._flights, self._noted, self._limit, self._cost = flights, noted, limit, cost

    def __enter__(self) -> None:
        self._began_s = time.monotonic()
        self._slot = self._flights.begin(self._noted, self._limit.find_s(self._cost))

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        self._flights.end(self._slot)
        if self._cost and kind is None:
            self._limit.learn(self._cost, time.monotonic() - self._began_s)


def _size_of(item: Any) -> int:
    if isinstance(item, tuple | list) and any(isinstance(part, str) for part in item):
        return sum(map(_size_of, item))
    return len(item) if hasattr(item, "__len__") else 1


def _shape_of(inputs: Mapping[str, npt.NDArray[Any]]) -> tuple[int, int, int]:
    """Returns the number of rows of a sample, 0 tokens as in the learned costs, and the length of its rows."""
    shapes = [array.shape for array in inputs.values() if array.ndim]
    rows = max((shape[0] for shape in shapes), default=1)
    return rows, 0, max((shape[1] for shape in shapes if len(shape) == 2), default=1)  # noqa: PLR2004 - rows of tokens
