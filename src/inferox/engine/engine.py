"""The engine: models by name, and answers to the requests for them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from inferox.core import Closing, ConfigError, DeadlineExceededError, DeviceId, ModelNotFoundError, ShuttingDownError
from inferox.engine.config import EngineConfig
from inferox.engine.request import Request, RequestOptions
from inferox.engine.runner import Answer, ModelRunner
from inferox.engine.stats import ModelStats
from inferox.engine.turns import Turns
from inferox.loading import TaskModel, load


@dataclass(frozen=True)
class ModelInfo:
    """A model that an engine has loaded.

    Attributes:
        name: Its name in the engine.
        version: Its version.
        task: What its numbers mean, such as ``embed``.
        artifact: The artifact that computes it.
        device: Where it computes.
        embedding_space: The id of the space in which its vectors lie; ``None`` where that is not known.
    """

    name: str
    version: str
    task: str
    artifact: str
    device: DeviceId
    embedding_space: str | None


class Engine(Closing):
    """Computes the requests of many callers for many models, from threads and from coroutines.

    Rows of all requests for a model share batches of alike lengths; a request that comes to an idle engine is computed
    at once. An answer is the same as if its request had come alone. It is a context manager that closes itself.

    Args:
        config: The settings; ``None`` for the defaults.
    """

    def __init__(self, config: EngineConfig | None = None) -> None:
        self._config = config or EngineConfig()
        self._lock = Lock()
        self._versions: dict[str, dict[str, ModelRunner]] = {}
        self._turns: defaultdict[DeviceId, Turns] = defaultdict(Turns)
        self._is_closed = False

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
    ) -> ModelInfo:
        """Loads a package. A version that is loaded later takes the requests that name none.

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

        Returns:
            What was loaded.

        Raises:
            InferoxError: See ``inferox.load``.
            ConfigError: If the name has this version already.
            ShuttingDownError: If the engine is closed.
        """
        self._refuse_if_closed()
        loaded = load(
            path,
            backend,
            device,
            precision,
            quality=quality,
            task=task,
            threads=self._config.threads,
            compile=compile,
            trust_code=trust_code,
        )
        try:
            return self._add(loaded, name or loaded.name, version)
        except BaseException:
            loaded.close()
            raise

    def register(self, model: TaskModel, *, name: str | None = None, version: str = "1") -> ModelInfo:
        """Takes over a model that is loaded already, such as one whose ``Model`` is a class of one's own.

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
        return self._add(model, name or model.name, version)

    def unload(self, name: str, version: str | None = None) -> None:
        """Takes a model out, once the requests that it was given are answered.

        Args:
            name: Its name.
            version: Its version; ``None`` for all.

        Raises:
            ModelNotFoundError: If there is no such model.
        """
        with self._lock:
            runners = self._find_all(name, version)
            for runner in runners:
                del self._versions[name][runner.version]
            if not self._versions[name]:
                del self._versions[name]
        for runner in runners:
            runner.close()

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
            version: The version; ``None`` for the one that was loaded last.
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
            DeadlineExceededError: If the answer is not there in time, or cannot be.
            ShuttingDownError: If the engine or the model is being closed.
            BackendError: If the runtime fails because of one of the items.
        """
        options = RequestOptions(deadline_s, priority, owner)

        def make(runner: ModelRunner) -> Request:
            return runner.make_request(items, options, prompt=prompt, truncate=truncate)

        runner, request = self._admit(name, version, make, ModelRunner.compute)
        try:
            results = request.future.result(_left_s(request))
        except TimeoutError:
            raise _expire(request) from None
        except CancelledError:
            raise ShuttingDownError("the engine was closed before the answer was there") from None
        return runner.to_answer(request, results)

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
        """Computes a request; see ``infer``. Whoever cancels it gives up its rows that are not computed yet."""
        options = RequestOptions(deadline_s, priority, owner)

        def make(runner: ModelRunner) -> Request:
            return runner.make_request(items, options, prompt=prompt, truncate=truncate)

        runner, request = self._admit(name, version, make, ModelRunner.submit)
        try:
            results = await asyncio.wait_for(asyncio.wrap_future(request.future), _left_s(request))
        except TimeoutError:
            raise _expire(request) from None
        return runner.to_answer(request, results)

    def models(self) -> list[ModelInfo]:
        """What is loaded, by name and version."""
        with self._lock:
            runners = [runner for _, versions in sorted(self._versions.items()) for runner in versions.values()]
        return [_describe(runner) for runner in runners]

    def stats(self, name: str, version: str | None = None) -> ModelStats:
        """What a model does at the moment, and has done.

        Args:
            name: The model.
            version: Its version; ``None`` for the one that was loaded last.

        Raises:
            ModelNotFoundError: If there is no such model.
        """
        return self._find(name, version).stats()

    def close(self) -> None:
        """Takes no more requests, answers those that were taken, and closes every model. Closing twice does nothing."""
        with self._lock:
            self._is_closed = True
            runners = [runner for versions in self._versions.values() for runner in versions.values()]
            self._versions = {}
        for runner in runners:
            runner.close()

    def _admit(
        self,
        name: str,
        version: str | None,
        make: Callable[[ModelRunner], Request],
        take: Callable[[ModelRunner, Request], None],
    ) -> tuple[ModelRunner, Request]:
        """Gives a request to the version that it asks for, which answers all of it."""
        while True:
            runner = self._find(name, version)
            request = make(runner)
            try:
                take(runner, request)
            except ShuttingDownError:
                continue  # the version was taken out in the meantime, and another has taken its place, or none
            return runner, request

    def _add(self, loaded: TaskModel, name: str, version: str) -> ModelInfo:
        with self._lock:
            self._refuse_if_closed()
            versions = self._versions.setdefault(name, {})
            if version in versions:
                raise ConfigError(f"{name!r} has the version {version!r} already", hint="unload it, or name another")
            turns = self._turns[loaded.metadata.device]
            versions[version] = runner = ModelRunner(name, version, loaded, self._config, turns)
        return _describe(runner)

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise ShuttingDownError("the engine is closed", hint="make a new one")

    def _find(self, name: str, version: str | None) -> ModelRunner:
        with self._lock:
            self._refuse_if_closed()
            return self._find_all(name, version)[-1]

    def _find_all(self, name: str, version: str | None) -> list[ModelRunner]:
        versions = self._versions.get(name, {})
        found = [runner for runner in versions.values() if version in {None, runner.version}]
        if not found:
            wanted, known = f"{name} {version}" if versions else name, list(versions or self._versions)
            there = f"there are {', '.join(sorted(known))}" if known else "nothing is loaded"
            raise ModelNotFoundError(f"no model {wanted!r} is loaded", hint=there)
        return found


def _left_s(request: Request) -> float | None:
    if request.options.deadline_s is None:
        return None
    return max(0.0, request.deadline_s - time.monotonic())


def _expire(request: Request) -> DeadlineExceededError:
    error = DeadlineExceededError(
        f"the answer was not there within {request.options.deadline_s} s", hint="allow more time, or send less at once"
    )
    request.fail(error)
    return error


def _describe(runner: ModelRunner) -> ModelInfo:
    metadata = runner.loaded.metadata
    return ModelInfo(
        runner.name,
        runner.version,
        runner.loaded.task.name,
        metadata.artifact,
        metadata.device,
        metadata.embedding_space,
    )
