"""Loading a model in the first worker, before all others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from inferox.core import InferoxError, LoadError
from inferox.engine.model_info import ModelInfo
from inferox.engine.workers.launcher import Launcher
from inferox.engine.workers.link import WorkerDiedError, WorkerLink
from inferox.engine.workers.messages import ListPrerequisites, Load
from inferox.engine.workers.prerequisites import Prerequisites

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
        with suppress(InferoxError):  # where it died meanwhile, the next ones are started anew, as it was
            launcher.learn(msgspec.convert(link.call(ListPrerequisites).result(), Prerequisites))
        return link, info
    raise AssertionError
