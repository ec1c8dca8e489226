"""A thread that delivers the answers of one batch while the next one is computed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread

from inferox.engine.thread_start import start_thread

_logger = logging.getLogger(__name__)


class DeliveryThread:
    """Delivers what it is given, one batch at a time. Several threads may use it; it starts with the first batch.

    Delivering makes messages and wakes those who wait, which takes about a millisecond: a lane that does it itself
    leaves the model idle meanwhile, and every small batch pays for it.

    Args:
        name: The name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._free = Lock()
        self._given = SimpleQueue[Callable[[], None] | None]()
        self._thread: Thread | None = None

    def give(self, deliver: Callable[[], None]) -> bool:
        """Hands over a delivery, unless the previous one is still in progress: answers must not pile up.

        Args:
            deliver: Delivers it.

        Returns:
            Whether the thread took it; otherwise the caller delivers.
        """
        if not self._free.acquire(blocking=False):
            return False
        self._thread = self._thread or start_thread(self._name, self._run)
        if self._thread is None:
            self._free.release()
            return False
        self._given.put(deliver)
        return True

    def close(self) -> None:
        """Waits until everything is delivered, and ends the thread. Nothing may be given after that."""
        if self._thread is not None:
            self._given.put(None)
            self._thread.join()

    def _run(self) -> None:
        while (deliver := self._given.get()) is not None:
            try:
                deliver()
            except BaseException:
                _logger.exception("%s: delivering a batch was interrupted", self._name)
            finally:
                del deliver  # otherwise its requests and answers would live until the next batch
                self._free.release()
