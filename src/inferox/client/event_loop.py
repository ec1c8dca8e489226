"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from inferox.core import ConfigError

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines for threads that wait for them. Any number of threads may use it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._loop.run_forever, name="inferox-client", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine and waits for its result; where the wait is interrupted, it is cancelled.

        Args:
            coroutine: The coroutine.

        Raises:
            ConfigError: If it is closed, or belongs to a process from which this one was forked.
        """
        if self._loop.is_closed() or self._process != os.getpid():
            coroutine.close()
            why = "is closed" if self._loop.is_closed() else "belongs to another process"
            raise ConfigError(f"this client {why}", hint="make a new one, in each process its own")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Ends the thread. Closing twice does nothing."""
        with self._lock:
            if self._loop.is_closed() or self._process != os.getpid():
                return
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
