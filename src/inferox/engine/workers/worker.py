"""The process of a worker: ``python -P -m inferox.engine.workers.worker SOCKET RECORD PARENT CONFIG``.

It answers messages until it is told to stop. When its end of the socket reports that the other side is gone, it exits
at once, whatever it is computing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any

from msgspec import json

from inferox.core import ExecutionError, InferoxError, Trace
from inferox.core.raising import forget_frames
from inferox.engine.answer import Answer
from inferox.engine.config import HANG_LIMIT_S, LOADING_TIMES, EngineConfig
from inferox.engine.local import LocalHost
from inferox.engine.registry import ModelRegistry
from inferox.engine.runner import ModelRunner
from inferox.engine.workers.channel import Channel
from inferox.engine.workers.failures import to_message
from inferox.engine.workers.flight_record import FlightRecord
from inferox.engine.workers.flight_watch import CallOptions, FlightWatch
from inferox.engine.workers.items import estimate_tokens
from inferox.engine.workers.messages import (
    Ask,
    Cancel,
    Count,
    Detokenize,
    Done,
    Failed,
    ListPrerequisites,
    Load,
    ReadTrace,
    Stop,
    Tokenize,
    Unload,
)
from inferox.engine.workers.prerequisite_list import list_prerequisites
from inferox.engine.workers.results import to_answered
from inferox.engine.workload import Workload
from inferox.machine.garbage import exempt_objects
from inferox.machine.processes import end_with_parent, leave_no_core_file, offer_to_die_first, yield_processors

_logger = logging.getLogger(__name__)

_FEW_ITEMS = 8
_AT_ONCE_S = 0.05
"""The most items and the longest time of a request that is computed on the receiving thread."""

_BEAT_EVERY_S = 0.5
"""The interval of its heartbeats, which show that it still reads its channel."""

_SILENT_TIMES = 3.0
"""The time that it may go without a heartbeat, as a multiple of the least time limit of a computation."""

_NOBODY_IS_THERE = 0
"""The exit code of a worker whose supervisor is gone."""

_SPEECHLESS = 4
"""The exit code of a worker that cannot even report that a call has failed."""

_UNREADABLE = 3
"""The exit code of a worker that cannot read its supervisor's messages."""


class Worker:
    """Answers the calls of a supervisor.

    Args:
        channel: The channel to the supervisor.
        flights: The record of what it is computing.
        config: The settings of its engine.
    """

    def __init__(self, channel: Channel, flights: FlightRecord, config: EngineConfig) -> None:
        self._channel = channel
        self._flights = flights
        self._models = ModelRegistry()
        self._least_hang_s = config.hang_limit_s or HANG_LIMIT_S
        self._host = LocalHost(config, lambda: FlightWatch(flights, self._least_hang_s))
        self._loading: set[int] = set()
        self._task_names: dict[tuple[str, str], str] = {}
        self._asked: dict[int, asyncio.Task[None] | Future[Answer]] = {}
        self._stopped = asyncio.Event()
        self._takers: Mapping[type, Callable[[Any], None]] = {
            Load: self._begin_load,
            Unload: partial(self._begin_thread, self._unload),
            Count: partial(self._act, self._count),
            ListPrerequisites: partial(self._act, lambda _: list_prerequisites()),
            ReadTrace: partial(self._begin_thread, self._read_trace),
            Ask: self._begin,
            Tokenize: partial(self._begin_thread, self._tokenize),
            Detokenize: partial(self._begin_thread, self._detokenize),
            Cancel: self._cancel,
            Stop: lambda _: self._stopped.set(),
            Failed: self._channel.send,  # a call that cannot be read is refused
        }

    @property
    def is_loading(self) -> bool:
        """True if it has not finished loading some model."""
        return bool(self._loading)

    async def serve(self) -> None:
        """Answers calls until it is told to stop."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._channel.fileno(), self._read)
        self._beat()
        await self._stopped.wait()
        loop.remove_reader(self._channel.fileno())
        for model in self._models.close():
            await loop.run_in_executor(None, model.close)
        self._channel.close()

    def _beat(self) -> None:
        """Records heartbeats, which show that this thread still reads its messages."""
        self._note_beat()
        asyncio.get_running_loop().call_later(_BEAT_EVERY_S, self._beat)

    def _note_beat(self) -> None:
        times = _SILENT_TIMES * (LOADING_TIMES if self.is_loading else 1)
        self._flights.beat(times * self._least_hang_s)

    def _read(self) -> None:
        try:
            messages = self._channel.receive(wait=False)
        except EOFError:
            os._exit(_NOBODY_IS_THERE)
        except Exception:
            # The failing call is unknown, so the supervisor gives all calls to another worker.
            _logger.exception("a message cannot be read")
            os._exit(_UNREADABLE)
        is_lone = len(messages) == 1 and not self._asked
        for message in messages:
            try:
                if not (is_lone and isinstance(message, Ask) and self._answer_at_once(message)):
                    self._takers[type(message)](message)
            except Exception as error:  # noqa: BLE001 - given to whoever asked
                self._fail(getattr(message, "call", 0), error)

    def _answer_at_once(self, ask: Ask) -> bool:
        """Computes a lone request on this thread, if it is known to be fast enough for other messages to wait."""
        task = self._task_names.get((ask.name, ask.version))
        if task is None or not isinstance(ask.items, list) or len(ask.items) > _FEW_ITEMS:
            return False
        model = self._models.find(ask.name, ask.version)
        work = Workload.of_lengths(map(estimate_tokens, ask.items))
        needed_s = model.estimate_s(work) if isinstance(model, ModelRunner) else None
        if not isinstance(model, ModelRunner) or needed_s is None or needed_s > _AT_ONCE_S:
            return False
        reply = partial(self._reply, ask.call, task)
        future = model.ask(ask.items, self._options(ask), time.monotonic(), is_patient=True, on_done=reply)
        self._asked[ask.call] = future
        if future.done():  # the reply has been sent
            self._asked.pop(ask.call, None)
        return True

    def _begin_thread(self, action: Callable[[Any], Any], message: Any) -> None:
        """Handles a message on a separate thread: loading may take minutes, and nothing else must wait for it."""
        Thread(target=self._act, args=(action, message), name=f"inferox-{action.__name__}", daemon=True).start()

    def _act(self, action: Callable[[Any], Any], message: Any) -> None:
        """Handles a message, and sends the result."""
        try:
            self._channel.send(Done(message.call, action(message)))
        except Exception as error:  # noqa: BLE001 - given to whoever asked
            self._fail(message.call, error)

    def _fail(self, call: int, error: BaseException) -> None:
        """Reports that a call has failed. If not even that is possible, the supervisor gives it to another worker."""
        with suppress(Exception):
            self._channel.send(to_message(call, error))
            return
        try:  # even its text may raise
            self._channel.send(to_message(call, ExecutionError(type(error).__name__)))
        except Exception:
            _logger.exception("an error cannot be sent")
            os._exit(_SPEECHLESS)

    def _begin_load(self, message: Load) -> None:
        self._loading.add(message.call)
        self._note_beat()  # before anything blocks this thread
        self._begin_thread(self._load, message)

    def _load(self, message: Load) -> Any:
        if message.module_paths is not None:
            sys.path[:] = message.module_paths
        try:
            model = self._host.load(message.source, message.name, message.version, message.options, self._models)
        finally:
            self._loading.discard(message.call)
        if message.probe is not None:
            with suppress(InferoxError):  # it fails by itself, which is all there is to learn
                model.ask(message.probe, CallOptions(), time.monotonic()).result()
        info = model.info()
        self._task_names[info.name, info.version] = info.task
        return info

    def _unload(self, message: Unload) -> None:
        for model in self._models.remove(message.name, message.version):
            model.close()
        self._host.release_memory()
        self._task_names.pop((message.name, message.version), None)

    def _count(self, message: Count) -> Any:
        model = self._models.find(message.name, message.version)
        return [model.stats(), model.info()]

    def _read_trace(self, _: ReadTrace) -> Any:
        return (self._host.trace or Trace()).to_json()

    def _tokenize(self, message: Tokenize) -> Any:
        model = self._models.find(message.name, message.version)
        return model.tokenize(
            message.texts, prompt=message.prompt, add_special_tokens=message.add_special_tokens
        ).result()

    def _detokenize(self, message: Detokenize) -> Any:
        model = self._models.find(message.name, message.version)
        return model.detokenize(message.ids, skip_special_tokens=message.skip_special_tokens).result()

    def _begin(self, ask: Ask) -> None:
        self._asked[ask.call] = asyncio.get_running_loop().create_task(self._ask(ask))

    async def _ask(self, ask: Ask) -> None:
        try:
            model = self._models.find(ask.name, ask.version)
            future = await model.aask(ask.items, self._options(ask), time.monotonic())
            self._await(ask, future)
        except Exception as error:  # noqa: BLE001 - given to whoever asked
            self._asked.pop(ask.call, None)
            self._fail(ask.call, error)

    def _options(self, ask: Ask) -> CallOptions:
        return CallOptions(
            ask.deadline_s,
            ask.priority,
            ask.owner,
            ask.prompt,
            ask.truncate,
            ask.truncation_side,
            ask.unscaled,
            ask.of_tokens,
            token_ids=ask.token_ids,
            call=ask.call,
        )

    def _await(self, ask: Ask, future: Future[Answer]) -> None:
        reply = partial(self._reply, ask.call, self._task_names[ask.name, ask.version])
        self._asked[ask.call] = future
        future.add_done_callback(reply)

    def _reply(self, call: int, task: str, future: Future[Answer]) -> None:
        self._asked.pop(call, None)
        if future.cancelled():
            return
        if (failure := future.exception()) is not None:  # raising it would make a cycle of it and its request
            self._fail(call, failure)
            forget_frames(failure)
            return
        try:
            self._channel.send(to_answered(call, task, future.result()))
        except Exception as error:  # noqa: BLE001 - given to whoever asked
            self._fail(call, error)

    def _cancel(self, message: Cancel) -> None:
        if (asked := self._asked.pop(message.call, None)) is not None:
            asked.cancel()


def main() -> None:
    """Serves the supervisor that started this process."""
    connection, record, parent, config = sys.argv[1:]
    run(int(connection), int(record), config, int(parent))


def run(connection: int, record: int, config: str, parent: int) -> None:
    """Runs a worker in this process.

    Args:
        connection: The descriptor of its socket.
        record: The descriptor of its flight record.
        config: The settings of its engine, as JSON.
        parent: The id of the process with which it ends.
    """
    end_with_parent(parent)
    offer_to_die_first()
    leave_no_core_file()
    settings = json.decode(config, type=EngineConfig)
    if settings.low_priority:
        yield_processors()
    channel = Channel(socket.socket(fileno=connection))
    flights = FlightRecord(record)
    os.close(record)

    exempt_objects()  # not those of models, which are to be freed once they are closed

    async def serve() -> bool:
        worker = Worker(channel, flights, settings)
        await worker.serve()
        return worker.is_loading

    if asyncio.run(serve()):  # a thread that loads while Python ends fails in strange ways, and logs them
        os._exit(0)


if __name__ == "__main__":
    main()
