"""The engine: models by name, and answers to the requests for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from inferox.core import Closing, ConfigError, DeviceId, ModelNotFoundError
from inferox.engine.config import EngineConfig
from inferox.engine.host import open_host
from inferox.engine.inference import Inference
from inferox.engine.model_info import ModelInfo
from inferox.engine.open_sessions import OpenSessions
from inferox.engine.registry import ModelRegistry
from inferox.engine.served_model import ServedModel
from inferox.engine.session import InferenceSession
from inferox.engine.stats import ModelStats
from inferox.engine.trials.options import Canary, Offer, Shadow
from inferox.engine.trials.trial_loader import TrialLoader, check_forms
from inferox.engine.trials.trialed_model import TrialedModel
from inferox.engine.worker_info import WorkerInfo

if TYPE_CHECKING:
    from inferox.loading import TaskModel

State = TypeVar("State")


class Engine(Inference, Closing):
    """Computes the requests of many callers for many models, from threads and from coroutines.

    Rows of all requests for a model share batches of alike lengths; a request that comes to an idle engine is computed
    at once. An answer is the same as if its request had come alone. It is a context manager that closes itself.

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
        """Loads a package. Once it agrees on all its stored samples, it takes the requests that name no version.

        Until then, and where it fails them, the version before it goes on.

        Args:
            path: A package: a folder, or an ``.mlpkg`` file.
            name: What requests call it; ``None`` for the name of the package.
            version: Its version.
            backend: See ``inferox.load``, as for the arguments that follow.
            device: Where to load it.
            precision: The number format in which it computes.
            quality: How well it must agree with the original.
            task: What the numbers mean, where the package's own statement is to be overridden.
            compile: Whether to compile the model just in time, where the backend can.
            trust_code: Whether code that comes with the package may run.
            require_signature: A PEM file with the public key that the package must be signed with.
            start: ``best``, or ``fast`` to serve at once on the artifact that loads fastest, until the best, which is
                loaded in the background and computes all samples, takes over.
            shadow: Another artifact of the package, which computes a share of the requests again after they are
                answered; see ``Shadow``. ``stats`` says how far it is from the one that serves.
            canary: Another artifact, which answers a share of the requests until it fails or drifts too far; see
                ``Canary``.
            offers: Other artifacts, which a request may ask for by name; see ``infer``. Each takes memory.
            later: Given a function that loads the shadow and the canary, for the caller to call when it is time. What
                that raises changes nothing of what serves. ``None`` to load them before anything serves.

        Returns:
            What was loaded.

        Raises:
            InferoxError: See ``inferox.load``.
            ConfigError: If the name has this version already, or memory_limit_bytes leaves no room for it;
                if the shadow or the canary is the artifact that serves, or a canary lies in another embedding space.
            NoUsableBackendError: If no artifact agrees on its samples; it lists the reason for each.
            ShuttingDownError: If the engine is closed.
        """
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
        """Takes over a model that is loaded already, such as one around a ``Model`` class of your own.

        Args:
            model: The model; the engine closes it.
            name: What requests call it; ``None`` for its own name.
            version: Its version.

        Returns:
            What was registered.

        Raises:
            ConfigError: If the name has this version already.
            ShuttingDownError: If the engine is closed.
        """
        return self._describe(self._host.register(model, name, version, self._models))

    def label(self, name: str, label: str, version: str | None) -> None:
        """Makes a label stand for a version: requests may say it in place of one.

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
        """Removes a model, once the requests that it was given are answered.

        Args:
            name: Its name.
            version: Its version; ``None`` for all.
            drop_labels: Whether to remove the labels that stand for the version, too.

        Raises:
            ConfigError: If a label other than ``latest`` stands for the version, and is not to be removed.
            ModelNotFoundError: If there is no such model.
        """
        removed = self._models.remove(name, version, drop_labels=drop_labels)
        _close_all([*self._sessions.of(removed), *removed])

    def session(
        self, name: str, state: State, *, version: str | None = None, owner: str | None = None
    ) -> InferenceSession[State]:
        """Opens a session: a version of a model, and a state of your own from call to call.

        Args:
            name: The model.
            state: The state. Where it has a method ``close``, that is called when the session is closed.
            version: The version, or a label; ``None`` for the one that was loaded last. The session stays with it.
            owner: On whose behalf its requests are made.

        Returns:
            The session. It is closed with its version and with the engine, at the latest.

        Raises:
            ModelNotFoundError: If there is no such model.
            ShuttingDownError: If the engine is closed.
        """
        model = self._models.find(name, version)
        session = InferenceSession(model, state, owner=owner, on_close=self._sessions.discard)
        self._sessions.add(session)
        if model not in self._models.all():  # it was removed meanwhile: nobody else would close the session
            session.close()
        return session

    def models(self) -> list[ModelInfo]:
        """The models that are loaded, by name and version."""
        return [self._describe(runner) for runner in self._models.all()]

    def stats(self, name: str, version: str | None = None) -> ModelStats:
        """The statistics of a model, current and total.

        Args:
            name: The model.
            version: Its version, or a label; ``None`` for the one that was loaded last.

        Raises:
            ModelNotFoundError: If there is no such model.
        """
        return self._models.find(name, version).stats()

    def workers(self) -> list[WorkerInfo]:
        """The worker processes that are alive; empty if models are computed in this process."""
        return [*self._host.workers(), *self._trials.workers()]

    def restarts(self) -> Mapping[str, int]:
        """The number of worker processes that replaced one that had ended: ``worker``, ``sandbox`` and ``shadow``."""
        return {**self._host.restarts(), "shadow": self._trials.count_restarts()}

    def write_trace(self, path: str | Path) -> None:
        """Writes what took how long, in the format of Chrome's trace viewer: the last 100,000 events.

        Args:
            path: The file. One that exists is replaced.

        Raises:
            ConfigError: If the engine was not made with ``EngineConfig(profiling=True)``, or it cannot be written.
        """
        if self._host.trace is None:
            raise ConfigError("no trace was recorded", hint="make the engine with EngineConfig(profiling=True)")
        self._host.trace.write(Path(path))

    def close(self) -> None:
        """Takes no more requests, answers those that were taken, and closes every session and model.

        Closing twice does nothing.
        """
        removed = self._models.close()
        _close_all([*self._sessions.of(removed), *removed, self._trials, self._host])

    def _drop(self, model: ServedModel) -> None:
        with suppress(ModelNotFoundError):  # somebody has unloaded it
            self._models.remove(model.name, model.version, drop_labels=True)
        model.close()

    def _describe(self, model: ServedModel) -> ModelInfo:
        return replace(model.info(), labels=self._models.labels_of(model))


def _close_all(closing: Sequence[Closing]) -> None:
    """Closes each, whatever the others raise; what the first raised is raised at the end."""
    with ExitStack() as stack:
        for item in reversed(closing):
            stack.callback(item.close)
