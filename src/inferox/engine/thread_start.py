"""Threads that may fail to start."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

Value = TypeVar("Value")


def start_thread(name: str, run: Callable[[], object]) -> Thread | None:
    """Starts a daemon thread.

    Args:
        name: The name of the thread.
        run: The function that it runs.

    Returns:
        The thread; ``None`` if the system has no more, so that the caller has to do without it.
    """
    thread = Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


async def run_beside(run: Callable[[], Value]) -> Value:
    """Runs a function on another thread than the event loop's, or on that if the system has no more.

    Args:
        run: The function.

    Returns:
        Its result.
    """
    running: asyncio.Future[Value] | None = None
    with suppress(RuntimeError):  # what the function raises must not have this error as its context
        running = asyncio.get_running_loop().run_in_executor(None, run)
    return run() if running is None else await running
