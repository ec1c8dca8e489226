"""The engine: models by name, and answers to the requests for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from inferox.core import Closing, ConfigError, DeviceId, ModelNotFoundError, shown
from inferox.engine.config import EngineConfig
from inferox.engine.inference import Inference
from inferox.engine.isolation import open_host
from inferox.engine.model_info import ModelInfo
from inferox.engine.open_sessions import OpenSessions
from inferox.engine.registry import ModelRegistry, check_new_name
from inferox.engine.served_model import ServedModel
from inferox.engine.session import InferenceSession
from inferox.engine.stats import ModelStats
from inferox.engine.trials.options import Canary, Offer, Shadow
from inferox.engine.trials.trial_loader import TrialLoader, check_forms
from inferox.engine.trials.trialed_model import TrialedModel
from inferox.engine.turns import refuse_if_computing
from inferox.engine.worker_info import WorkerInfo

if TYPE_CHECKING:
    from inferox.loading import TaskModel

State = TypeVar("State")


class Engine(Inference, Closing):
    """Computes the requests of many callers for many models, from threads and from coroutines.

    Rows of all requests for a model share batches of similar lengths; a request to an idle engine is computed at once.
    An answer is the same as if its request had been alone. The engine is a context manager that closes itself.

    Args:
        config: The settings; ``None`` for the defaults.
    """

    def __init__(self, config: EngineConfig | None = None) -> None:
        super().__init__(ModelRegistry())
        self._sessions = OpenSessions()
        config = config or EngineConfig()
        self._host = open_host(config)
        self._trials = TrialLoader(config, self._host)

    def load(
        self,
        path: str | Path,
        *,
        name: str | None = None,
        version: str = "1",
        backend: str = "auto",
        device: str | DeviceId | None = None,
        precision: str | None = None,
        quality: str | None = None,
        task: str | None = None,
        compile: bool = False,  # noqa: A002 - as ``inferox.load`` has it
        trust_code: bool = False,
        require_signature: str | Path | None = None,
        start: str = "best",
        shadow: Shadow | None = None,
        canary: Canary | None = None,
        offers: Sequence[Offer] = (),
        later: Callable[[Callable[[], None]], object] | None = None,
    ) -> ModelInfo:
        """Loads a package. Once it passes all its stored samples, it takes the requests that name no version.

        Until then, and if it fails, the previous version goes on.

        Args:
            path: A package: a folder, or an ``.mlpkg`` file.
            name: Its name in requests; ``None`` for the name of the package.
            version: Its version.
            backend: A registered backend, or ``auto``; see ``inferox.load`` for this and the following arguments.
            device: The device to load on.
            precision: The number format in which it computes.
            quality: The worst acceptable agreement with the original.
            task: The task that overrides the package's own.
            compile: Whether to compile the model just in time, where the backend can.
            trust_code: Whether code that comes with the package may run.
            require_signature: A PEM file with the public key that the package must be signed with.
            start: ``best``, or ``fast`` to serve at once on the artifact that loads fastest, until the best one, which
                is loaded in the background and computes all samples, takes over.
            shadow: Another artifact of the package that recomputes a share of the requests after they are answered; see
                ``Shadow``. ``stats`` reports its distance from the serving one.
            canary: Another artifact that answers a share of the requests until it fails or drifts too far; see
                ``Canary``.
            offers: Other artifacts that requests may select by name; see ``infer``. Each takes memory.
            later: Receives a function that loads the shadow and the canary, for the caller to call later. If that
                raises, serving is not affected. ``None`` to load them before anything serves.

        Returns:
            The description of the loaded model.

        Raises:
            InferoxError: See ``inferox.load``.
            ConfigError: If the name has this version already, or memory_limit_bytes leaves no room for it; if an
                argument has another type, or a name is not valid Unicode; if the shadow or the canary is the artifact
                that serves, or a canary lies in another embedding space.
            NoUsableBackendError: If no artifact agrees on its samples; it lists the reason for each.
            ShuttingDownError: If the engine is closed.
        """
        self._models.process.check()
        _check_new(name, version)
        _check_load(compile, trust_code, later)
        options = {
            "backend": backend,
            "device": None if device is None else str(device),
            "precision": precision,
            "quality": quality,
            "task": task,
            "compile": compile,
            "trust_code": trust_code,
            "require_signature": None if require_signature is None else str(require_signature),
            "start": start,
        }
        from inferox.package import read_package_path

        location = str(read_package_path(path))
        if shadow is None and canary is None and not offers:
            return self._describe(self._host.load(location, name, version, options, self._models))
        check_forms(shadow, canary, offers)
        load_trials = partial(self._trials.load, location, name, options, shadow=shadow, canary=canary)
        with ExitStack() as undo:
            tried = undo.enter_context(load_trials()) if later is None else None
            offered = undo.enter_context(self._trials.load_offers(location, name, options, offers))
            serving = self._host.load(location, name, version, options, self._models)
            undo.callback(self._drop, serving)
            offering = offered.beside(serving)
            model = TrialedModel(offering)
            if tried is not None:
                tried.begin(offering, model)
            self._models.replace(serving, model)
            undo.pop_all()

        def begin() -> None:
            with ExitStack() as undo:
                undo.enter_context(load_trials()).begin(offering, model)
                undo.pop_all()

        if later is not None and (shadow is not None or canary is not None):
            later(begin)
        return self._describe(model)

    def register(self, model: TaskModel, *, name: str | None = None, version: str = "1") -> ModelInfo:
        """Takes over a loaded model, such as one around a ``Model`` class of your own.

        Args:
            model: The model; the engine closes it.
            name: Its name in requests; ``None`` for its own name.
            version: Its version.

        Returns:
            The description of the registered model.

        Raises:
            ConfigError: If the name has this version already, or the object is not a ``TaskModel``, or is registered
                already.
            ShuttingDownError: If the engine is closed.
        """
        self._models.process.check()
        _check_new(name, version)
        return self._describe(self._host.register(model, name, version, self._models))

    def label(self, name: str, label: str, version: str | None) -> None:
        """Assigns a label to a version, which requests may state in place of the version.

        Args:
            name: The model.
            label: The label, such as ``stable`` or ``canary``; ``latest`` is always the version that was loaded last.
            version: The version; ``None`` to remove the label.

        Raises:
            ConfigError: If it cannot be a label, such as the name of a version.
            ModelNotFoundError: If there is no such version.
        """
        self._models.label(name, label, version)

    def unload(self, name: str, version: str | None = None, *, drop_labels: bool = False) -> None:
        """Removes a model once its requests are answered.

        Args:
            name: Its name.
            version: Its version; ``None`` for all.
            drop_labels: Whether to remove the labels of the version, too.

        Raises:
            ConfigError: If the version has a label other than ``latest``, and ``drop_labels`` is not set.
            ModelNotFoundError: If there is no such model.
            ExecutionError: If a model does it while it computes, and would wait for itself.
        """
        refuse_if_computing()
        removed = self._models.remove(name, version, drop_labels=drop_labels)
        _close_all([*self._sessions.of(removed), *removed])
        self._host.release_memory()

    def session(
        self, name: str, state: State, *, version: str | None = None, owner: str | None = None
    ) -> InferenceSession[State]:
        """Opens a session: a version of a model, with a state of your own from call to call.

        Args:
            name: The model.
            state: The state. If it has a method ``close``, that is called when the session is closed.
            version: The version, or a label; ``None`` for the one that was loaded last. The session stays with it.
            owner: The owner of its requests.

        Returns:
            The session. It is closed at the latest with its version or with the engine.

        Raises:
            ModelNotFoundError: If there is no such model.
            ShuttingDownError: If the engine is closed.
        """
        model = self._models.find(name, version)
        session = InferenceSession(model, state, owner=owner, on_close=self._sessions.discard)
        self._sessions.add(session)
        if session not in self._sessions.of(self._models.all()):  # its version was removed: nobody else would close it
            session.close()
        return session

    def models(self) -> list[ModelInfo]:
        """Lists the loaded models, by name and version."""
        return [self._describe(runner) for runner in self._models.all()]

    def stats(self, name: str, version: str | None = None) -> ModelStats:
        """Returns the statistics of a model, current and total.

        Args:
            name: The model.
            version: Its version, or a label; ``None`` for the one that was loaded last.

        Raises:
            ModelNotFoundError: If there is no such model.
        """
        return self._models.find(name, version).stats()

    def workers(self) -> list[WorkerInfo]:
        """Lists the live worker processes; empty if models are computed in this process."""
        self._models.process.check()
        return [*self._host.workers(), *self._trials.workers()]

    def restarts(self) -> Mapping[str, int]:
        """Counts the worker processes that replaced another that had ended: ``worker``, ``sandbox`` and ``shadow``."""
        self._models.process.check()
        return {**self._host.restarts(), "shadow": self._trials.count_restarts()}

    def write_trace(self, path: str | Path) -> None:
        """Writes a trace of the last 100,000 events in the format of Chrome's trace viewer.

        Args:
            path: The file. An existing one is replaced.

        Raises:
            ConfigError: If the engine was not made with ``EngineConfig(profiling=True)``, or it cannot be written.
        """
        self._models.process.check()
        if self._host.trace is None:
            raise ConfigError("no trace was recorded", hint="make the engine with EngineConfig(profiling=True)")
        self._host.trace.write(Path(path))

    def close(self) -> None:
        """Stops accepting requests, answers those accepted, and closes every session and model.

        Closing twice does nothing, and neither does closing it in a fork of its process.

        Raises:
            ExecutionError: If a model does it while it computes, and would wait for itself.
        """
        if self._models.process.is_other:
            return
        refuse_if_computing()
        removed = self._models.close()
        self._trials.announce_close()
        self._host.announce_close()
        _close_all([*self._sessions.of(removed), *removed, self._trials, self._host])

    def _drop(self, model: ServedModel) -> None:
        with suppress(ModelNotFoundError):  # unloaded by another caller
            self._models.remove(model.name, model.version, drop_labels=True)
        model.close()

    def _describe(self, model: ServedModel) -> ModelInfo:
        return replace(model.info(), labels=self._models.labels_of(model))


def _check_new(name: str | None, version: str) -> None:
    if name is not None:
        check_new_name("the name of a model", name)
    check_new_name("a version", version)


def _check_load(compiles: object, trust_code: object, later: object) -> None:
    for flag, value in (("compile", compiles), ("trust_code", trust_code)):
        if type(value) is not bool:
            raise ConfigError(f"{flag} must be True or False, but is {shown(value)}")
    if later is not None and not callable(later):
        raise ConfigError(f"later must be a function, or None, but is {shown(later)}")


def _close_all(closing: Sequence[Closing]) -> None:
    """Closes each one, whatever the others raise; the first error is raised at the end."""
    with ExitStack() as stack:
        for item in reversed(closing):
            stack.callback(item.close)
