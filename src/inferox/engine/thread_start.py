"""Threads that may fail to start."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread


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
