"""What the server does, whatever protocol asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from inferox.core import (
    ConfigError,
    ModelNotFoundError,
    OverloadedError,
)
from inferox.engine import Answer, Engine, ModelInfo, ModelStats, WorkerInfo
from inferox.server.api_keys import current_owner
from inferox.server.call_options import CallOptions, current_artifact
from inferox.server.config import ModelSource, check_name
from inferox.server.congestion import Congestion
from inferox.server.field_error import FieldError
from inferox.server.request_record import current_record, note_answer, note_model
from inferox.tasks.activation import sigmoid
from inferox.tasks.token import Token

_LOADING_S = 1.0
"""After how long it is worth asking again for a model that is being loaded."""

TEXT_TASKS = ("embed", "rerank", "classify", "token-classify")
"""The tasks whose models have a tokenizer."""


class Service:
    """Answers requests by an engine. One event loop uses it, but for ``load``.

    Args:
        engine: What computes.
        timeout_s: How long a request may take before it is given up.

    Attributes:
        is_draining: Whether the server is about to end.
        sources: The packages of the models that were loaded, by name, those among them that are unloaded.
    """

    def __init__(self, engine: Engine, *, timeout_s: float) -> None:
        self.is_draining = False
        self._engine = engine
        self._timeout_s = timeout_s
        self._models: dict[str, ModelInfo] = {}
        self._versions: dict[str, int] = {}
        self._congestions: dict[str, Congestion] = {}
        self.sources: dict[str, ModelSource] = {}
        self._is_loaded = False

    def load(self, sources: Sequence[ModelSource]) -> None:
        """Loads the models, one after another. A thread of its own calls it; each answers as soon as it is there.

        Args:
            sources: The packages.

        Raises:
            InferoxError: If one of them cannot be loaded.
            ConfigError: If two have one name, or one has a name that requests cannot say.
        """
        for source in sources:
            info = self._engine.load(source.path, name=source.name, **source.options)
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
        info = self._engine.load(source.path, name=name, version=version, **source.options)
        self._add(info, source)
        if known is not None:
            self._engine.unload(name, known.version, drop_labels=True)
        return info

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

    def why_not_ready(self, name: str | None = None) -> str | None:
        """Why the server should be sent no requests; ``None`` where it should.

        Args:
            name: A model that is loaded, for which alone requests are meant; ``None`` for every model.
        """
        if self.is_draining:
            return "the server is shutting down"
        if name is None and not self._is_loaded:
            return "models are being loaded"
        workers = [worker for worker in self._engine.workers() if not worker.is_sandbox]
        needed = sorted(self._models) if name is None else [name]
        missing = [model for model in needed if not any(model in worker.models for worker in workers)]
        return f"no worker process can compute {', '.join(missing)}" if missing else None

    def workers(self) -> list[WorkerInfo]:
        """The worker processes that are alive."""
        return self._engine.workers()

    def restarts(self) -> Mapping[str, int]:
        """How many worker processes took the place of another one, by their kind."""
        return self._engine.restarts()

    def window(self, name: str) -> float:
        """How many items of a model may be under way; infinite until one came too late.

        Args:
            name: The model.
        """
        return self._congestions[name].window

    @property
    def is_full(self) -> bool:
        """Whether no model has room for more; owners that use less than their share of one still get theirs."""
        return bool(self._models) and all(self._congestions[name].is_full for name in self._models)

    def find_refusal(self, owner: str | None) -> OverloadedError | None:
        """Why a request would be refused now whatever model it is for; ``None`` where one would take it in.

        Args:
            owner: On whose behalf it is.
        """
        refusals = [self._congestions[name].find_refusal(owner) for name in self._models]
        found = [refusal for refusal in refusals if refusal is not None]
        if not found or len(found) < len(refusals):
            return None
        return min(found, key=lambda refusal: refusal.retry_after_s or 0)

    async def stats(self, name: str) -> ModelStats:
        """What a model is doing, and has done so far; workers are given a while to say it.

        Args:
            name: The model.

        Raises:
            ModelNotFoundError: If there is none of that name.
        """
        return await asyncio.to_thread(self._engine.stats, name)

    async def embed(
        self,
        name: str,
        texts: Sequence[Any],
        options: CallOptions,
        *,
        dimensions: int | None = None,
        dimensions_field: str = "dimensions",
    ) -> Answer:
        """Makes a vector of each text; see ``compute``.

        Args:
            name: The model.
            texts: The texts; or the token ids of each, where the options say so.
            options: What the request says beside them.
            dimensions: The length that the vectors are to have; ``None`` for their own.
            dimensions_field: The field of the request that says so.

        Returns:
            The answer, whose results are an array with a row for each text; float32.

        Raises:
            RequestError: If the model makes no vectors of that length.
            InferoxError: See ``compute``.
        """
        info = self.find(name, "embed")
        if dimensions is not None and dimensions != info.dimension:
            raise FieldError(
                dimensions_field,
                f"{name!r} makes vectors of {info.dimension:,} numbers, and its package allows no other length "
                f"than that, but {dimensions_field} is {dimensions}",
                hint=f"leave {dimensions_field} out",
            )
        answer = await self.compute(name, texts, options)
        return replace(answer, results=np.asarray(answer.results, dtype=np.float32))

    async def embed_tokens(self, name: str, texts: Sequence[str], options: CallOptions) -> Answer:
        """Makes a vector of each token of each text; see ``compute``.

        Returns:
            The answer, whose results are an array for each text; shape ``[tokens, hidden]``, float32.
        """
        self.find(name, "embed")
        return await self.compute(name, texts, replace(options, of_tokens=True))

    async def classify(self, name: str, items: Sequence[str | tuple[str, str]], options: CallOptions) -> Answer:
        """Scores the labels of texts, or of pairs of texts; see ``compute``.

        Returns:
            The answer, whose results are the labels of each, the best first: ``LabelScore``.
        """
        self.find(name, "classify")
        return await self.compute(name, items, options)

    async def score(self, name: str, pairs: Sequence[tuple[str, str]], options: CallOptions, *, raw: bool) -> Answer:
        """Scores how well the second text of each pair answers the first; see ``compute``.

        Args:
            name: The model.
            pairs: The pairs.
            options: What the request says beside them.
            raw: Whether scores are given as the model gives them (logits); otherwise they are from 0 to 1.

        Returns:
            The answer, whose results are a score for each pair, in their order: higher is better.
        """
        self.find(name, "rerank")
        answer = await self.compute(name, pairs, replace(options, unscaled=True))
        return answer if raw else replace(answer, results=sigmoid(np.asarray(answer.results)).tolist())

    async def tokenize(
        self, name: str, texts: Sequence[str], *, prompt: str | None, add_special_tokens: bool
    ) -> list[list[Token]]:
        """Divides texts into tokens; see ``Engine.atokenize``.

        Raises:
            InferoxError: See ``Engine.atokenize``.
        """
        self.find(name)
        return await self._engine.atokenize(
            name, texts, prompt=prompt, add_special_tokens=add_special_tokens, deadline_s=self._timeout_s
        )

    async def detokenize(self, name: str, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> list[str]:
        """Makes texts of tokens; see ``Engine.adetokenize``.

        Raises:
            InferoxError: See ``Engine.adetokenize``.
        """
        self.find(name)
        return await self._engine.adetokenize(
            name, ids, skip_special_tokens=skip_special_tokens, deadline_s=self._timeout_s
        )

    async def compute(self, name: str, items: Sequence[Any], options: CallOptions) -> Answer:
        """Computes items, as the task of the model takes them. Cancelling it drops what is not computed yet.

        Args:
            name: The model.
            items: The items.
            options: What the request says beside them.

        Raises:
            RequestError: If it cannot be computed.
            DeadlineExceededError: If it takes too long.
            OverloadedError: If too much waits for it to be computed in time.
            InferoxError: See ``Engine.ainfer``.
        """
        self.find(name)
        timeout_s = min(self._timeout_s, options.timeout_s or self._timeout_s)
        owner = current_owner.get()
        with self._congestions[name].admit(len(items), owner, timeout_s):
            answer = await self._engine.ainfer(
                name,
                items,
                version=options.version,
                prompt=options.prompt,
                truncate="cut" if options.cut else "error",
                deadline_s=timeout_s,
                priority=options.priority,
                truncation_side=options.truncation_side,
                unscaled=options.unscaled,
                owner=owner,
                of_tokens=options.of_tokens,
                token_ids=options.token_ids,
                artifact=current_artifact.get() if options.artifact is None else options.artifact,
                request_id=None if (record := current_record.get()) is None else record.id,
            )
        note_answer(answer, len(items))
        return answer
