"""The link to a live worker: the calls that it has, and the models that it has loaded."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from threading import Lock
from typing import Any

from inferox.core import DeadlineExceededError, ExecutionError
from inferox.engine.unexpected import to_failure
from inferox.engine.worker_info import WorkerInfo
from inferox.engine.workers.ask import to_ask
from inferox.engine.workers.failures import to_error
from inferox.engine.workers.flight_record import Flight
from inferox.engine.workers.items import explain
from inferox.engine.workers.messages import Answered, Cancel, Done, Failed, Message, Stop, Unload
from inferox.engine.workers.pooled_request import Part
from inferox.engine.workers.worker_process import WorkerProcess
from inferox.machine.processes import describe_end

_KILLED = -9
"""The exit code of a process that was killed by SIGKILL, which no fault of its own raises."""

Reply = Answered | Done | Failed
"""The answer of a worker to a call."""


class WorkerDiedError(ExecutionError):
    """A worker process ended while it had a call.

    Args:
        message: How it ended.
        was_killed: Whether something else ended it: the system for lack of memory, an operator, or an earlier call.
        had_rows: Whether it was computing rows of requests, of which it may have died.
    """

    def __init__(self, message: str, *, was_killed: bool = False, had_rows: bool = False) -> None:
        super().__init__(message)
        self.was_killed, self.had_rows = was_killed, had_rows


class WorkerLink:
    """The connection to a worker: calls to it, and its replies. Thread-safe, except that only one thread may receive.

    Args:
        process: The worker.
        deliver: Takes the replies to parts of requests.

    Attributes:
        process: The worker.
        loads: The future of loading each model, by the key of the model.
        has_answered: Whether it has answered any call.
        has_tried: Whether a model was first loaded in it, of which it may have died.
        counted: Its last report about each model, by the key of the model; see ``count_in``.
        overdue: The last call for such a report that it has not answered in time.
        ended_by: Why it was killed from here, or how it ended; ``None`` as long as it lives.
    """

    def __init__(self, process: WorkerProcess, deliver: Callable[[Part, Reply], None]) -> None:
        self.process = process
        self.loads: dict[str, Future[Any]] = {}
        self.has_answered = self.has_tried = False
        self.counted: dict[str, Any] = {}
        self.overdue: Future[Any] = Future()
        self.overdue.set_result(None)
        self.ended_by: str | None = None
        self._deliver = deliver
        self._lock = Lock()
        self._numbers = itertools.count(1)
        self._calls: dict[int, Part | Future[Any]] = {}
        self._cost = self._given_up = 0
        self._counts = Counter[str]()
        self._is_dead = False

    @property
    def cost(self) -> int:
        """The total cost of its parts, and of abandoned ones since its last answer, with which it may still be busy."""
        return self._cost + self._given_up

    def info(self, *, is_sandbox: bool = False) -> WorkerInfo:
        """Describes the worker.

        Args:
            is_sandbox: Whether it computes suspects.
        """
        with self._lock:
            requests = sum(1 for call in self._calls.values() if isinstance(call, Part))
        names = {key.partition("\0")[0] for key in list(self.loads) if self.has(key)}
        return WorkerInfo(self.process.pid, is_sandbox, tuple(sorted(names)), requests)

    def has(self, key: str) -> bool:
        """Returns whether it has loaded a model.

        Args:
            key: The key of the model.
        """
        load = self.loads.get(key)
        return load is not None and load.done() and load.exception() is None

    def count(self, key: str) -> int:
        """Counts the parts of requests that it has for a model.

        Args:
            key: The key of the model.
        """
        return self._counts[key]

    def is_loading(self) -> bool:
        """Returns whether it has not yet loaded every model that it was told to."""
        return any(not load.done() for load in list(self.loads.values()))

    def call(self, make: Callable[[int], Message]) -> Future[Any]:
        """Calls the worker.

        Args:
            make: Makes the message for a call number.

        Returns:
            The future of the reply: a ``Done``'s value, or an ``Answered``; or an error, such as ``WorkerDiedError``.
        """
        future: Future[Any] = Future()
        number = self._note(future, 0)
        if number is None:
            # Whatever it died of, it was not this call.
            future.set_exception(WorkerDiedError("the worker process has ended", was_killed=True))
        else:
            try:
                self.process.channel.send(make(number))
            except Exception as error:  # noqa: BLE001 - given to whoever waits for the reply
                self._take(number)
                future.set_exception(to_failure("sending a call to a worker process", error))
        return future

    def unload(self, name: str, version: str) -> Future[Any]:
        """Has the worker unload a model.

        Args:
            name: The name of the model.
            version: Its version.

        Returns:
            The future of the reply; see ``call``.
        """
        return self.call(lambda number: Unload(number, name, version))

    def begin_unload(self, key: str) -> Future[Any]:
        """Has the worker unload a model, as soon as it has loaded it.

        Args:
            key: The key of the model.

        Returns:
            A future that is done once the model is unloaded, or turns out not to have been loaded.
        """
        gone: Future[Any] = Future()
        self.counted.pop(key, None)

        def go_on(load: Future[Any]) -> None:
            if load.exception() is None:
                self.unload(*key.split("\0")).add_done_callback(lambda _: gone.set_result(None))
            else:
                gone.set_result(None)

        if (load := self.loads.pop(key, None)) is None:
            gone.set_result(None)
        else:
            load.add_done_callback(go_on)
        return gone

    def reserve(self, part: Part) -> int | None:
        """Reserves a call for a part of a request, which ``ask`` then sends.

        Args:
            part: The part.

        Returns:
            The number of the call; ``None`` if the worker is dead.
        """
        return self._note(part, part.cost)

    def ask(self, number: int, part: Part) -> None:
        """Sends the worker a part of a request. If it has died in the meantime, ``bury`` returns the part.

        Args:
            number: The number from ``reserve``.
            part: The part.

        Raises:
            RequestError: If an item cannot be sent to another process.
        """
        try:
            self.process.channel.send(to_ask(number, part))
        except Exception as error:
            self._take(number)
            if isinstance(error, TypeError | ValueError | OverflowError | BufferError):
                raise explain(error, part.items) from error
            raise
        part.request.future.add_done_callback(lambda _: self._cancel(number))

    def receive(self) -> None:
        """Receives and delivers replies, until the worker is gone.

        Raises:
            EOFError: When the worker is gone.
        """
        while True:
            for message in self.process.channel.receive():
                if not isinstance(message, Reply):
                    raise TypeError(f"a worker said {type(message).__name__}")
                self._answer(message)

    def kill(self, reason: str) -> None:
        """Kills the worker.

        Args:
            reason: The reason, in words.
        """
        self.ended_by = self.ended_by or reason
        self.process.kill()

    def stop(self) -> None:
        """Tells the worker to end."""
        self.process.channel.send(Stop())

    def find_hang(self) -> str | None:
        """Explains why the worker must be considered hung; ``None`` if nothing indicates it."""
        with self._lock:
            if self._is_dead:
                return None
            flights, heart = self.process.flights.read(), self.process.flights.read_heart()
        for flight in flights:
            if flight.is_overdue():
                return f"it was ended because it computed for more than {flight.limit_s:.3g} s"
        if heart is not None and heart.is_overdue():
            return f"it was ended because it was unresponsive for more than {heart.limit_s:.3g} s"
        return None

    def find_abandoned(self, patience_s: float) -> str | None:
        """Explains why the worker must be replaced for computing what nobody waits for; ``None`` if it need not be.

        Only computations without a time limit count, which have none because none of their kind has finished yet.

        Args:
            patience_s: The time in seconds that such a computation may take.
        """
        with self._lock:
            if self._is_dead:
                return None
            flights, waited_for = self.process.flights.read(), set(self._calls)
        for flight in flights:
            calls = {call for call, _ in flight.rows or ()}
            is_given_up = bool(calls) and 0 not in calls and not calls & waited_for  # 0 is not a request
            if is_given_up and flight.limit_s is None and time.monotonic() - flight.since_s > patience_s:
                return f"it was ended because it spent over {patience_s:.3g} s on what nobody waits for any more"
        return None

    def bury(self) -> tuple[dict[int, Part], list[Flight], str]:
        """Marks the worker as dead, and fails the calls that are not parts of requests.

        Returns:
            The parts that it had by the numbers of their calls, the rows that were in flight, and how it ended.
        """
        code = self.process.end()
        with self._lock:
            self._is_dead = True
            flights = self.process.flights.read()
            self.process.flights.close()
            calls, self._calls = self._calls, {}
        was_killed = self.ended_by is None and code == _KILLED
        reason = self.ended_by = self.ended_by or describe_end(code)
        had_rows = any(flight.rows is None or any(call for call, _ in flight.rows) for flight in flights)  # 0: samples
        for call in calls.values():
            if isinstance(call, Future):
                with suppress(InvalidStateError):
                    call.set_exception(WorkerDiedError(reason, was_killed=was_killed, had_rows=had_rows))
        return {number: call for number, call in calls.items() if isinstance(call, Part)}, flights, reason

    def _note(self, call: Part | Future[Any], cost: int) -> int | None:
        with self._lock:
            if self._is_dead:
                return None
            number = next(self._numbers)
            self._calls[number] = call
            self._cost += cost
            if isinstance(call, Part):
                self._counts[call.request.model.key] += 1
            return number

    def _take(self, number: int) -> Part | Future[Any] | None:
        with self._lock:
            call = self._calls.pop(number, None)
            if isinstance(call, Part):
                self._cost -= call.cost
                self._counts[call.request.model.key] -= 1
            return call

    def _cancel(self, number: int) -> None:
        if (call := self._take(number)) is not None:
            self._note_given_up(call)
            self.process.channel.send(Cancel(number))

    def _note_given_up(self, call: Part | Future[Any]) -> None:
        if isinstance(call, Part):
            with self._lock:
                self._given_up += call.cost

    def _answer(self, message: Reply) -> None:
        call = self._take(message.call)
        self.has_answered = self.has_answered or not isinstance(message, Failed)
        if isinstance(call, Part):
            if not isinstance(message, Failed):
                self._given_up = 0
            elif message.kind == DeadlineExceededError.__name__:
                self._note_given_up(call)
            with call.answering("reading an answer"):
                self._deliver(call, message)
        elif call is not None:
            with suppress(InvalidStateError):
                if isinstance(message, Failed):
                    call.set_exception(to_error(message))
                else:
                    call.set_result(message.value if isinstance(message, Done) else message)
