"""The interface of what computes the models of an engine."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inferox.core import Closing, Trace
from inferox.engine.registry import ModelRegistry
from inferox.engine.served_model import ServedModel
from inferox.engine.worker_info import WorkerInfo

if TYPE_CHECKING:
    from inferox.loading import TaskModel


class ModelHost(Closing):
    """Makes models that answer requests. It must be closed after them.

    Attributes:
        trace: Records events; ``None`` for no trace.
    """

    trace: Trace | None = None

    @abstractmethod
    def load(
        self, source: str, name: str | None, version: str, options: Mapping[str, Any], models: ModelRegistry
    ) -> ServedModel:
        """Loads a package.

        Args:
            source: A package: a folder, or an ``.mlpkg`` file; or ``python:module:function``.
            name: Its name in requests; ``None`` for the name of the package.
            version: Its version.
            options: The other arguments of ``Engine.load``, by name.
            models: The registry to add it to.

        Raises:
            InferoxError: If it cannot be loaded, or cannot be added.
        """

    @abstractmethod
    def register(self, model: TaskModel, name: str | None, version: str, models: ModelRegistry) -> ServedModel:
        """Takes over a loaded model; if that fails, the model is left as it is.

        Args:
            model: The model.
            name: Its name in requests; ``None`` for its own name.
            version: Its version.
            models: The registry to add it to.

        Raises:
            ConfigError: If it cannot be computed here, or cannot be added.
        """

    def announce_close(self) -> None:
        """Announces that it will be closed once its models are, none of which must be freed by itself then."""

    def release_memory(self) -> None:
        """Returns the memory that removed models have left to the system."""

    def workers(self) -> list[WorkerInfo]:
        """Lists the live worker processes; empty if there are none."""
        return []

    def restarts(self) -> Counter[str]:
        """Counts the workers that replaced another that had ended, of the kinds ``worker`` and ``sandbox``."""
        return Counter(worker=0, sandbox=0)
