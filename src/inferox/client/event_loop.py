"""An event loop in a thread of its own, for callers that do not have one."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from inferox.core import ConfigError, postponing_warnings, warn_user

Result = TypeVar("Result")


class LoopThread:
    """Runs coroutines for threads that wait for their results. May be used from any number of threads."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._loop.run_forever, name="inferox-client", daemon=True)
        self._thread.start()

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Runs a coroutine and waits for its result. If the wait is interrupted, the coroutine is cancelled.

        Args:
            coroutine: The coroutine.

        Raises:
            ConfigError: If the client is closed, before or during the call, or belongs to the parent of this process.
        """
        with postponing_warnings() as postponed:
            result = self._wait(self._start(coroutine))
        for warning in postponed:
            warn_user(warning)
        return result

    def _start(self, coroutine: Coroutine[Any, Any, Result]) -> Future[Result]:
        with self._lock:
            if self._is_closed or self._process != os.getpid():
                coroutine.close()
                why = "is closed" if self._is_closed else "belongs to another process"
                raise ConfigError(f"this client {why}", hint="make a new one in each process")
            return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    @staticmethod
    def _wait(future: Future[Result]) -> Result:
        try:
            return future.result()
        except CancelledError as error:
            raise ConfigError(
                "this client was closed before the answer came", hint="close it only when no call is in progress"
            ) from error
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Ends the thread; calls in progress raise ``ConfigError``. Closing twice does nothing."""
        with self._lock:
            if self._is_closed or self._process != os.getpid():
                return
            self._is_closed = True
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
