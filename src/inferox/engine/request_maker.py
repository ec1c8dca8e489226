"""Items made into requests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from inferox.core import Signature
from inferox.engine.encoding import Encoding, TickEncoder
from inferox.engine.items import to_items
from inferox.engine.request import Request, RequestOptions
from inferox.tasks import RawTask, Task
from inferox.tasks.truncation import report_truncation


class RequestMaker:
    """Makes requests for a model of the items that its callers give.

    Args:
        task: What makes rows of items.
        signature: What the model takes.
        check_room: Refuses requests for which there is no room, by the least tokens that they can have.
    """

    def __init__(self, task: Task, signature: Signature, *, check_room: Callable[[int], None]) -> None:
        self._signature = signature
        self._check_room = check_room
        self._tasks: dict[str | None, Task] = {None: task}
        self._encoder = TickEncoder(signature)

    def make(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Request:
        """Makes the rows of a request.

        Args:
            items: The items.
            options: What the caller says of it.
            arrived_s: When it came, on the clock of ``time.monotonic``.

        Raises:
            RequestError: If an item cannot be computed.
            OverloadedError: If there are more of them than may wait.
        """
        given, task = to_items(items), self._task_with(options.prompt)
        self._check_room(len(given))
        if isinstance(task, RawTask):
            return Request(Encoding.of_calls(task, given), range(len(given)), options=options, arrived_s=arrived_s)
        encoding = Encoding.of(task, given, self._signature)
        report_truncation(encoding.batch, _at_admission(options))
        return Request(encoding, range(len(given)), options=options, arrived_s=arrived_s)

    async def amake(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Request:
        """Makes the rows of a request together with those of other coroutines; see ``make``."""
        given, task = to_items(items), self._task_with(options.prompt)
        self._check_room(len(given))
        if isinstance(task, RawTask):
            encoding = await asyncio.to_thread(Encoding.of_calls, task, given)
            return Request(encoding, range(len(given)), options=options, arrived_s=arrived_s)
        encoding, rows = await self._encoder.encode(task, given)
        report_truncation(encoding.batch, _at_admission(options), rows=rows)
        return Request(encoding, rows, options=options, arrived_s=arrived_s)

    def _task_with(self, prompt: str | None) -> Task:
        if prompt not in self._tasks:
            self._tasks[prompt] = self._tasks[None].with_prompt(prompt or "")
        return self._tasks[prompt]


def _at_admission(options: RequestOptions) -> str:
    """What is done about texts that are too long: of those that are cut, the answer tells."""
    return "cut" if options.truncate == "warn" else options.truncate
