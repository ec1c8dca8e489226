"""The host that computes models in this process."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any
from weakref import WeakSet

from inferox.core import ConfigError, DeviceId, Trace
from inferox.engine.config import EngineConfig
from inferox.engine.host import ModelHost
from inferox.engine.memory_budget import MemoryBudget
from inferox.engine.python_models import PREFIX, make_model
from inferox.engine.registry import ModelRegistry
from inferox.engine.runner import ModelRunner
from inferox.engine.turns import Turns
from inferox.engine.watch import Watch
from inferox.loading import PlannedLoad, TaskModel, plan_load


class LocalHost(ModelHost):
    """Computes models in this process: those of one device in turns, all within one thread budget.

    Args:
        config: The settings of the engine.
        make_watch: Makes the watch over a model.
    """

    def __init__(self, config: EngineConfig, make_watch: Callable[[], Watch] = Watch) -> None:
        self._config = config
        self.trace = Trace() if config.profiling else None
        self._make_watch = make_watch
        self._memory = MemoryBudget(config.memory_limit_bytes, sharers=config.workers)
        self._lock = Lock()
        self._registered = WeakSet[TaskModel]()
        self._turns: defaultdict[DeviceId, Turns] = defaultdict(Turns)

    def load(
        self, source: str, name: str | None, version: str, options: Mapping[str, Any], models: ModelRegistry
    ) -> ModelRunner:
        """Loads a package; see ``ModelHost``."""
        if source.startswith(PREFIX):
            made = make_model(source.removeprefix(PREFIX), options)
            self._note_registered(made)  # before anything closes it, as it may serve already
            return self._keep_or_close(made, lambda: self._register(made, name, version, models))
        watch = self._make_watch()
        planned = plan_load(source, **options, all_samples=True, threads=self._config.threads, checking=watch.trying)
        name = name or planned.name
        with models.claim(name, version), self._memory.reserve(planned.size_bytes):
            loaded = planned.load()
            return self._keep_or_close(
                loaded, lambda: self._serve(loaded, name, version, models, watch=watch, planned=planned)
            )

    def register(self, model: TaskModel, name: str | None, version: str, models: ModelRegistry) -> ModelRunner:
        """Takes over a loaded model; see ``ModelHost``."""
        if not isinstance(model, TaskModel):
            raise ConfigError(
                f"expected a TaskModel, but got a value of the type {type(model).__name__}",
                hint="inferox.load makes one, and so does TaskModel(model, task, rejected={}) of a Model of your own",
            )
        self._note_registered(model)
        try:
            return self._register(model, name, version, models)
        except BaseException:
            self._registered.discard(model)
            raise

    def release_memory(self) -> None:
        """Returns the memory that removed models have left to the system; see ``ModelHost``."""
        self._memory.release()

    def _note_registered(self, model: TaskModel) -> None:
        """Records that a model is closed with its version, and refuses one that belongs to another already."""
        with self._lock:
            if model in self._registered:
                raise ConfigError(
                    f"{model.name!r} was registered before, and is closed with that version",
                    hint="load another, or label the version",
                )
            self._registered.add(model)

    def _register(self, model: TaskModel, name: str | None, version: str, models: ModelRegistry) -> ModelRunner:
        name = name or model.name
        size_bytes = model.model.memory_requirements().weights_bytes
        with models.claim(name, version), self._memory.reserve(size_bytes):
            return self._serve(model, name, version, models, watch=self._make_watch())

    def _keep_or_close(self, loaded: TaskModel, keep: Callable[[], ModelRunner]) -> ModelRunner:
        try:
            return keep()
        except BaseException:
            loaded.close()
            raise

    def _serve(
        self,
        loaded: TaskModel,
        name: str,
        version: str,
        models: ModelRegistry,
        *,
        watch: Watch,
        planned: PlannedLoad | None = None,
    ) -> ModelRunner:
        runner = ModelRunner(
            name,
            version,
            loaded,
            self._config,
            turns=self._turns_on,
            memory=self._memory,
            trace=self.trace,
            planned=planned,
            watch=watch,
        )
        try:
            models.add(runner)
        except BaseException:
            runner.close()
            raise
        return runner

    def _turns_on(self, device: DeviceId) -> Turns:
        with self._lock:
            return self._turns[device]

    def close(self) -> None:
        """Does nothing: all resources belong to the models."""
