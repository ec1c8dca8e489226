"""The sandbox worker, which computes suspects one item at a time, so that they cannot take anything else down."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import replace
from threading import Thread
from typing import Any

import msgspec

from inferox.core import DeadlineExceededError, ExecutionError, InferoxError, RequestError
from inferox.engine.model_info import ModelInfo
from inferox.engine.monitor import Monitor
from inferox.engine.workers.ask import to_ask
from inferox.engine.workers.launcher import Launcher
from inferox.engine.workers.link import WorkerDiedError, WorkerLink
from inferox.engine.workers.pooled_request import Part
from inferox.engine.workers.quarantine import Quarantine, digest_item, refusal
from inferox.engine.workers.remote_model import RemoteModel
from inferox.engine.workers.replies import deliver
from inferox.engine.workers.seat import Seat
from inferox.engine.workers.suspects import Death, Suspect

_logger = logging.getLogger(__name__)

_TRIES = 3
"""The number of times that the sandbox is started for a suspect, if it dies before it has it."""

_PATIENCE_S, _PATIENCE = 0.25, 8.0
"""The time that a suspect may take while others wait: at least that many seconds, and that many times the average. It
may be short, since a suspect that exceeds it is only computed later."""

_SMOOTHING = 0.1

_LONGEST_WAIT_S = 60.0
"""The time after which a suspect that made way is computed, even if others wait."""


class _MadeWayError(Exception):
    """A suspect takes long while others wait."""


class Sandbox:
    """Computes items that were in flight when a worker died: each alone, in a worker that has nothing else.

    Most of them are innocent, and get their answers. If this worker dies of an item as well, the item is refused, as
    are equal ones for some minutes; if something else may have killed the worker, the item is tried once more. A
    refusal explains the death, and its other suspects are computed by the workers like new requests. A suspect that
    takes long, and may hang, makes way for those that wait behind it, and is computed again after them. The sandbox's
    worker is started for the first suspect, and then kept; its replacements load at once the models that suspects were
    for, unless the previous worker died while loading.

    Args:
        launcher: Starts the worker.
        quarantine: Receives the items that are refused from now on.
        release: Receives the parts that are no longer suspects.
    """

    def __init__(self, launcher: Launcher, quarantine: Quarantine, release: Callable[[Part], None]) -> None:
        self._quarantine = quarantine
        self._release = release
        self._models: dict[str, RemoteModel] = {}
        self._suspects, self._slow = deque[Suspect](), deque[Suspect]()
        self._average_s: dict[str, float] = {}
        self._start_s: dict[str, float] = {}
        self._prepared: tuple[WorkerLink, str] | None = None
        self._digests = Counter[bytes | None]()
        self._condition = Monitor()
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
        """The number of times that its worker was replaced."""
        return self._seat.restarts

    def take(self, part: Part, death: Death) -> None:
        """Adds a suspect.

        Args:
            part: The part with a single item.
            death: The death that it is suspected of.
        """
        with self._condition:
            if self._thread is None:
                thread = Thread(target=self._run, name="inferox-suspects", daemon=True)
                self._seat.start()
                thread.start()
                self._thread = thread
            suspect = Suspect(part, death, digest_item(part.request.model.key, part.items[0]))
            self._digests[suspect.digest] += 1
            self._suspects.append(suspect)
            if any(map(suspect.equals, self._slow)):
                self._put_off(suspect)
            self._condition.notify_all()

    def divide(self, part: Part) -> tuple[list[Part], Part]:
        """Separates the items that equal a suspect whose effect on workers is not known yet.

        Args:
            part: The part that is to be handed to a worker.

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
        """The worker, if it is alive."""
        link = self._link
        return [] if link is None else [link]

    def tell_to_stop(self) -> None:
        """Tells the worker to end; it is not replaced."""
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        self._seat.tell_to_stop()

    def stop(self, timeout_s: float) -> None:
        """Ends the worker.

        Args:
            timeout_s: The seconds that it may take to end by itself.
        """
        self.tell_to_stop()
        self._seat.stop(timeout_s)  # this ends whatever the thread waits for
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (suspect := self._next()) is not None:
            part, is_free = suspect.part, False
            with part.answering("computing it in the sandbox"):
                # One that made way takes long, and is nothing for workers that have others.
                is_free = not self._is_over(part) and suspect.death.is_explained and suspect.made_way_s is None
                if not is_free:
                    try:
                        self._try(suspect)
                    except _MadeWayError:
                        self._put_off(suspect)
                        continue
            with self._condition:
                self._digests[suspect.digest] -= 1
                self._digests += Counter()  # drops the zero counts
            if is_free:  # otherwise its recipient would mistake it for an equal of a suspect
                self._release(part)
            del suspect, part  # otherwise they would live until the next one

    def _next(self) -> Suspect | None:
        """Waits for the next suspect; ``None`` once the sandbox is closed and has no more."""
        with self._condition:
            self._condition.wait_for(lambda: self._suspects or self._slow or self._is_closed)
            if self._slow and time.monotonic() - (self._slow[0].made_way_s or 0.0) > _LONGEST_WAIT_S:
                return self._slow.popleft()
            waiting = self._suspects or self._slow
            return waiting.popleft() if waiting else None

    def _put_off(self, suspect: Suspect) -> None:
        """Has a suspect, and those that equal it, wait until no others do."""
        with self._condition:
            slow = [suspect, *(each for each in self._suspects if each is not suspect and suspect.equals(each))]
            for each in slow:
                each.made_way_s = time.monotonic()
            self._suspects = deque(each for each in self._suspects if each not in slow)
            self._slow += slow

    def _is_over(self, part: Part) -> bool:
        """Returns whether a suspect need not be computed: an equal one may have ended this worker a moment ago."""
        try:
            self._quarantine.refuse(part.request.model.key, part.items)
        except RequestError as error:
            part.fail(error)
        return part.request.is_over()

    def _try(self, suspect: Suspect) -> None:
        """Computes a suspect, and answers its request.

        Raises:
            _MadeWayError: If it takes long while others wait.
        """
        part, death, request = suspect.part, suspect.death, suspect.part.request
        if request.is_over():
            return
        for is_last in (False, True):
            began_s = time.monotonic()
            try:
                link = self._prepare(request.model)
            except InferoxError as error:
                part.fail(ExecutionError(f"{death.reason}, and it cannot be tried again: {error.message}").at_item(0))
                return
            if self._prepared != (link, request.model.key):
                self._prepared = link, request.model.key
                self._start_s[request.model.key] = time.monotonic() - began_s
            died = self._compute(suspect, link)
            if died is None:
                return
            if is_last or not died.was_killed:
                death.is_explained = True
                self._quarantine.add(request.model.key, part.items[0])
                part.fail(refusal(f"two worker processes died of it; of the last, {died.message}").at_item(0))
                return

    def _compute(self, suspect: Suspect, link: WorkerLink) -> WorkerDiedError | None:
        """Computes a suspect, unless the worker dies of it, or it makes way for others."""
        part, request = suspect.part, suspect.part.request
        asked: Future[Any] = link.call(lambda number: to_ask(number, part))
        request.future.add_done_callback(lambda _: asked.cancel())
        began_s = time.monotonic()
        try:
            if suspect.made_way_s is None:
                self._wait_while_alone(asked, suspect, link)
            reply = asked.result()
        except WorkerDiedError as died:
            return died
        except DeadlineExceededError as error:
            part.fail(error)
            self._replace(link, "the deadline of a suspect has passed, and it may hang")
        except InferoxError as error:
            part.fail(error)
        except CancelledError:
            self._replace(link, "the caller of a suspect has gone, and it may hang")
        else:
            took_s, key = time.monotonic() - began_s, request.model.key
            before_s = self._average_s.get(key, took_s)
            self._average_s[key] = before_s + _SMOOTHING * (took_s - before_s)
            deliver(part, reply)
        return None

    def _wait_while_alone(self, asked: Future[Any], suspect: Suspect, link: WorkerLink) -> None:
        """Waits for the reply to a suspect, as long as it does not keep others waiting for too long.

        Raises:
            CancelledError: If its caller is gone.
            _MadeWayError: If it does.
        """
        key = suspect.part.request.model.key
        # The new worker that it costs to make way must not take longer than is gained.
        patience_s = max(_PATIENCE_S, _PATIENCE * self._average_s.get(key, 0.0), self._start_s.get(key, 0.0))
        while not asked.done():
            with suppress(TimeoutError):
                asked.exception(patience_s)
            if not asked.done() and self._others_wait(suspect):
                self._replace(link, "a suspect took long while others waited, and may hang")
                raise _MadeWayError

    def _others_wait(self, suspect: Suspect) -> bool:
        """Returns whether a suspect that does not equal another one waits."""
        with self._condition:
            return any(not suspect.equals(each) and not each.part.request.is_over() for each in self._suspects)

    def _replace(self, link: WorkerLink, reason: str) -> None:
        """Kills the worker, and waits until it is gone: it would seem to have died of the next suspect otherwise."""
        link.kill(reason)
        with self._condition:
            self._condition.wait_for(lambda: self._link is not link)

    def _prepare(self, model: RemoteModel) -> WorkerLink:
        """Prepares a worker that has loaded the model and computed something, so that a hang can be detected."""
        for attempt in range(_TRIES):
            link = self._wait_for_link()
            with self._condition:
                self._models[model.key] = model
                load = self._load_in(link, model)
            try:
                error = model.compare(msgspec.convert(load.result(), ModelInfo))
                # The worker must have nothing else: what it dies of while it loads another model is not the suspect.
                for other in list(link.loads.values()):
                    if isinstance(died := other.exception(), WorkerDiedError):
                        raise died
            except WorkerDiedError:
                if attempt + 1 == _TRIES:
                    raise
                continue
            if error is not None:
                raise error
            return link
        raise AssertionError

    def _load_in(self, link: WorkerLink, model: RemoteModel) -> Future[Any]:
        """Has the worker load a model, unless it was told to before."""
        if (load := link.loads.get(model.key)) is None:
            load = link.loads[model.key] = link.call(model.make_load)

            def forget_failure(done: Future[Any]) -> None:
                if done.exception() is not None:
                    link.loads.pop(model.key, None)  # it may succeed for the next suspect, as after a lack of memory

            load.add_done_callback(forget_failure)
        return load

    def _wait_for_link(self) -> WorkerLink:
        with self._condition:
            self._condition.wait_for(lambda: self._link or self._failure or self._is_closed)
            if self._link is None:
                raise ExecutionError(self._failure or "the engine is being closed")
            return self._link

    def _begin(self, link: WorkerLink) -> None:
        with self._condition:
            self._link, self._failure = link, None
            self._models = {key: model for key, model in self._models.items() if not model.is_closed}
            for times_s in (self._average_s, self._start_s):
                for key in times_s.keys() - self._models.keys():
                    del times_s[key]
            for model in self._models.values():
                self._load_in(link, model)
            self._condition.notify_all()

    def _end(self, link: WorkerLink) -> None:
        with self._condition:
            self._link = None
            self._condition.notify_all()
            if link.is_loading():  # it may have died of that: without a suspect, another try is not worth it
                self._models.clear()
        link.bury()

    def _note_failure(self, reason: str, times: int) -> None:
        _logger.error("the sandbox could not be started (%d in a row): %s", times, reason)
        if times < _TRIES:
            return
        with self._condition:
            self._failure = reason
            self._condition.notify_all()
