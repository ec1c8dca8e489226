"""Messages to all workers of a model, any of which may hang."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from inferox.engine.workers.link import WorkerLink
from inferox.engine.workers.messages import Count

if TYPE_CHECKING:
    from inferox.engine.workers.remote_model import RemoteModel

_UNLOAD_S = 30.0
"""The time workers may take to unload a model all of whose requests are answered."""

_COUNT_S = 0.25
"""The time they may take to report their counts."""


def unload_in(calls: dict[Future[Any], WorkerLink], model: RemoteModel) -> None:
    """Waits until workers have unloaded a model, and kills those that do not.

    Args:
        calls: The futures of the workers' replies.
        model: The model.
    """
    for call in wait(calls, _UNLOAD_S).not_done:
        calls[call].kill(f"it did not unload {model.name!r} within {_UNLOAD_S:.3g} s")


def count_in(links: Sequence[WorkerLink], model: RemoteModel) -> tuple[list[Any], int]:
    """Collects the statistics and descriptions of a model from workers.

    Args:
        links: The workers.
        model: The model.

    Returns:
        The report of each live worker, or its last one if it does not answer in time, and the number of those that do
        not. A worker that has not answered an earlier call is not waited for.
    """
    calls: dict[int, Future[Any]] = {}
    for index, link in enumerate(links):
        if link.overdue.done():
            calls[index] = link.call(lambda number: Count(number, model.name, model.version))
    wait(calls.values(), _COUNT_S)
    missing = len(links) - len(calls)
    for index, call in calls.items():
        if not call.done():
            missing += 1
            links[index].overdue = call
        elif call.exception() is None:
            links[index].counted[model.key] = call.result()
    return [link.counted[model.key] for link in links if model.key in link.counted], missing
