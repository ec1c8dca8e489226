"""The engine: models by name, and answers to the requests for them."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

from inferox.core import Closing, DeviceId, ShuttingDownError
from inferox.engine.answer import Answer
from inferox.engine.config import EngineConfig
from inferox.engine.memory_budget import MemoryBudget
from inferox.engine.model_info import ModelInfo
from inferox.engine.registry import ModelRegistry
from inferox.engine.request import Request, RequestOptions
from inferox.engine.runner import ModelRunner
from inferox.engine.stats import ModelStats
from inferox.engine.streaming import stream_results
from inferox.engine.turns import Turns
from inferox.engine.waiting import expire, wait_for_answer
from inferox.loading import PlannedLoad, TaskModel, plan_load


class Engine(Closing):
    """Computes the requests of many callers for many models, from threads and from coroutines.

    Rows of all requests for a model share batches of alike lengths; a request that comes to an idle engine is computed
    at once. An answer is the same as if its request had come alone. It is a context manager that closes itself.

    Args:
        config: The settings; ``None`` for the defaults.
    """

    def __init__(self, config: EngineConfig | None = None) -> None:
        self._config = config or EngineConfig()
        self._models = ModelRegistry()
        self._memory = MemoryBudget(self._config.memory_limit_bytes)
        self._lock = Lock()
        self._turns: defaultdict[DeviceId, Turns] = defaultdict(Turns)

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
        planned = plan_load(
            path,
            backend,
            device,
            precision,
            quality=quality,
            task=task,
            threads=self._config.threads,
            compile=compile,
            trust_code=trust_code,
            all_samples=True,
            start=start,
        )
        name = name or planned.name
        with self._models.claim(name, version), self._memory.reserve(planned.size_bytes):
            loaded = planned.load()
            try:
                return self._add(loaded, name, version, planned)
            except BaseException:
                loaded.close()
                raise

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
        name, size_bytes = name or model.name, model.model.memory_requirements().weights_bytes
        with self._models.claim(name, version), self._memory.reserve(size_bytes):
            return self._add(model, name, version)

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
        _close_all(self._models.remove(name, version, drop_labels=drop_labels))

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
        return wait_for_answer(*self._admit(name, version, items, options, take=ModelRunner.compute))

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
        admitted: list[tuple[ModelRunner, Request]] = []
        try:
            admitted.extend(self._admit(name, version, items, options, take=ModelRunner.submit) for items in requests)
            return [wait_for_answer(runner, request) for runner, request in admitted]
        except BaseException:
            for _, request in admitted:
                request.future.cancel()
            raise

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

        def admit(some: Sequence[Any]) -> Future[Any]:
            return self._admit(name, pinned, some, options, take=ModelRunner.submit)[1].future

        return stream_results(items, admit, chunk)

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
        options, arrived_s = RequestOptions(deadline_s, priority, owner, prompt, truncate), time.monotonic()
        request: Request | None = None
        try:
            async with asyncio.timeout(deadline_s):
                while True:
                    runner = self._models.find(name, version)
                    request = await runner.requests.amake(items, options, arrived_s)
                    try:
                        runner.submit(request)
                    except ShuttingDownError:
                        continue  # see _admit
                    return runner.to_answer(request, await asyncio.wrap_future(request.future))
        except TimeoutError:
            raise expire(options, request) from None

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

    def close(self) -> None:
        """Takes no more requests, answers those that were taken, and closes every model. Closing twice does nothing."""
        _close_all(self._models.close())

    def _admit(
        self,
        name: str,
        version: str | None,
        items: Sequence[Any],
        options: RequestOptions,
        *,
        take: Callable[[ModelRunner, Request], None],
    ) -> tuple[ModelRunner, Request]:
        """Gives a request to the version that it asks for, which answers all of it."""
        arrived_s = time.monotonic()
        while True:
            runner = self._models.find(name, version)
            request = runner.requests.make(items, options, arrived_s)
            try:
                take(runner, request)
            except ShuttingDownError:
                continue  # the version was removed in the meantime; another may have taken its place
            return runner, request

    def _add(self, loaded: TaskModel, name: str, version: str, planned: PlannedLoad | None = None) -> ModelInfo:
        runner = ModelRunner(
            name, version, loaded, self._config, turns=self._turns_on, memory=self._memory, planned=planned
        )
        try:
            self._models.add(runner)
        except BaseException:
            runner.close()
            raise
        return self._describe(runner)

    def _turns_on(self, device: DeviceId) -> Turns:
        with self._lock:
            return self._turns[device]

    def _describe(self, runner: ModelRunner) -> ModelInfo:
        return replace(runner.info(), labels=self._models.labels_of(runner))


def _close_all(runners: Sequence[ModelRunner]) -> None:
    """Closes each, whatever the others raise; what the first raised is raised at the end."""
    with ExitStack() as stack:
        for runner in reversed(runners):
            stack.callback(runner.close)
