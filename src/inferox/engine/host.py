"""The place where the models of an engine are computed."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from inferox.core import Closing, ConfigError, Trace
from inferox.engine.config import EngineConfig
from inferox.engine.registry import ModelRegistry
from inferox.engine.served_model import ServedModel
from inferox.engine.worker_info import WorkerInfo

if TYPE_CHECKING:
    from inferox.loading import TaskModel


class ModelHost(Closing):
    """Makes models that answer requests. It is closed after them.

    Attributes:
        trace: Notes what takes how long; ``None`` if nobody wants to know.
    """

    trace: Trace | None = None

    @abstractmethod
    def load(
        self, source: str, name: str | None, version: str, options: Mapping[str, Any], models: ModelRegistry
    ) -> ServedModel:
        """Loads a package.

        Args:
            source: A package: a folder, or an ``.mlpkg`` file; or ``python:module:function``.
            name: What requests call it; ``None`` for the name of the package.
            version: Its version.
            options: The other arguments of ``Engine.load``, by name.
            models: What it is added to.

        Raises:
            InferoxError: If it cannot be loaded, or cannot be added.
        """

    @abstractmethod
    def register(self, model: TaskModel, name: str | None, version: str, models: ModelRegistry) -> ServedModel:
        """Takes over a model that is loaded already; where that fails, it is left as it is.

        Args:
            model: The model.
            name: What requests call it; ``None`` for its own name.
            version: Its version.
            models: What it is added to.

        Raises:
            ConfigError: If it cannot be computed here, or cannot be added.
        """

    def workers(self) -> list[WorkerInfo]:
        """The worker processes that are alive; empty if there are none."""
        return []

    def restarts(self) -> Counter[str]:
        """The number of workers that took the place of one that had ended, of the kinds ``worker`` and ``sandbox``."""
        return Counter(worker=0, sandbox=0)


def open_host(config: EngineConfig) -> ModelHost:
    """The interface of those who compute the models of an engine.

    Args:
        config: The settings of the engine.

    Raises:
        ConfigError: If it is to be worker processes, and what speaks with them is missing.
    """
    # Either is imported where it is used: an engine of worker processes imports no tokenizer and no runtime.
    if config.isolation == "process":
        try:
            import msgspec  # noqa: F401 - what speaks with workers needs it
        except ImportError as error:
            raise ConfigError("worker processes need msgspec", hint="pip install 'inferox[serve]'") from error
        from inferox.engine.workers.pool import WorkerPool

        return WorkerPool(config)
    from inferox.engine.local import LocalHost

    return LocalHost(config)
