"""A model with trials beside its artifact."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from threading import Lock
from typing import Any

from inferox.core import InferoxError, ShuttingDownError
from inferox.engine.answer import Answer
from inferox.engine.items import to_items
from inferox.engine.model_info import ModelInfo
from inferox.engine.request import RequestOptions
from inferox.engine.served_model import ServedModel
from inferox.engine.stats import ModelStats
from inferox.engine.trials.canary_call import CanaryCall
from inferox.engine.trials.canary_trial import CanaryTrial
from inferox.engine.trials.shadow_trial import ShadowTrial
from inferox.tasks.token import Token


class TrialedModel(ServedModel):
    """A model with other artifacts on trial beside its own, once they are loaded. It closes all of them.

    Args:
        serving: The serving model, which also computes all requests that select an artifact by name.
    """

    def __init__(self, serving: ServedModel) -> None:
        self.name, self.version = serving.name, serving.version
        self._serving = serving
        self._shadow: ShadowTrial | None = None
        self._canary: CanaryTrial | None = None
        self._lock = Lock()
        self._is_closed = False

    def begin(self, shadow: ShadowTrial | None, canary: CanaryTrial | None) -> None:
        """Begins the trials.

        Args:
            shadow: The shadow; ``None`` for none.
            canary: The canary; ``None`` for none.

        Raises:
            ShuttingDownError: If the model was closed in the meantime.
        """
        with self._lock:
            if self._is_closed:
                raise ShuttingDownError(f"{self.name!r} was unloaded before anything was tried beside it")
            self._shadow, self._canary = shadow, canary

    def check_artifact(self, artifact: str) -> None:
        """Refuses an artifact that is not offered; see ``ServedModel``."""
        self._serving.check_artifact(artifact)

    def ask(
        self, items: Sequence[Any], options: RequestOptions, arrived_s: float, *, is_patient: bool = False
    ) -> Future[Answer]:
        """Accepts a request; see ``ServedModel``."""
        if options.artifact is not None:
            return self._serving.ask(items, options, arrived_s, is_patient=is_patient)
        given = to_items(items)
        if self._canary is None or not self._canary.takes(given, options):
            return self._follow(given, options, self._serving.ask(given, options, arrived_s, is_patient=is_patient))
        call = self._call(self._canary, given, options, arrived_s)
        try:
            call.follow(self._canary.model.ask(given, options, arrived_s, is_patient=is_patient))
        except InferoxError as error:
            call.follow_serving(self._serving.ask(given, options, arrived_s, is_patient=is_patient), error)
        return call.future

    async def aask(self, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> Future[Answer]:
        """Accepts a coroutine's request; see ``ServedModel``."""
        if options.artifact is not None:
            return await self._serving.aask(items, options, arrived_s)
        given = to_items(items)
        if self._canary is None or not self._canary.takes(given, options):
            return self._follow(given, options, await self._serving.aask(given, options, arrived_s))
        call = self._call(self._canary, given, options, arrived_s)
        try:
            call.follow(await self._canary.model.aask(given, options, arrived_s))
        except InferoxError as error:
            call.follow_serving(await self._serving.aask(given, options, arrived_s), error)
        return call.future

    def tokenize(
        self, texts: Sequence[str], *, prompt: str | None, add_special_tokens: bool
    ) -> Future[list[list[Token]]]:
        """Splits texts into tokens; see ``ServedModel``."""
        return self._serving.tokenize(texts, prompt=prompt, add_special_tokens=add_special_tokens)

    def detokenize(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> Future[list[str]]:
        """Decodes tokens to texts; see ``ServedModel``."""
        return self._serving.detokenize(ids, skip_special_tokens=skip_special_tokens)

    def info(self) -> ModelInfo:
        """Describes the serving artifact and its trials; see ``ServedModel``."""
        return replace(self._serving.info(), trials=tuple(trial.stats.info for trial in self._trials))

    def stats(self) -> ModelStats:
        """Returns the statistics of the serving artifact and its trials; see ``ServedModel``."""
        return replace(self._serving.stats(), trials=tuple(trial.stats for trial in self._trials))

    def close(self) -> None:
        """Stops accepting requests, waits until those accepted are answered, and closes all artifacts."""
        with self._lock:
            self._is_closed = True
        with ExitStack() as stack:
            stack.callback(self._serving.close)
            for trial in self._trials:
                stack.callback(trial.close)

    @property
    def _trials(self) -> list[ShadowTrial | CanaryTrial]:
        return [trial for trial in (self._shadow, self._canary) if trial is not None]

    def _follow(self, items: Sequence[Any], options: RequestOptions, future: Future[Answer]) -> Future[Answer]:
        if self._shadow is not None:
            self._shadow.follow(items, options, future)
        return future

    def _call(self, canary: CanaryTrial, items: Sequence[Any], options: RequestOptions, arrived_s: float) -> CanaryCall:
        return CanaryCall(
            canary,
            items,
            options,
            ask_serving=lambda: self._serving.ask(items, options, arrived_s),
            # The artifact is served under an internal name, which callers must not see.
            finish=lambda answer: replace(answer, model=self.name, version=self.version),
        )
