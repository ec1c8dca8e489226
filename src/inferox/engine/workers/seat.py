"""A seat for a worker, which is replaced when it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event, Thread

from inferox.core import first_line
from inferox.engine.workers.launcher import Launcher
from inferox.engine.workers.link import Reply, WorkerLink
from inferox.engine.workers.pooled_request import Part
from inferox.engine.workers.worker_process import WorkerProcess

_logger = logging.getLogger(__name__)

_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.2, 30.0
"""The time that a seat stays empty after a worker that did nothing before it ended; it doubles each time."""


class Seat:
    """A seat for a worker. Its thread starts a worker, receives from it, and replaces it when it ends.

    Args:
        name: The name of the thread.
        launcher: Starts the worker.
        deliver: Receives the replies to parts of requests.
        begin: Called with a worker that has been started.
        end: Called with a worker that has ended.
        fail: Called with the reason why no worker can be started, and the number of failures in a row.

    Attributes:
        restarts: The number of workers that replaced another.
    """

    def __init__(
        self,
        name: str,
        launcher: Launcher,
        *,
        deliver: Callable[[Part, Reply], None],
        begin: Callable[[WorkerLink], None],
        end: Callable[[WorkerLink], None],
        fail: Callable[[str, int], None],
    ) -> None:
        self._launcher = launcher
        self._deliver, self._begin, self._end, self._fail = deliver, begin, end, fail
        self._stopping = Event()
        self._failures = 0
        self.restarts = 0
        self._link: WorkerLink | None = None
        # The system kills the worker when this thread ends, so the thread lives as long as the seat.
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Starts the first worker; does nothing if there is one."""
        if self._thread.ident is None:
            self._thread.start()

    def tell_to_stop(self) -> None:
        """Tells the worker to end; it is not replaced."""
        self._stopping.set()
        if (link := self._link) is not None:
            link.stop()

    def stop(self, timeout_s: float) -> None:
        """Tells the worker to end, and kills it if it does not.

        Args:
            timeout_s: The seconds that it may take.
        """
        self.tell_to_stop()
        if self._thread.ident is None:
            return
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            if (link := self._link) is not None:
                link.kill("it did not end when it was told to")
            self._thread.join()

    def _run(self) -> None:
        """Runs one worker after another. No error may end it, since requests would wait forever."""
        while not self._stopping.is_set():
            try:
                self._have_worker()
            except Exception:
                _logger.exception("replacing a worker process failed")
                self._failures += 1
            if self._failures:
                self._stopping.wait(min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** (self._failures - 1)))

    def _have_worker(self) -> None:
        try:
            link = WorkerLink(WorkerProcess(self._launcher), self._deliver)
        except Exception as error:  # noqa: BLE001 - said to whoever waits for a worker
            self._failures += 1
            self._fail(first_line(error), self._failures)
        else:
            self.restarts += self._link is not None
            self._link = link
            self._serve(link)

    def _serve(self, link: WorkerLink) -> None:
        if self._stopping.is_set():
            link.stop()
        try:
            self._begin(link)
            link.receive()
        except EOFError:
            pass
        except Exception as error:
            _logger.exception("a worker process is replaced")
            link.kill(f"what it said could not be read: {first_line(error)}")
        # That a model cannot be loaded is no reason to do without workers.
        is_useful = link.has_tried or (link.has_answered and not link.is_loading())
        self._failures = 0 if is_useful else self._failures + 1
        self._end(link)
        if self._failures and not self._stopping.is_set():
            self._fail(f"{link.ended_by}, before it had loaded every model", self._failures)
