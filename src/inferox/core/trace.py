"""A trace of events and their durations, in the format that Chrome and Perfetto read."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from threading import current_thread, get_native_id
from time import monotonic
from typing import Any
from weakref import WeakSet

from inferox.core.errors import ConfigError

_MOST_EVENTS = 100_000
"""The most events that are kept, about 20 MB. The oldest are dropped first."""

span: ContextVar[Callable[[str], AbstractContextManager[object]]] = ContextVar("span", default=nullcontext)
"""What records a block as an event of this thread if a trace is ``active``: ``with span.get()("decode"):``. It is on
the way of every batch, so that without a trace nothing of Inferox runs."""


@dataclass(frozen=True, slots=True)
class Stopwatch:
    """The time span of one piece of work, and the thread that did it.

    Attributes:
        began_s: When it began, on the clock of ``time.monotonic``.
        ended_s: When it ended.
        thread: The native id of the thread.
    """

    began_s: float
    ended_s: float
    thread: int = field(default_factory=get_native_id)


class Trace:
    """A bounded log of events that keeps the most recent ones. Thread-safe.

    Args:
        most_events: The number of events to keep.
    """

    def __init__(self, most_events: int = _MOST_EVENTS) -> None:
        self._events: deque[tuple[dict[str, Any], ...]] = deque(maxlen=most_events)
        self._noted = WeakSet[Any]()
        self._threads: dict[int, str] = {}
        self._waits = count((os.getpid() << 20) + 1)  # traces of several processes may be put together

    def note(self, name: str, done: Stopwatch, **facts: Any) -> None:
        """Records an event of a thread.

        Args:
            name: The name of the event.
            done: The time span and the thread.
            facts: Further facts to show with it.
        """
        duration_s = done.ended_s - done.began_s
        self._events.append((_event(name, "X", done.began_s, tid=done.thread, dur=duration_s * 1e6, args=facts),))

    def note_once(self, subject: object, name: str, done: Stopwatch, **facts: Any) -> None:
        """Records an event of a thread, unless one was recorded for the subject already.

        Args:
            subject: The object that the event is about.
            name: The name of the event.
            done: The time span and the thread.
            facts: Further facts to show with it.
        """
        if subject not in self._noted:
            self._noted.add(subject)
            self.note(name, done, **facts)

    def note_wait(self, name: str, began_s: float, ended_s: float, **facts: Any) -> None:
        """Records a wait, which may overlap with others.

        Args:
            name: The name of what waited.
            began_s: When it began, on the clock of ``time.monotonic``.
            ended_s: When it ended.
            facts: Further facts to show with it.
        """
        number = next(self._waits)
        begins = _event(name, "b", began_s, id=number, tid=0, args=facts)
        self._events.append((begins, _event(name, "e", ended_s, id=number, tid=0)))

    @contextmanager
    def noting(self, name: str, **facts: Any) -> Iterator[None]:
        """Records the block as an event of this thread.

        Args:
            name: The name of the event.
            facts: Further facts to show with it.
        """
        began_s = monotonic()
        try:
            yield
        finally:
            done = Stopwatch(began_s, monotonic())
            self._threads.setdefault(done.thread, current_thread().name)
            self.note(name, done, **facts)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Makes this the trace in which ``span`` records events of the block."""
        token = span.set(self.noting)
        try:
            yield
        finally:
            span.reset(token)

    def to_json(self) -> dict[str, Any]:
        """Returns the events in Chrome's trace format, the earliest first."""
        names = [
            {"name": "thread_name", "ph": "M", "pid": os.getpid(), "tid": thread, "args": {"name": name}}
            for thread, name in sorted(self._threads.copy().items())
        ]
        events = sorted((event for noted in self._events.copy() for event in noted), key=lambda event: event["ts"])
        return {"traceEvents": [*names, *events], "displayTimeUnit": "ms"}

    def write(self, path: Path) -> None:
        """Writes the events into a file.

        Args:
            path: The file.

        Raises:
            ConfigError: If it cannot be written.
        """
        try:
            path.write_text(json.dumps(self.to_json()), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from error


def _event(name: str, phase: str, began_s: float, **fields: Any) -> dict[str, Any]:
    return {"name": name, "cat": "inferox", "ph": phase, "ts": began_s * 1e6, "pid": os.getpid(), **fields}
