"""The engine: models by name, and answers to the requests for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from inferox.core import Closing, ConfigError, DeviceId
from inferox.engine.answer import Answer
from inferox.engine.asking import aask_and_wait, ask, ask_and_wait
from inferox.engine.config import EngineConfig
from inferox.engine.host import open_host
from inferox.engine.model_info import ModelInfo
from inferox.engine.open_sessions import OpenSessions
from inferox.engine.registry import ModelRegistry
from inferox.engine.request import RequestOptions
from inferox.engine.served_model import ServedModel
from inferox.engine.session import InferenceSession
from inferox.engine.stats import ModelStats
from inferox.engine.streaming import stream_results
from inferox.engine.waiting import warn_of_cuts
from inferox.engine.worker_info import WorkerInfo

if TYPE_CHECKING:
    from inferox.loading import TaskModel

State = TypeVar("State")


class Engine(Closing):
    """Computes the requests of many callers for many models, from threads and from coroutines.

    Rows of all requests for a model share batches of alike lengths; a request that comes to an idle engine is computed
    at once. An answer is the same as if its request had come alone. It is a context manager that closes itself.

    Args:
        config: The settings; ``None`` for the defaults.
    """

    def __init__(self, config: EngineConfig | None = None) -> None:
        self._models = ModelRegistry()
        self._sessions = OpenSessions()
        self._host = open_host(config or EngineConfig())

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
        start: str = "best",
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
            start: ``best``, or ``fast`` to serve at once on the artifact that loads fastest, until the best, which is
                loaded in the background and computes all samples, takes over.

        Returns:
            What was loaded.

        Raises:
            InferoxError: See ``inferox.load``.
            ConfigError: If the name has this version already, or memory_limit_bytes leaves no room for it.
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
            "start": start,
        }
        return self._describe(self._host.load(str(path), name, version, options, self._models))

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

    def infer(
        self,
        name: str,
        items: Sequence[Any],
        *,
        version: str | None = None,
        prompt: str | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
        priority: int = 0,
        owner: str | None = None,
    ) -> Answer:
        """Computes a request, and waits for its answer.

        Args:
            name: The model.
            items: Texts, pairs, images, or named tensors, as the model's task takes them.
            version: The version, or a label; ``None`` for the one that was loaded last.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.
            truncate: What is done about texts that are longer than the model takes: ``error``, ``warn`` or ``cut``.
            deadline_s: Within how many seconds the answer is needed; ``None`` for no limit.
            priority: Lower numbers go first.
            owner: On whose behalf the request is made: owners get equal shares.

        Returns:
            The answer.

        Raises:
            RequestError: If an item cannot be computed; ``item`` of the error says which.
            OverloadedError: If too much waits already.
            DeadlineExceededError: If the answer is not ready in time, or cannot be.
            ShuttingDownError: If the engine or the model is being closed.
            BackendError: If the runtime fails because of one of the items.
        """
        options = RequestOptions(deadline_s, priority, owner, prompt, truncate)
        return ask_and_wait(self._finder(name, version), items, options)

    def infer_many(
        self, name: str, requests: Sequence[Sequence[Any]], *, version: str | None = None, owner: str | None = None
    ) -> list[Answer]:
        """Computes several requests at once; see ``infer``.

        Args:
            name: The model.
            requests: The items of each request.
            version: The version, or a label; ``None`` for the one that was loaded last.
            owner: On whose behalf the requests are made.

        Returns:
            The answers, in the order of the requests.

        Raises:
            InferoxError: What the first request fails with that does; see ``infer``.
        """
        options = RequestOptions(owner=owner)
        admitted: list[Future[Answer]] = []
        try:
            admitted.extend(ask(self._finder(name, version), items, options) for items in requests)
            answers = [future.result() for future in admitted]
        except BaseException:
            for future in admitted:
                future.cancel()
            raise
        for answer in answers:
            warn_of_cuts(answer, options, stacklevel=3)
        return answers

    def stream(
        self,
        name: str,
        items: Iterable[Any],
        *,
        version: str | None = None,
        prompt: str | None = None,
        truncate: str = "warn",
        owner: str | None = None,
        chunk: int = 256,
    ) -> Iterator[Any]:
        """Answers items as they come, in their order, with few of them in memory at a time.

        Args:
            name: The model.
            items: The items. No more are read than are needed to keep the model busy.
            version: The version, or a label; ``None`` for the one that was loaded last.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.
            truncate: What is done about texts that are longer than the model takes: ``error``, ``warn`` or ``cut``.
            owner: On whose behalf the items are computed.
            chunk: How many items are one request.

        Yields:
            The result of each item.

        Raises:
            InferoxError: As ``infer`` does; ``item`` of the error counts from the first item of all.
        """
        options = RequestOptions(owner=owner, prompt=prompt, truncate=truncate)
        # All of a stream is of one version, and so of one embedding space.
        pinned = self._models.find(name, version).version

        def admit(some: Sequence[Any]) -> Future[Answer]:
            return ask(self._finder(name, pinned), some, options)

        return stream_results(items, admit, options, chunk)

    async def ainfer(
        self,
        name: str,
        items: Sequence[Any],
        *,
        version: str | None = None,
        prompt: str | None = None,
        truncate: str = "warn",
        deadline_s: float | None = None,
        priority: int = 0,
        owner: str | None = None,
    ) -> Answer:
        """Computes a request; see ``infer``. Cancelling it drops those of its rows that are not computed yet."""
        options = RequestOptions(deadline_s, priority, owner, prompt, truncate)
        return await aask_and_wait(self._finder(name, version), items, options)

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
        """What a model is doing, and has done so far.

        Args:
            name: The model.
            version: Its version, or a label; ``None`` for the one that was loaded last.

        Raises:
            ModelNotFoundError: If there is no such model.
        """
        return self._models.find(name, version).stats()

    def workers(self) -> list[WorkerInfo]:
        """The worker processes that are alive; empty where models are computed in this process."""
        return self._host.workers()

    def write_trace(self, path: str | Path) -> None:
        """Writes what took how long, in the format of Chrome's trace viewer: the last 100,000 events.

        Args:
            path: The file. One that exists is replaced.

        Raises:
            ConfigError: If the engine was not made with ``EngineConfig(profiling=True)``, or it cannot be written.
        """
        if self._host.trace is None:
            raise ConfigError("nothing was noted", hint="make the engine with EngineConfig(profiling=True)")
        self._host.trace.write(Path(path))

    def close(self) -> None:
        """Takes no more requests, answers those that were taken, and closes every session and model.

        Closing twice does nothing.
        """
        removed = self._models.close()
        _close_all([*self._sessions.of(removed), *removed, self._host])

    def _finder(self, name: str, version: str | None) -> Callable[[], ServedModel]:
        return lambda: self._models.find(name, version)

    def _describe(self, model: ServedModel) -> ModelInfo:
        return replace(model.info(), labels=self._models.labels_of(model))


def _close_all(closing: Sequence[Closing]) -> None:
    """Closes each, whatever the others raise; what the first raised is raised at the end."""
    with ExitStack() as stack:
        for item in reversed(closing):
            stack.callback(item.close)
