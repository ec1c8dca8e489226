"""Ending workers that hang."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from threading import Event, Thread

from inferox.engine.config import HANG_LIMIT_S, LOADING_TIMES
from inferox.engine.workers.link import WorkerLink

_logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.25
"""The interval at which workers are checked for hanging."""

_STOOD_STILL_S = 2.0
"""From how long a wait on this process itself has stood still."""


class Watchdog:
    """Looks from time to time whether a worker hangs, and ends it.

    Args:
        links: The workers that are alive.
        look: Called each time, for what else has to be looked at.
        hang_limit_s: After how many seconds at the least a computation is taken to hang. Where nothing is known of how
            long it takes, and nobody waits for it any more, it may take ten times as long; and twice as long after each
            worker that was ended for it, as a model may compile itself at first.
    """

    def __init__(
        self, links: Callable[[], Iterable[WorkerLink]], look: Callable[[], None], hang_limit_s: float | None = None
    ) -> None:
        self._links = links
        self._patience_s = LOADING_TIMES * (hang_limit_s or HANG_LIMIT_S)
        self._look = look
        self._closing = Event()
        self._thread = Thread(target=self._run, name="inferox-watchdog", daemon=True)

    def start(self) -> None:
        """Begins to look."""
        self._thread.start()

    def close(self) -> None:
        """Looks no more."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            began_s = time.monotonic()
            if self._closing.wait(_LOOK_EVERY_S):
                return
            if time.monotonic() - began_s > _STOOD_STILL_S:
                continue  # so did the workers, where the whole container was stopped: they get the time until the next
            try:
                self._look_once()
            except Exception:  # it looks again
                _logger.exception("looking after worker processes failed")

    def _look_once(self) -> None:
        for link in self._links():
            reason = link.find_hang()
            if reason is None and (reason := link.find_abandoned(self._patience_s)) is not None:
                self._patience_s *= 2
            if reason is not None:
                link.kill(reason)
        self._look()
