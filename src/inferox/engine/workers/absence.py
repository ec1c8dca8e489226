"""The reason why no worker can compute a model, now or later."""

from __future__ import annotations

from collections.abc import Sequence

from inferox.core import InferoxError, OverloadedError
from inferox.engine.workers.link import WorkerLink


def explain_absence(key: str, links: Sequence[WorkerLink], broken: Sequence[str], seats: int) -> InferoxError | None:
    """Explains why no worker will be able to compute a model.

    Args:
        key: The key of the model.
        links: The workers that are alive.
        broken: The reasons why no worker can be started, one per seat that stays empty for good.
        seats: The number of seats for workers.

    Returns:
        The error; ``None`` if some worker will be able to.
    """
    if any(link.has(key) for link in links):
        return None
    if len(broken) == seats:
        return OverloadedError(f"no worker process can be started: {broken[0]}")
    loads = [link.loads.get(key) for link in links]
    if len(loads) + len(broken) >= seats and all(load is not None and load.done() for load in loads):
        errors = [load.exception() for load in loads if load is not None]
        # A copy: each time that the worker's own is raised, its traceback keeps the frames of one more request.
        return next((error.at_item(None) for error in errors if isinstance(error, InferoxError)), None)
    return None
