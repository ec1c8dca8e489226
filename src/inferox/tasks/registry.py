"""The tasks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from inferox.core import ConfigError, Signature
from inferox.tasks.classify import ClassifyTask
from inferox.tasks.embed import EmbedTask
from inferox.tasks.image_classify import ImageClassifyTask
from inferox.tasks.raw import RawTask
from inferox.tasks.rerank import RerankTask
from inferox.tasks.task import Task
from inferox.tasks.token_classify import TokenClassifyTask

_OPENERS: dict[str, Callable[[Path, Mapping[str, Any], Signature], Task]] = {
    EmbedTask.name: EmbedTask,
    ClassifyTask.name: ClassifyTask,
    TokenClassifyTask.name: TokenClassifyTask,
    RerankTask.name: RerankTask,
    ImageClassifyTask.name: lambda _, options, signature: ImageClassifyTask(options, signature),
    RawTask.name: lambda _, options, signature: RawTask(options, signature),
}

TASK_NAMES = tuple(_OPENERS)
"""Every task."""


def open_task(name: str, options: Mapping[str, Any], root: Path, signature: Signature) -> Task:
    """Opens a task of a package.

    Args:
        name: One of ``TASK_NAMES``.
        options: The options that the package states for the task, as ``choose_task`` found them.
        root: The folder of the package, which has the task's files.
        signature: The model's signature.

    Raises:
        ConfigError: If there is no such task.
        ManifestError: If an option is missing or wrong, or the model does not fit the task.
        PackageError: If a file is missing or cannot be read.
    """
    if name not in _OPENERS:
        raise unknown_task(name)
    return _OPENERS[name](root, options, signature)


def unknown_task(name: str) -> ConfigError:
    """Makes the error for a name that is not a task."""
    return ConfigError(f"there is no task {name!r}", hint=f"use one of {', '.join(TASK_NAMES)}")
