"""The making of requests from items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from inferox.core import Signature
from inferox.engine.encoding import Encoding
from inferox.engine.items import to_items
from inferox.engine.request import Request, RequestOptions
from inferox.engine.thread_start import run_beside
from inferox.engine.tick_encoder import TickEncoder
from inferox.engine.watch import Watch
from inferox.tasks import RawTask, Task
from inferox.tasks.truncation import report_truncation

_AS_IT_IS = None, None, False, False, False
"""The options of a request that uses the model's task unchanged."""


class RequestMaker:
    """Makes requests for a model from its callers' items.

    Args:
        task: The task that encodes items.
        signature: The model's signature.
        watch: Told of rows that are encoded.
        check_room: Refuses requests for which there is no room, by the least tokens that they can have.
    """

    def __init__(self, task: Task, signature: Signature, *, check_room: Callable[[int], None], watch: Watch) -> None:
        self._signature = signature
        self._check_room = check_room
        self._tasks: dict[tuple[str | None, str | None, bool, bool, bool], Task] = {_AS_IT_IS: task}
        self._watch = watch
        self._encoder = TickEncoder(signature, watch)

    def make(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Request:
        """Makes a request by encoding its items.

        Args:
            items: The items.
            options: The options of the request.
            arrived_s: When it arrived, on the clock of ``time.monotonic``.

        Raises:
            RequestError: If an item cannot be computed.
            OverloadedError: If there are more items than may wait.
        """
        given, task = to_items(items), self._task_for(options)
        self._check_room(len(given))
        if isinstance(task, RawTask):
            encoding = self._make_calls(task, given, options)
            return Request(encoding, range(len(given)), options=options, arrived_s=arrived_s)
        with self._watch.making([options], given):
            encoding = Encoding.of(task, given, self._signature)
        report_truncation(encoding.batch, _at_admission(options))
        return Request(encoding, range(len(given)), options=options, arrived_s=arrived_s)

    async def amake(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Request:
        """Makes a request, encoding its items together with those of other coroutines; see ``make``."""
        given, task = to_items(items), self._task_for(options)
        self._check_room(len(given))
        if isinstance(task, RawTask):
            encoding = await run_beside(partial(self._make_calls, task, given, options))
            return Request(encoding, range(len(given)), options=options, arrived_s=arrived_s)
        encoding, rows = await self._encoder.encode(task, given, options)
        report_truncation(encoding.batch, _at_admission(options), rows=rows)
        return Request(encoding, rows, options=options, arrived_s=arrived_s)

    def _make_calls(self, task: RawTask, items: Sequence[Any], options: RequestOptions) -> Encoding:
        with self._watch.making([options], items):
            return Encoding.of_calls(task, items)

    def _task_for(self, options: RequestOptions) -> Task:
        """Returns the task for a request's options: one object per set of options, so that equal rows are found."""
        key = options.prompt, options.truncation_side, options.unscaled, options.of_tokens, options.token_ids
        if key not in self._tasks:
            task = self._tasks[_AS_IT_IS]
            if options.prompt is not None:
                task = task.with_prompt(options.prompt)
            if options.truncation_side is not None:
                task = task.cutting(options.truncation_side)
            if options.unscaled:
                task = task.unscaled()
            if options.token_ids:
                task = task.reading_token_ids()
            self._tasks[key] = task.of_tokens() if options.of_tokens else task
        return self._tasks[key]


def _at_admission(options: RequestOptions) -> str:
    """Returns the truncation at admission; the answer tells which texts were cut."""
    return "cut" if options.truncate == "warn" else options.truncate
