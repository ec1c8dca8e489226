"""The watchdog that kills hung workers."""

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
"""The length of a wait from which this process itself must have been suspended."""


class Watchdog:
    """Checks periodically whether workers hang, and kills those that do.

    Args:
        links: Returns the live workers.
        look: Called each time, for further checks.
        hang_limit_s: The least seconds after which a computation counts as hung. If nothing is known about its
            duration, and nobody waits for it any more, it may take ten times as long; and twice as long after each
            worker that was killed for it, as a model may compile itself at first.
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
        """Starts the checks."""
        self._thread.start()

    def close(self) -> None:
        """Stops the checks."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            began_s = time.monotonic()
            if self._closing.wait(_LOOK_EVERY_S):
                return
            if time.monotonic() - began_s > _STOOD_STILL_S:
                continue  # if the whole container was suspended, so were the workers: they get until the next check
            try:
                self._look_once()
            except Exception:  # the next check follows
                _logger.exception("looking after worker processes failed")

    def _look_once(self) -> None:
        for link in self._links():
            reason = link.find_hang()
            if reason is None and (reason := link.find_abandoned(self._patience_s)) is not None:
                self._patience_s *= 2
            if reason is not None:
                link.kill(reason)
        self._look()
