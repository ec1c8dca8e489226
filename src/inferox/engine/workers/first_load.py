"""The loading of a model in one worker, before all others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, suppress

import msgspec

from inferox.core import InferoxError, LoadError
from inferox.engine.model_info import ModelInfo
from inferox.engine.workers.launcher import Launcher
from inferox.engine.workers.link import WorkerDiedError, WorkerLink
from inferox.engine.workers.messages import ListPrerequisites, Load
from inferox.engine.workers.prerequisites import Prerequisites

_LEARN_S = 5.0
"""The time that a worker may take to list the prerequisites of its models."""

_DEATHS = 2
"""The deaths of workers that loaded a model after which it is given up: one may have died of something else."""

_DEATHS_BESIDE_ROWS = 8
"""The same for workers that computed rows of other models meanwhile, of which they will have died."""


def load_first(
    wait_for_link: Callable[[], WorkerLink],
    make: Callable[[int], Load],
    launcher: Launcher,
    retries: AbstractContextManager[object],
) -> tuple[WorkerLink, ModelInfo]:
    """Loads a model in the first available worker, and learns the prerequisites of that.

    Models are loaded at the same time, until a worker dies of it. From then on, each of those that it was loading is
    loaded alone, so that the one that it died of does not take the others down again.

    Args:
        wait_for_link: Waits for and returns the worker.
        make: Makes the message for a call number.
        launcher: The launcher of later workers.
        retries: The reentrant lock of the pool that is held while a model is loaded again: no other load begins.

    Returns:
        The worker, and the description of the loaded model.

    Raises:
        LoadError: If workers die of it, or it cannot be loaded.
    """
    deaths = deaths_beside_rows = 0
    with ExitStack() as alone:
        while True:
            with retries:
                link = wait_for_link()
                link.has_tried = True
                load = link.call(make)
            try:
                info = msgspec.convert(load.result(), ModelInfo)
            except WorkerDiedError as error:
                deaths += not error.had_rows
                deaths_beside_rows += error.had_rows
                if deaths == _DEATHS or deaths_beside_rows == _DEATHS_BESIDE_ROWS:
                    raise LoadError(f"the worker process that was to load it died: {error.message}") from error
                alone.enter_context(retries)
            else:
                break
    learn_from([link], launcher)
    return link, info


def learn_from(links: Iterable[WorkerLink], launcher: Launcher) -> None:
    """Learns the prerequisites of the models from the first worker that lists them.

    Args:
        links: The workers.
        launcher: The launcher of later workers. If no worker answers, they are started as before.
    """
    for link in links:
        with suppress(InferoxError, TimeoutError):
            launcher.learn(msgspec.convert(link.call(ListPrerequisites).result(_LEARN_S), Prerequisites))
            return
