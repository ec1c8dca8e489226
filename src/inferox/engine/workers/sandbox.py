"""The worker in which suspects are computed, one item at a time, so that they can end nothing else."""

from __future__ import annotations

import logging
from collections import Counter
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from queue import SimpleQueue
from threading import Condition, Thread
from typing import Any

import msgspec

from inferox.core import ExecutionError, InferoxError, RequestError
from inferox.engine.model_info import ModelInfo
from inferox.engine.workers.launcher import Launcher
from inferox.engine.workers.link import WorkerDiedError, WorkerLink, to_ask
from inferox.engine.workers.pooled_request import Part
from inferox.engine.workers.quarantine import Quarantine, digest_item, refusal
from inferox.engine.workers.remote_model import RemoteModel
from inferox.engine.workers.replies import deliver
from inferox.engine.workers.seat import Seat

_logger = logging.getLogger(__name__)

_TRIES = 3
"""How often the sandbox is started for a suspect, where it dies before it has it."""


class Sandbox:
    """Computes items that were in flight when a worker died: each alone, in a worker that has nothing else.

    Most of them are innocent, and get their answers. One of which this worker dies too is refused, and for some minutes
    whatever is equal to it; where somebody may have killed it, the item is tried once more. The worker is started for
    the first suspect, and then kept.

    Args:
        launcher: What starts the worker.
        quarantine: Where items go that are refused from now on.
    """

    def __init__(self, launcher: Launcher, quarantine: Quarantine) -> None:
        self._quarantine = quarantine
        self._suspects: SimpleQueue[tuple[Part, str, bytes | None] | None] = SimpleQueue()
        self._digests = Counter[bytes | None]()
        self._condition = Condition()
        self._link: WorkerLink | None = None
        self._failure: str | None = None
        self._is_closed = False
        self._thread: Thread | None = None
        self._seat = Seat(
            "inferox-sandbox",
            launcher,
            deliver=deliver,
            begin=self._begin,
            end=self._end,
            fail=self._note_failure,
        )

    @property
    def restarts(self) -> int:
        """How often its worker was replaced."""
        return self._seat.restarts

    def take(self, part: Part, reason: str) -> None:
        """Takes a suspect in.

        Args:
            part: A single item.
            reason: How the worker ended that was computing it.
        """
        with self._condition:
            if self._thread is None:
                thread = Thread(target=self._run, name="inferox-suspects", daemon=True)
                self._seat.start()
                thread.start()
                self._thread = thread
            digest = digest_item(part.request.model.key, part.items[0])
            self._digests[digest] += 1
        self._suspects.put((part, reason, digest))

    def divide(self, part: Part) -> tuple[list[Part], Part]:
        """Tells what equals a suspect, of which nobody knows yet whether it ends workers.

        Args:
            part: What is to be given to a worker.

        Returns:
            The items that equal a suspect, one by one, and the others.
        """
        with self._condition:
            known = set(self._digests) - {None}
        if not known:
            return [], part
        equal = {row for row in part.rows if digest_item(part.request.model.key, part.request.items[row]) in known}
        others = replace(part, rows=[row for row in part.rows if row not in equal])
        return [replace(part, rows=[row]) for row in sorted(equal)], others

    def links(self) -> list[WorkerLink]:
        """The worker, where it is alive."""
        link = self._link
        return [] if link is None else [link]

    def tell_to_stop(self) -> None:
        """Tells the worker to end; there is none after it."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        self._seat.tell_to_stop()

    def stop(self, timeout_s: float) -> None:
        """Ends the worker.

        Args:
            timeout_s: How long it may take to end by itself.
        """
        self.tell_to_stop()
        self._suspects.put(None)
        self._seat.stop(timeout_s)  # which ends whatever the thread waits for
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (suspect := self._suspects.get()) is not None:
            part, reason, digest = suspect
            with part.answering("computing it in the sandbox"):
                self._try(part, reason)
            with self._condition:
                self._digests[digest] -= 1
                self._digests += Counter()  # forgets those that are none any more
            del suspect, part  # or it would live until the next one

    def _try(self, part: Part, reason: str) -> None:
        request = part.request
        if request.is_over():
            return
        try:  # what equals it may have ended this worker a moment ago
            self._quarantine.refuse(request.model.key, part.items)
        except RequestError as error:
            part.fail(error)
            return
        for is_last in (False, True):
            try:
                link = self._prepare(request.model)
            except InferoxError as error:
                part.fail(ExecutionError(f"{reason}, and it cannot be tried again: {error.message}").at_item(0))
                return
            died = self._compute(part, link)
            if died is None:
                return
            if is_last or not died.was_killed:
                self._quarantine.add(request.model.key, part.items[0])
                part.fail(refusal(f"two worker processes died of it; of the last, {died.message}").at_item(0))
                return

    def _compute(self, part: Part, link: WorkerLink) -> WorkerDiedError | None:
        """Computes a suspect, unless the worker dies of it."""
        request = part.request
        asked: Future[Any] = link.call(lambda number: to_ask(number, part))
        request.future.add_done_callback(lambda _: asked.cancel())
        try:
            reply = asked.result()
        except WorkerDiedError as died:
            return died
        except InferoxError as error:
            part.fail(error)
        except CancelledError:
            link.kill("the caller of a suspect has gone, and it may hang")
        else:
            deliver(part, reply)
        return None

    def _prepare(self, model: RemoteModel) -> WorkerLink:
        """A worker that has loaded the model, and computed something with it: only then is it known when it hangs."""
        for attempt in range(_TRIES):
            link = self._wait_for_link()
            load = link.loads.get(model.key)
            if load is None:
                load = link.loads[model.key] = link.call(model.make_load)
            try:
                error = model.compare(msgspec.convert(load.result(), ModelInfo))
            except WorkerDiedError:
                if attempt + 1 == _TRIES:
                    raise
                continue
            except Exception:
                link.loads.pop(model.key, None)  # it may succeed for the next suspect, as where memory was short
                raise
            if error is not None:
                raise error
            return link
        raise AssertionError

    def _wait_for_link(self) -> WorkerLink:
        with self._condition:
            self._condition.wait_for(lambda: self._link or self._failure or self._is_closed)
            if self._link is None:
                raise ExecutionError(self._failure or "the engine is being closed")
            return self._link

    def _begin(self, link: WorkerLink) -> None:
        with self._condition:
            self._link, self._failure = link, None
            self._condition.notify_all()

    def _end(self, link: WorkerLink) -> None:
        with self._condition:
            self._link = None
        link.bury()

    def _note_failure(self, reason: str, times: int) -> None:
        _logger.error("the sandbox could not be started (%d in a row): %s", times, reason)
        if times < _TRIES:
            return
        with self._condition:
            self._failure = reason
            self._condition.notify_all()
