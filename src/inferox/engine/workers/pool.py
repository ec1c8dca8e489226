"""The pool of worker processes, all with the same models, among which requests are divided."""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from functools import partial
from threading import Event, RLock
from typing import TYPE_CHECKING, Any

from inferox.core import ConfigError, ExecutionError, InferoxError, OverloadedError, ShuttingDownError
from inferox.engine.config import EngineConfig
from inferox.engine.host import ModelHost
from inferox.engine.monitor import Monitor
from inferox.engine.registry import ModelRegistry
from inferox.engine.stats import ModelStats
from inferox.engine.unexpected import to_failure
from inferox.engine.worker_info import WorkerInfo
from inferox.engine.workers.absence import explain_absence
from inferox.engine.workers.broadcast import unload_in
from inferox.engine.workers.exposure import Exposure
from inferox.engine.workers.first_load import learn_from, load_first
from inferox.engine.workers.launcher import Launcher
from inferox.engine.workers.link import Reply, WorkerDiedError, WorkerLink
from inferox.engine.workers.messages import Failed, Load
from inferox.engine.workers.pool_trace import PoolTrace
from inferox.engine.workers.pooled_request import Part
from inferox.engine.workers.quarantine import Quarantine
from inferox.engine.workers.remote_model import RemoteModel
from inferox.engine.workers.replies import deliver
from inferox.engine.workers.sandbox import Sandbox
from inferox.engine.workers.seat import Seat
from inferox.engine.workers.suspects import Death, tell_suspects
from inferox.engine.workers.waiting_parts import WaitingParts
from inferox.engine.workers.watchdog import Watchdog
from inferox.engine.workers.worker_process import check_support

if TYPE_CHECKING:
    from inferox.loading import TaskModel

_logger = logging.getLogger(__name__)

_PYTHON = "python:"
_STOP_S = 10.0
"""The time that workers may take to end by themselves."""

_GIVE_UP_AFTER = 3
"""The number of workers in a row that ended at once after which nothing waits for the next any more."""


class WorkerPool(ModelHost):
    """Computes models in worker processes. A request goes to the worker with the least work.

    Requests that a worker had not answered when it died are computed by others, except for what it was computing at
    that moment, which goes to the sandbox, item by item.

    Args:
        config: The settings of the engine; threads and memory are divided among the workers.

    Raises:
        ConfigError: If worker processes are not supported here.
    """

    def __init__(self, config: EngineConfig) -> None:
        check_support()
        self._launcher = Launcher(config.of_worker())
        self._condition, self._retries = Monitor(), RLock()
        self._models: dict[str, RemoteModel] = {}
        self._links: list[WorkerLink] = []
        self._waiting = WaitingParts(config.max_waiting_tokens)
        self._exposure = Exposure()
        self._broken: dict[int, str] = {}
        self._quarantine, self._closing = Quarantine(), Event()
        self._is_ending = False
        self._sandbox = Sandbox(self._launcher, self._quarantine, self._hand_on_safely)
        self.trace = PoolTrace(self._alive) if config.profiling else None
        self._seats = [
            Seat(
                f"inferox-worker-{index}",
                self._launcher,
                deliver=self._deliver,
                begin=self._begin,
                end=self._end,
                fail=partial(self._note_failure, index),
            )
            for index in range(config.workers)
        ]
        self._watchdog = Watchdog(self._alive, self._give_out_waiting, config.hang_limit_s)
        for seat in self._seats:
            seat.start()
        self._watchdog.start()

    def load(
        self, source: str, name: str | None, version: str, options: Mapping[str, Any], models: ModelRegistry
    ) -> RemoteModel:
        """Loads a package in one worker, and then in all; see ``ModelHost``."""
        paths = list(sys.path) if source.startswith(_PYTHON) else None
        with ExitStack() as stack:
            if name is not None:
                stack.enter_context(models.claim(name, version))
            link, info = load_first(
                self._wait_for_link,
                lambda call: Load(call, source, name, version, dict(options), paths),
                self._launcher,
                self._retries,
            )
            model = RemoteModel(self, source, info, options, paths)
            try:
                if name is None:
                    stack.enter_context(models.claim(info.name, version))
                self._load_everywhere(model, link)
                models.add(model)
            except BaseException:
                if self._models.get(model.key) is model:
                    self.unload(model)
                else:  # another model may have the same key, and is left alone
                    unload_in({link.unload(model.name, model.version): link}, model)
                raise
        return model

    def register(self, model: TaskModel, name: str | None, version: str, models: ModelRegistry) -> RemoteModel:  # noqa: ARG002 - it is refused
        """Refuses a model of this process; see ``ModelHost``."""
        raise ConfigError(
            f"{name or model.name!r} is an object of this process, and models are computed in others",
            hint="load its package, or a function that makes it: load('python:module:function', trust_code=True)",
        )

    def announce_close(self) -> None:
        """Has workers unload their models when they end; see ``ModelHost``."""
        self._is_ending = True

    def unload(self, model: RemoteModel) -> None:
        """Has every worker unload a model, unless all workers are about to end."""
        with self._condition:
            self._models.pop(model.key, None)
            # A worker that still loads it would keep the engine from closing.
            calls = {} if self._is_ending else {link.begin_unload(model.key): link for link in self._alive()}
        unload_in(calls, model)
        learn_from(calls.values(), self._launcher)  # its prerequisites are no longer needed

    def links_of(self, key: str) -> list[WorkerLink]:
        """Returns the workers that have loaded the model with a key."""
        with self._condition:
            return [link for link in self._links if link.has(key)]

    def workers(self) -> list[WorkerInfo]:
        """Lists the live worker processes, including the sandbox; see ``ModelHost``."""
        return [link.info(is_sandbox=link in self._sandbox.links()) for link in self._alive()]

    def restarts(self) -> Counter[str]:
        """Counts the workers that replaced another; see ``ModelHost``."""
        return Counter(worker=sum(seat.restarts for seat in self._seats), sandbox=self._sandbox.restarts)

    def count(self, key: str) -> ModelStats:
        """Returns the counts of a model that are kept here: what waits for a worker, and what is in quarantine."""
        with self._condition:
            rows, tokens = self._waiting.count(key)
        return ModelStats(rows, tokens, quarantined_rows=self._quarantine.count_added(key))

    def take(self, part: Part) -> None:
        """Accepts a request.

        Args:
            part: The part with all of it.

        Raises:
            RequestError: If one of its items is in quarantine, or cannot be sent.
            CapacityError: If it is refused.
        """
        self._quarantine.refuse(part.request.model.key, part.request.items)
        self.hand_on(part)

    def close(self) -> None:
        """Ends every worker; see ``ModelHost``."""
        with self._condition:
            self._closing.set()
            self._condition.notify_all()
        places: list[Sandbox | Seat] = [self._sandbox, *self._seats]
        for place in places:
            place.tell_to_stop()
        until_s = time.monotonic() + _STOP_S
        for place in places:
            place.stop(max(0.0, until_s - time.monotonic()))
        self._watchdog.close()
        self._launcher.close()

    def _choose(self, part: Part) -> tuple[WorkerLink, int] | None:
        """Chooses the worker for a part, and reserves the call; without a worker, the part waits or fails."""
        key = part.request.model.key
        with self._condition:
            for link in sorted(self._find_free(key), key=lambda link: link.cost):
                if (number := link.reserve(part)) is not None:
                    return link, number
            if (failure := self._why_nobody_can(key)) is None:
                if part.was_admitted or self._waiting.has_room(part):
                    self._waiting.add(part)
                    return None
                failure = OverloadedError("no worker process is ready yet, and the queue for one is full")
        if part.was_admitted:
            part.request.fail(failure)
            return None
        try:
            raise failure
        finally:
            del failure  # see raise_any

    def _find_free(self, key: str) -> list[WorkerLink]:
        return [link for link in self.links_of(key) if self._exposure.allows(key, link.count(key))]

    def _why_nobody_can(self, key: str) -> InferoxError | None:
        if self._closing.is_set():
            return ShuttingDownError("the engine is closed", hint="make a new one")
        return explain_absence(key, self._links, list(self._broken.values()), len(self._seats))

    def _wait_for_link(self) -> WorkerLink:
        with self._condition:
            self._condition.wait_for(
                lambda: self._links or self._closing.is_set() or len(self._broken) == len(self._seats)
            )
            if self._closing.is_set():
                raise ShuttingDownError("the engine is closed", hint="make a new one")
            if not self._links:
                raise ExecutionError(f"no worker process can be started: {next(iter(self._broken.values()))}")
            return self._links[0]  # always the same worker, which refuses a name that another thread is loading

    def _load_everywhere(self, model: RemoteModel, first: WorkerLink) -> None:
        """Has every worker load a model that one of them has loaded."""
        loaded: Future[Any] = Future()
        loaded.set_result(None)
        with self._condition:
            first.loads[model.key] = loaded
            self._models[model.key] = model
            self._broken = {}
            links = list(self._links)
        for link in links:
            self._load_in(link, model)
        for link in links:
            with suppress(WorkerDiedError):  # the worker that replaces it loads every model
                link.loads[model.key].result()

    def _load_in(self, link: WorkerLink, model: RemoteModel) -> None:
        """Has a worker load a model that another has loaded; the worker gets its requests only after that."""
        with self._condition:
            if self._models.get(model.key) is not model or model.key in link.loads:
                return  # it was unloaded in the meantime, or another thread has done it
            load = link.loads[model.key] = Future[Any]()

        def check(done: Future[Any]) -> None:
            if (error := model.find_fault(done)) is None:
                load.set_result(None)
                self._broken = {}
            else:
                if done.exception() is None:
                    link.unload(model.name, model.version)
                if not self._is_ending:
                    _logger.error("a worker process cannot compute %r: %s", model.name, error)
                load.set_exception(error)
            self._give_out_waiting()

        link.call(model.make_load).add_done_callback(check)

    def _begin(self, link: WorkerLink) -> None:
        with self._condition:
            self._links.append(link)
            models = list(self._models.values())
            self._condition.notify_all()
        for model in models:
            self._load_in(link, model)

    def _end(self, link: WorkerLink) -> None:
        """Has the parts of a dead worker computed by others."""
        with self._condition:
            if link in self._links:
                self._links.remove(link)
        parts, flights, reason = link.bury()
        if parts or not self._closing.is_set():
            _logger.warning("a worker process died with %d requests: %s", len(parts), reason)
        try:
            others, suspects = tell_suspects(parts, flights)
        except Exception as error:
            _logger.exception("telling suspects failed")
            for part in parts.values():
                part.fail(to_failure(f"{reason}, and telling what it died of", error))
            return
        self._exposure.note_death({part.request.model.key for part in suspects})
        death = Death(reason)
        for part in suspects:
            with part.answering("giving it to the sandbox"):
                self._sandbox.take(part, death)
        for part in others:
            with part.answering("handing it on"):
                self.hand_on(part)

    def hand_on(self, part: Part) -> None:
        """Hands a part to a worker, now or as soon as there is one.

        Args:
            part: The part.

        Raises:
            CapacityError: If it is new, and is refused.
        """
        suspects, others = self._sandbox.divide(part)
        for suspect in suspects:
            self._sandbox.take(suspect, Death("a worker process died of what may have been its equal"))
        if suspects and not others.rows:
            return
        if (chosen := self._choose(others)) is not None:
            chosen[0].ask(chosen[1], others)

    def _give_out_waiting(self) -> None:
        with self._condition:
            waiting = self._waiting.take_all()
        for part in waiting:
            self._hand_on_safely(part)

    def _hand_on_safely(self, part: Part) -> None:
        if not part.request.is_over():
            with part.answering("handing it on"):
                self.hand_on(part)

    def _note_failure(self, index: int, reason: str, times: int) -> None:
        _logger.error("a worker process could not be started (%d in a row): %s", times, reason)
        if times < _GIVE_UP_AFTER:
            return
        with self._condition:
            self._broken[index] = reason
            self._condition.notify_all()
        self._give_out_waiting()

    def _deliver(self, part: Part, reply: Reply) -> None:
        if isinstance(reply, Failed) and part.was_admitted and reply.kind == OverloadedError.__name__:
            with self._condition:
                self._waiting.add(part)
            return
        deliver(part, reply)
        self._exposure.note_answer(part.request.model.key)
        while self._waiting:
            with self._condition:
                following = self._waiting.take_first(lambda key: bool(self._find_free(key)))
            if following is None:
                return
            self._hand_on_safely(following)

    def _alive(self) -> list[WorkerLink]:
        with self._condition:
            return [*self._links, *self._sandbox.links()]
