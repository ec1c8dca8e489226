"""Requests to a model, from a thread or from a coroutine."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from inferox.core import ShuttingDownError
from inferox.engine.answer import Answer
from inferox.engine.request import RequestOptions
from inferox.engine.served_model import ServedModel
from inferox.engine.waiting import expire, wait_for_answer, warn_of_cuts


def ask(
    find: Callable[[], ServedModel],
    items: Sequence[Any],
    options: RequestOptions,
    *,
    arrived_s: float | None = None,
    is_patient: bool = False,
) -> Future[Answer]:
    """Submits a request to a version, which answers all of it.

    Args:
        find: Finds the version. It is called again if the version was removed before the request reached it.
        items: The items.
        options: The options of the request.
        arrived_s: When it arrived, on the clock of ``time.monotonic``; ``None`` for now.
        is_patient: Whether the caller will block for the answer, so that it may be computed on its thread.

    Returns:
        The future of the answer.
    """
    arrived_s = time.monotonic() if arrived_s is None else arrived_s
    while True:
        model = find()
        try:
            return model.ask(items, options, arrived_s, is_patient=is_patient)
        except ShuttingDownError:
            if find() is model:  # something else is shutting down, such as an engine that the task itself asks
                raise
            continue  # the version was removed in the meantime; another may have taken its place


def ask_and_wait(find: Callable[[], ServedModel], items: Sequence[Any], options: RequestOptions) -> Answer:
    """Submits a request to a version, and waits for the answer; see ``ask``. Public methods call it directly."""
    arrived_s = time.monotonic()
    answer = wait_for_answer(ask(find, items, options, arrived_s=arrived_s, is_patient=True), options, arrived_s)
    return warn_of_cuts(answer, options)


async def aask_and_wait(find: Callable[[], ServedModel], items: Sequence[Any], options: RequestOptions) -> Answer:
    """Submits a coroutine's request to a version, and waits for the answer; see ``ask_and_wait``."""
    arrived_s = time.monotonic()
    future: Future[Answer] | None = None
    try:
        async with asyncio.timeout(options.deadline_s):
            while True:
                model = find()
                try:
                    future = await model.aask(items, options, arrived_s)
                except ShuttingDownError:
                    if find() is model:
                        raise
                    continue  # see ask
                break
            return warn_of_cuts(await asyncio.wrap_future(future), options)
    except TimeoutError:
        pass  # raised here, the error below would have this one as its context: a cycle of the error and the task
    except BaseException:
        future = None  # the future has the error, whose traceback has this frame: another cycle
        raise
    raise expire(options, future)
