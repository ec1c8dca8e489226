"""Loading a model in the first worker, before all others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import msgspec

from inferox.core import InferoxError, LoadError
from inferox.engine.model_info import ModelInfo
from inferox.engine.workers.launcher import Launcher
from inferox.engine.workers.link import WorkerDiedError, WorkerLink
from inferox.engine.workers.messages import ListPrerequisites, Load
from inferox.engine.workers.prerequisites import Prerequisites

_LEARN_S = 5.0
"""The time a worker may take to say what computing its models takes."""

_TRIES = 2
"""The number of times a model is loaded whose worker dies meanwhile: it may have died of something else."""


def load_first(
    wait_for_link: Callable[[], WorkerLink], make: Callable[[int], Load], launcher: Launcher
) -> tuple[WorkerLink, ModelInfo]:
    """Loads a model in the first worker that there is, and learns what that takes.

    Args:
        wait_for_link: Gives the worker.
        make: Makes the message of the number of the call.
        launcher: What starts the workers that come later.

    Returns:
        The worker, and what it has loaded.

    Raises:
        LoadError: If workers die of it, or it cannot be loaded.
    """
    for attempt in range(_TRIES):
        link = wait_for_link()
        try:
            info = msgspec.convert(link.call(make).result(), ModelInfo)
        except WorkerDiedError as error:
            if attempt + 1 == _TRIES:
                raise LoadError(f"the worker process that was to load it died: {error.message}") from error
            continue
        learn_from([link], launcher)
        return link, info
    raise AssertionError


def learn_from(links: Iterable[WorkerLink], launcher: Launcher) -> None:
    """Learns what computing the models takes, from the first worker that says it.

    Args:
        links: The workers.
        launcher: What starts the workers that come later. Where none says it, they are started as before.
    """
    for link in links:
        with suppress(InferoxError, TimeoutError):
            launcher.learn(msgspec.convert(link.call(ListPrerequisites).result(_LEARN_S), Prerequisites))
            return
