"""The end of computations before the interpreter exits."""

from __future__ import annotations

import atexit
import os
import time
from weakref import WeakSet

from inferox.core import ShuttingDownError
from inferox.engine.lineup import Lineup
from inferox.engine.queue import RequestQueue

_LONGEST_S = 10.0
"""The time for which an exit waits for what is being computed and loaded."""

_queues: WeakSet[RequestQueue] = WeakSet()
_lineups: WeakSet[Lineup] = WeakSet()


def end_at_exit(queue: RequestQueue, lineup: Lineup) -> None:
    """Ends what is computed and loaded for a model before the interpreter exits: requests that wait fail.

    A thread that is in a runtime's code while the interpreter ends is ended there, which aborts the process.

    Args:
        queue: The queue of its requests; both may be freed earlier.
        lineup: Its artifacts.
    """
    _queues.add(queue)
    _lineups.add(lineup)


def _end_all() -> None:
    until_s, queues = time.monotonic() + _LONGEST_S, list(_queues)
    for queue in queues:
        queue.close()
        queue.fail_all(lambda: ShuttingDownError("the process is ending"))
    for queue in queues:
        queue.wait_until_idle(max(0.0, until_s - time.monotonic()))
    for lineup in list(_lineups):
        lineup.end(max(0.0, until_s - time.monotonic()))


def _forget_all() -> None:
    _queues.clear()
    _lineups.clear()


atexit.register(_end_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)  # which has none of the threads
