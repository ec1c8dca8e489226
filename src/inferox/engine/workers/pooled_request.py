"""A request that worker processes compute, in several parts if one of them died."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from inferox.core import InferoxError
from inferox.engine.answer import Answer
from inferox.engine.phases import Phases
from inferox.engine.request import RequestOptions
from inferox.engine.unexpected import to_failure
from inferox.engine.workers.items import estimate_tokens

if TYPE_CHECKING:
    from inferox.engine.workers.remote_model import RemoteModel

_logger = logging.getLogger(__name__)

_SUSPECT_AFTER = 2
"""The number of workers that died while having a part, even without computing it, after which it is suspected."""

_ITEM_COST = 16
"""The cost of an item besides its tokens, in tokens."""


class PooledRequest:
    """A request that is kept until it is answered, so that it can be computed again. Thread-safe.

    Args:
        model: The model that computes it.
        items: The items.
        options: The options of the request.
        arrived_s: When it arrived, on the clock of ``time.monotonic``.

    Attributes:
        future: The future of the answer.
    """

    def __init__(self, model: RemoteModel, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> None:
        self.model = model
        self.items = items
        self.options = options
        self.arrived_s = arrived_s
        self.future: Future[Answer] = Future()
        self._lock = Lock()
        self._answers: list[tuple[Sequence[int], Answer]] = []
        self._left = max(1, len(items))

    def is_over(self) -> bool:
        """Returns whether nobody waits for the answer any more."""
        return self.future.done()

    def add(self, rows: Sequence[int], answer: Answer) -> None:
        """Adds the answer to some items; the last ones complete the request.

        Args:
            rows: Their indices.
            answer: Their answer.
        """
        with self._lock:
            self._answers.append((rows, answer))
            self._left -= max(1, len(rows))
            if self._left:
                return
            is_mixed = len({(some.artifact, some.embedding_space) for _, some in self._answers}) > 1
            if is_mixed:
                self._answers, self._left = [], len(self.items)
        if is_mixed:
            # Another artifact has taken over in one of the workers, but a request must be computed by one artifact.
            self.model.compute_again(self)
            return
        with suppress(InvalidStateError):
            self.future.set_result(_join(self._answers, len(self.items)))

    def fail(self, error: InferoxError) -> None:
        """Delivers an error, unless the caller is gone or has its answer.

        Args:
            error: The error.
        """
        with suppress(InvalidStateError):
            self.future.set_exception(error)


@dataclass(frozen=True, eq=False)
class Part:
    """Some items of a request that one worker computes.

    Attributes:
        request: The request.
        rows: The indices of the items.
        deaths: The number of workers that died while they had it, without having recorded that they were computing it.
        was_admitted: Whether it was accepted before, so that it waits where a new one is refused.
    """

    request: PooledRequest
    rows: Sequence[int]
    deaths: int = 0
    was_admitted: bool = False

    @classmethod
    def of_all(cls, request: PooledRequest) -> Part:
        """Makes the part with all of a request."""
        return cls(request, range(len(request.items)))

    @property
    def items(self) -> Any:
        """The items: a list, or an array."""
        items: Any = self.request.items
        if len(self.rows) == len(items):
            return items
        return items[list(self.rows)] if isinstance(items, np.ndarray) else [items[row] for row in self.rows]

    @cached_property
    def cost(self) -> int:
        """The approximate cost of computing it, in tokens, for comparison."""
        return _ITEM_COST * len(self.rows) + self.tokens

    @cached_property
    def tokens(self) -> int:
        """The approximate number of its tokens."""
        return sum(map(estimate_tokens, self.items))

    def after_death(self, rows: Sequence[int]) -> Part:
        """Returns the part with some of its items, after a worker that had it died."""
        return replace(self, rows=rows, deaths=self.deaths + 1, was_admitted=True)

    def divide(self, is_in_flight: Callable[[int], bool]) -> tuple[list[int], list[int]]:
        """Divides its items after the death of a worker that had it.

        Args:
            is_in_flight: Whether the worker was computing an item, by its index in this part.

        Returns:
            The suspected rows, and the others.
        """
        suspected = {index for index in range(len(self.rows)) if self.deaths >= _SUSPECT_AFTER or is_in_flight(index)}
        others = [row for index, row in enumerate(self.rows) if index not in suspected]
        return [self.rows[index] for index in sorted(suspected)], others

    def fail(self, error: InferoxError) -> None:
        """Fails the request with an error, which may name an item of this part.

        Args:
            error: The error.
        """
        self.request.fail(error if error.item is None else error.at_item(self.rows[error.item]))

    @contextmanager
    def answering(self, action: str) -> Iterator[None]:
        """Fails the request with whatever the block raises, since nobody else would answer it.

        Args:
            action: The action of the block, for the error.
        """
        try:
            yield
        except Exception as error:
            if not isinstance(error, InferoxError):
                _logger.exception("%s failed", action)
            self.fail(to_failure(action, error))


def _join(answers: Sequence[tuple[Sequence[int], Answer]], count: int) -> Answer:
    """Joins the answers of parts in the order of the items."""
    (_, first), *others = answers
    if not others:
        return first
    cut = [item for rows, answer in answers for item in zip(rows, answer.cut_tokens, strict=False)]
    phases = [answer.phases for _, answer in answers]
    return replace(
        first,
        results=_join_results([(rows, answer.results) for rows, answer in answers], count),
        cut_tokens=[tokens for _, tokens in sorted(cut, key=lambda pair: pair[0])],
        tokens=sum(answer.tokens for _, answer in answers),
        queue_s=max(answer.queue_s for _, answer in answers),
        compute_s=max(answer.compute_s for _, answer in answers),
        phases=None if None in phases else Phases.spanning(filter(None, phases)),
    )


def _join_results(parts: Sequence[tuple[Sequence[int], Any]], count: int) -> Any:
    if all(isinstance(results, np.ndarray) for _, results in parts):
        joined = np.empty((count, *parts[0][1].shape[1:]), parts[0][1].dtype)
        for rows, results in parts:
            joined[list(rows)] = results
        return joined
    listed: list[Any] = [None] * count
    for rows, results in parts:
        for row, result in zip(rows, results, strict=True):
            listed[row] = result
    return listed
