"""The models of a server: loading them, and finding them for requests."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from inferox.core import ConfigError, InferoxError, ModelNotFoundError, OverloadedError, ShuttingDownError
from inferox.engine import Engine, ModelInfo
from inferox.server.config import ModelSource, check_name
from inferox.server.congestion import Congestion
from inferox.server.field_error import FieldError
from inferox.server.request_record import note_model

_LOADING_S = 1.0
"""The time after which it is worth asking again for a model that is being loaded."""

_logger = logging.getLogger(__name__)


class ModelCatalog:
    """The models of a server. Used from one event loop, while threads load and unload.

    Args:
        engine: Computes the models.
        timeout_s: The time after which a request is given up.

    Attributes:
        timeout_s: The time after which a request is given up.
        sources: The packages of all models loaded so far, by name, including those unloaded since.
    """

    def __init__(self, engine: Engine, *, timeout_s: float) -> None:
        self._engine = engine
        self.timeout_s = timeout_s
        self._models: dict[str, ModelInfo] = {}
        self._versions: dict[str, int] = {}
        self._congestions: dict[str, Congestion] = {}
        self.sources: dict[str, ModelSource] = {}
        self._is_loaded = False
        self._trials: list[Callable[[], None]] = []

    def load(self, sources: Sequence[ModelSource]) -> None:
        """Loads the models, one after another; each serves as soon as it is loaded. Runs in a thread of its own.

        Args:
            sources: The packages.

        Raises:
            InferoxError: If one of them cannot be loaded.
            ConfigError: If two have the same name, or a name is not valid in requests.
        """
        for source in sources:
            try:
                info = self._engine.load(source.path, name=source.name, later=self._trials.append, **source.options)
            except ShuttingDownError:  # which is nothing that the package has done
                raise
            except InferoxError:
                # The error may only have the name inside the package, which does not say which of several files it is.
                _logger.error("%s cannot be loaded", source.path)  # noqa: TRY400 - no traceback
                raise
            try:
                check_name(info.name)
            except ConfigError:
                self._engine.unload(info.name, drop_labels=True)
                raise
            self._add(info, source)
        self._is_loaded = True

    def load_again(self, name: str, source: ModelSource) -> ModelInfo:
        """Loads or reloads a model; the loaded version serves until the new one is ready.

        Runs in a thread of its own, one call at a time.

        Args:
            name: The name by which requests address it.
            source: Its package.

        Returns:
            The loaded model, with a version that was not used before.

        Raises:
            InferoxError: If it cannot be loaded; the loaded version continues to serve.
            OverloadedError: If the server is still loading its first models.
        """
        self.refuse_while_loading()
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
        """Loads the shadows and canaries of the models that ``load`` has loaded, which serve meanwhile.

        Runs in a thread of its own. Failures to load are logged.
        """
        _begin(self._trials)

    def unload(self, name: str) -> None:
        """Unloads a model, once its requests are answered. Runs in a thread of its own.

        Args:
            name: The model.

        Raises:
            ModelNotFoundError: If there is none of that name.
            OverloadedError: If not all models are loaded yet.
        """
        self.refuse_while_loading()
        self._models = {known: info for known, info in self._models.items() if known != name}
        self._engine.unload(name, drop_labels=True)

    def _add(self, info: ModelInfo, source: ModelSource) -> None:
        self.sources[info.name] = source
        self._versions[info.name] = self._versions.get(info.name, 0) + 1
        # The capacity of the version before says nothing about that of this one.
        self._congestions = {**self._congestions, info.name: Congestion(self.timeout_s)}
        self._models = {**self._models, info.name: info}

    def models(self) -> list[ModelInfo]:
        """Returns the loaded models, sorted by name."""
        return [self._models[name] for name in sorted(self._models)]

    def find(self, name: str, task: str | None = None) -> ModelInfo:
        """Returns a model.

        Args:
            name: The name in the request.
            task: The required task; ``None`` for any.

        Raises:
            ModelNotFoundError: If there is none of that name.
            FieldError: If it has another task.
            OverloadedError: If not all models are loaded yet, so that it may still come.
        """
        info = self._models.get(name)
        if info is None:
            self.refuse_while_loading()
            known = ", ".join(sorted(self._models)) or "none"
            raise ModelNotFoundError(f"there is no model {name[:200]!r}", hint=f"this server has {known}")
        note_model(name)
        if task is not None and info.task != task:
            raise FieldError(
                "model", f"{name!r} is a model for the task {info.task}, but the request needs one for {task}"
            )
        return info

    def choose(self, tasks: Sequence[str], name: str | None = None) -> ModelInfo:
        """Returns the model for a request that may leave out its name.

        Args:
            tasks: The tasks that fit, the preferred ones first.
            name: The name in the request; ``None`` if it has none.

        Raises:
            FieldError: If no model fits, or several do, so that the request must name one.
            InferoxError: See ``find``.
        """
        if name is not None:
            info = self.find(name)
            return info if info.task in tasks else self.find(name, " or ".join(tasks))
        self.refuse_while_loading()
        fitting: list[ModelInfo] = []
        for task in tasks:
            fitting = [info for info in self.models() if info.task == task]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                break
        there = ": " + ", ".join(info.name for info in fitting) if fitting else ""
        raise FieldError(
            "model",
            f"the request names no model, but the server has {len(fitting) or 'none'} for {' or '.join(tasks)}{there}",
        )

    def only_model(self) -> ModelInfo:
        """Returns the only model of the server.

        Raises:
            FieldError: If there are several, so that the request must name one, or none.
            OverloadedError: If not all models are loaded yet.
        """
        self.refuse_while_loading()
        if len(self._models) == 1:
            return next(iter(self._models.values()))
        there = f"several: {', '.join(sorted(self._models))}" if self._models else "none"
        raise FieldError("model", f"the request names no model, but the server has {there}")

    def refuse_while_loading(self) -> None:
        """Refuses a request that cannot be answered yet.

        Raises:
            OverloadedError: If not all models are loaded yet, so that one may still come.
        """
        if not self._is_loaded:
            raise OverloadedError("models are still being loaded", retry_after_s=_LOADING_S)


def _begin(trials: Sequence[Callable[[], None]]) -> None:
    for begin in trials:
        try:
            begin()
        except InferoxError as error:
            _logger.error("a shadow or canary cannot be started: %s", error)  # noqa: TRY400 - no traceback
