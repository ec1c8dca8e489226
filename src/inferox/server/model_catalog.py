"""The models of a server: loaded, and found by what requests say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from inferox.core import ConfigError, InferoxError, ModelNotFoundError, OverloadedError
from inferox.engine import Engine, ModelInfo
from inferox.server.config import ModelSource, check_name
from inferox.server.congestion import Congestion
from inferox.server.field_error import FieldError
from inferox.server.request_record import note_model

_LOADING_S = 1.0
"""After how long it is worth asking again for a model that is being loaded."""

_logger = logging.getLogger(__name__)


class ModelCatalog:
    """The models of a server. One event loop uses it, and threads load and unload.

    Args:
        engine: What computes.
        timeout_s: How long a request may take before it is given up.

    Attributes:
        sources: The packages of the models that were loaded, by name, those among them that are unloaded.
    """

    def __init__(self, engine: Engine, *, timeout_s: float) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self._models: dict[str, ModelInfo] = {}
        self._versions: dict[str, int] = {}
        self._congestions: dict[str, Congestion] = {}
        self.sources: dict[str, ModelSource] = {}
        self._is_loaded = False
        self._trials: list[Callable[[], None]] = []

    def load(self, sources: Sequence[ModelSource]) -> None:
        """Loads the models, one after another. A thread of its own calls it; each answers as soon as it is there.

        Args:
            sources: The packages.

        Raises:
            InferoxError: If one of them cannot be loaded.
            ConfigError: If two have one name, or one has a name that requests cannot say.
        """
        for source in sources:
            info = self._engine.load(source.path, name=source.name, later=self._trials.append, **source.options)
            try:
                check_name(info.name)
            except ConfigError:
                self._engine.unload(info.name, drop_labels=True)
                raise
            self._add(info, source)
        self._is_loaded = True

    def load_again(self, name: str, source: ModelSource) -> ModelInfo:
        """Loads a model anew, or one that is not loaded; what is loaded of it answers until then.

        A thread of its own calls it, one at a time.

        Args:
            name: What requests call it.
            source: Its package.

        Returns:
            What was loaded: a version that the model never had before.

        Raises:
            InferoxError: If it cannot be loaded; what was loaded goes on.
            OverloadedError: If not all models are loaded yet that the server is to have from its start.
        """
        self._refuse_while_loading()
        known = self._models.get(name)
        version = str(self._versions.get(name, 0) + 1)
        trials: list[Callable[[], None]] = []
        info = self._engine.load(source.path, name=name, version=version, later=trials.append, **source.options)
        self._add(info, source)
        if known is not None:
            self._engine.unload(name, known.version, drop_labels=True)
        _begin(trials)
        return info

    def begin_trials(self) -> None:
        """Loads the shadows and canaries of what ``load`` has loaded, which answers meanwhile.

        A thread of its own calls it. Of one that cannot be loaded, the log says why.
        """
        _begin(self._trials)

    def unload(self, name: str) -> None:
        """Unloads a model, once the requests that it was given are answered; a thread of its own calls it.

        Args:
            name: The model.

        Raises:
            ModelNotFoundError: If there is none of that name.
            OverloadedError: If not all models are loaded yet.
        """
        self._refuse_while_loading()
        self._models = {known: info for known, info in self._models.items() if known != name}
        self._engine.unload(name, drop_labels=True)

    def _add(self, info: ModelInfo, source: ModelSource) -> None:
        self.sources[info.name] = source
        self._versions[info.name] = self._versions.get(info.name, 0) + 1
        # What the one before it could take says nothing of what this one can.
        self._congestions = {**self._congestions, info.name: Congestion(self._timeout_s)}
        self._models = {**self._models, info.name: info}

    def models(self) -> list[ModelInfo]:
        """The models that were loaded, by name."""
        return [self._models[name] for name in sorted(self._models)]

    def find(self, name: str, task: str | None = None) -> ModelInfo:
        """A model.

        Args:
            name: What a request calls it.
            task: The task that it is to have; ``None`` for any.

        Raises:
            ModelNotFoundError: If there is none of that name.
            FieldError: If it has another task.
            OverloadedError: If not all models are loaded yet, so that it may still come.
        """
        info = self._models.get(name)
        if info is None:
            self._refuse_while_loading()
            known = ", ".join(sorted(self._models))
            raise ModelNotFoundError(f"there is no model {name[:200]!r}", hint=f"this server has {known}")
        note_model(name)
        if task is not None and info.task != task:
            raise FieldError("model", f"{name!r} is a model for the task {info.task}, and a model for {task} is needed")
        return info

    def choose(self, tasks: Sequence[str], name: str | None = None) -> ModelInfo:
        """The model for a request that need not name one.

        Args:
            tasks: The tasks of which it is to have one. Of several models, one of the first task goes first.
            name: What the request calls it; ``None`` where it does not say.

        Raises:
            FieldError: If there is no such model or are several, so that the request must say which.
            InferoxError: See ``find``.
        """
        if name is not None:
            info = self.find(name)
            return info if info.task in tasks else self.find(name, " or ".join(tasks))
        self._refuse_while_loading()
        fitting: list[ModelInfo] = []
        for task in tasks:
            fitting = [info for info in self.models() if info.task == task]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                break
        there = f"there are {', '.join(info.name for info in fitting)}" if fitting else "there is none"
        raise FieldError("model", f"the request names no model, and of models for {' or '.join(tasks)} {there}")

    def only_model(self) -> ModelInfo:
        """The model of a server that has a single one.

        Raises:
            FieldError: If there are several, so that the request must say which.
            OverloadedError: If not all models are loaded yet.
        """
        self._refuse_while_loading()
        if len(self._models) == 1:
            return next(iter(self._models.values()))
        raise FieldError("model", f"the request names no model, and there are {', '.join(sorted(self._models))}")

    def _refuse_while_loading(self) -> None:
        if not self._is_loaded:
            raise OverloadedError("models are still being loaded", retry_after_s=_LOADING_S)


def _begin(trials: Sequence[Callable[[], None]]) -> None:
    for begin in trials:
        try:
            begin()
        except InferoxError as error:
            _logger.error("nothing is tried beside the artifact that serves: %s", error)  # noqa: TRY400 - no traceback
