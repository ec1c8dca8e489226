"""The trace of an engine with worker processes: the events of each of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import wait
from typing import Any

from inferox.core import Trace
from inferox.engine.workers.link import WorkerLink
from inferox.engine.workers.messages import ReadTrace

_READ_S = 10.0
"""The time that workers may take to report their traces; later reports are missing."""


class PoolTrace(Trace):
    """The traces of worker processes and of requests here, on the clock that all processes of a machine share.

    The events of a worker that died are lost.

    Args:
        links: Returns the live workers, including the sandbox.
    """

    def __init__(self, links: Callable[[], Sequence[WorkerLink]]) -> None:
        super().__init__()
        self._links = links

    def to_json(self) -> dict[str, Any]:
        """Returns the events of all workers in Chrome's trace format, each with the id of its process."""
        calls = [link.call(ReadTrace) for link in self._links()]
        wait(calls, _READ_S)
        own = super().to_json()
        read = [call.result() for call in calls if call.done() and call.exception() is None]
        events = [event for noted in (own, *read) for event in noted["traceEvents"]]
        names = [_name_process(pid) for pid in sorted({event["pid"] for event in events})]
        return {**own, "traceEvents": [*names, *sorted(events, key=lambda event: event.get("ts", 0.0))]}


def _name_process(pid: int) -> dict[str, Any]:
    name = "engine" if pid == os.getpid() else f"worker {pid}"
    return {"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": name}}
