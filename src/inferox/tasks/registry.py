"""The tasks by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferox.core import ConfigError, Signature
from inferox.tasks.embed import EmbedTask
from inferox.tasks.raw import RawTask
from inferox.tasks.task import Task

TASK_NAMES = ("embed", "classify", "token-classify", "rerank", "image-classify", "raw")
"""Every task."""


def open_task(name: str, options: Mapping[str, Any], root: Path, signature: Signature) -> Task:
    """Opens a task of a package.

    Args:
        name: One of ``TASK_NAMES``.
        options: What the package states for the task, as ``choose_task`` found it.
        root: The folder of the package, in which the task's files lie.
        signature: What the model takes and gives.

    Raises:
        ConfigError: If there is no such task.
        ManifestError: If an option is missing or wrong, or the model does not fit the task.
        PackageError: If a file is missing or cannot be read.
    """
    if name == "embed":
        return EmbedTask(root, options, signature)
    if name == "raw":
        return RawTask(options, signature)
    raise unknown_task(name)


def unknown_task(name: str) -> ConfigError:
    """The error for a name that is no task."""
    return ConfigError(f"there is no task {name!r}", hint=f"use one of {', '.join(TASK_NAMES)}")
