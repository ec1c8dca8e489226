"""The service behind all protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from inferox.core import ModelNotFoundError, OverloadedError
from inferox.core.raising import raise_any
from inferox.engine import Answer, Engine, ModelInfo, ModelStats, WorkerInfo
from inferox.server.api_keys import current_owner
from inferox.server.call_options import CallOptions, current_artifact
from inferox.server.field_error import FieldError
from inferox.server.model_catalog import ModelCatalog
from inferox.server.request_record import current_record, note_answer
from inferox.server.vectors import cut_answer
from inferox.tasks.activation import sigmoid
from inferox.tasks.token import Token

TEXT_TASKS = ("embed", "rerank", "classify", "token-classify")
"""The tasks whose models have a tokenizer."""

MOST_NUMBERS = 2**24
"""The most numbers of an answer with the vectors of tokens: 64 MiB, and some 350 MB as JSON."""


class Service(ModelCatalog):
    """Answers requests with an engine. To be used from one event loop, except for loading and unloading.

    Args:
        engine: Computes the models.
        timeout_s: The time after which a request is given up.

    Attributes:
        is_draining: Whether the server is shutting down.
    """

    def __init__(self, engine: Engine, *, timeout_s: float) -> None:
        super().__init__(engine, timeout_s=timeout_s)
        self.is_draining = False

    def why_not_ready(self, name: str | None = None) -> str | None:
        """Returns why the server is not ready for requests; ``None`` if it is.

        Args:
            name: A loaded model, to check for it alone; ``None`` for every model.
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
        """Returns the worker processes that are alive."""
        return self._engine.workers()

    def restarts(self) -> Mapping[str, int]:
        """Returns the number of worker processes that replaced another one, by kind."""
        return self._engine.restarts()

    def window(self, name: str) -> float:
        """Returns the number of items of a model that may be in progress; infinite until a request is late.

        Args:
            name: The model.
        """
        return self._congestions[name].window

    @property
    def has_full(self) -> bool:
        """True if some model has no room for more; owners that use less than their share of it still get theirs."""
        return any(self._congestions[name].is_full for name in self._models)

    def find_refusal(
        self, owner: str | None, tasks: Sequence[str] | None, model: str | None = None
    ) -> OverloadedError | None:
        """Returns the error with which a request would be refused now, whichever model of its tasks it is for.

        Args:
            owner: The owner on whose behalf it is made.
            tasks: The tasks that its model may have; ``None`` for any.
            model: The name of its model; ``None`` if that is not known.

        Returns:
            The error; ``None`` if one of the models would admit it, or there is no such model.
        """
        known = self._models
        asked = known.items() if model is None else [(model, known[model])] if model in known else []
        names = [name for name, info in asked if tasks is None or info.task in tasks]
        refusals = [self._congestions[name].find_refusal(owner) for name in names]
        found = [refusal for refusal in refusals if refusal is not None]
        if not found or len(found) < len(refusals):
            return None
        return min(found, key=lambda refusal: refusal.retry_after_s or 0)

    def refuse_if_full(self, tasks: Sequence[str] | None, model: str | None = None) -> None:
        """Refuses the request being answered, if that is certain before all of it is read.

        Args:
            tasks: See ``find_refusal``.
            model: See ``find_refusal``.

        Raises:
            OverloadedError: If no model that could compute it has room.
        """
        raise_any(self.find_refusal(current_owner.get(), tasks, model))

    async def stats(self, name: str) -> ModelStats:
        """Returns the statistics of a model; workers are given a moment to report theirs.

        Args:
            name: The model.

        Raises:
            ModelNotFoundError: If there is none of that name.
        """
        return await asyncio.to_thread(self._engine.stats, name)

    async def stats_of_all(self) -> list[tuple[ModelInfo, ModelStats]]:
        """Returns the loaded models, sorted by name, with their statistics; without those unloaded in the meantime."""
        infos = self.models()
        found = await asyncio.gather(*(self.stats(info.name) for info in infos), return_exceptions=True)
        known = []
        for info, stats in zip(infos, found, strict=True):
            if isinstance(stats, BaseException):
                if not isinstance(stats, ModelNotFoundError):
                    raise stats
            else:
                known.append((info, stats))
        return known

    async def embed(
        self,
        name: str,
        texts: Sequence[Any],
        options: CallOptions,
        *,
        dimensions: int | None = None,
        dimensions_field: str = "dimensions",
    ) -> Answer:
        """Embeds texts; see ``compute``.

        Args:
            name: The model.
            texts: The texts; or the token ids of each, if the options say so.
            options: The options of the request.
            dimensions: The required length of the vectors; ``None`` for the model's own.
            dimensions_field: The field of the request with that length, for errors.

        Returns:
            The answer, whose results are a float32 array of shape ``[texts, dimension]``.

        Raises:
            RequestError: If the model does not make vectors of that length, and they may not be cut to it.
            InferoxError: See ``compute``.
        """
        info = self.find(name, "embed")
        is_cut = dimensions is not None and dimensions != info.dimension
        if is_cut and dimensions not in info.matryoshka_dims:
            allowed = ", ".join(map(str, info.matryoshka_dims))
            raise FieldError(
                dimensions_field,
                f"{name!r} makes vectors of {info.dimension} numbers, and its package allows "
                f"{f'only {allowed} beside that' if allowed else 'no other length'}, but {dimensions_field} is "
                f"{dimensions}",
                hint=f"leave {dimensions_field} out",
            )
        answer = await self.compute(name, texts, options)
        answer = replace(answer, results=np.asarray(answer.results, dtype=np.float32))
        return answer if dimensions is None or not is_cut else cut_answer(answer, dimensions)

    async def embed_tokens(self, name: str, texts: Sequence[str], options: CallOptions) -> Answer:
        """Embeds each token of each text; see ``compute``.

        Returns:
            The answer, whose results are a float32 array of shape ``[tokens, hidden]`` for each text.

        Raises:
            RequestError: If they are more numbers than an answer may have.
            InferoxError: See ``compute``.
        """
        self.find(name, "embed")
        answer = await self.compute(name, texts, replace(options, of_tokens=True))
        if (count := sum(vectors.size for vectors in answer.results)) > MOST_NUMBERS:
            raise FieldError(
                None,
                f"the vectors of all tokens are {count:,} numbers, but an answer may have {MOST_NUMBERS:,}",
                hint="send fewer or shorter texts at a time",
            )
        return answer

    async def classify(self, name: str, items: Sequence[str | tuple[str, str]], options: CallOptions) -> Answer:
        """Scores the labels of texts, or of pairs of texts; see ``compute``.

        Returns:
            The answer, whose results are the labels of each item, the best first: ``LabelScore``.
        """
        self.find(name, "classify")
        return await self.compute(name, items, options)

    async def score(self, name: str, pairs: Sequence[tuple[str, str]], options: CallOptions, *, raw: bool) -> Answer:
        """Scores how well the second text of each pair answers the first; see ``compute``.

        Args:
            name: The model.
            pairs: The pairs.
            options: The options of the request.
            raw: Whether to return the logits of the model instead of scores from 0 to 1.

        Returns:
            The answer, whose results are a score for each pair, in order: higher is better.
        """
        self.find(name, "rerank")
        answer = await self.compute(name, pairs, replace(options, unscaled=True))
        return answer if raw else replace(answer, results=sigmoid(np.asarray(answer.results)).tolist())

    async def tokenize(
        self, name: str, texts: Sequence[str], *, prompt: str | None, add_special_tokens: bool
    ) -> list[list[Token]]:
        """Splits texts into tokens; see ``Engine.atokenize``.

        Raises:
            InferoxError: See ``Engine.atokenize``.
        """
        self.find(name)
        return await self._engine.atokenize(
            name, texts, prompt=prompt, add_special_tokens=add_special_tokens, deadline_s=self.timeout_s
        )

    async def detokenize(self, name: str, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> list[str]:
        """Decodes token ids to texts; see ``Engine.adetokenize``.

        Raises:
            InferoxError: See ``Engine.adetokenize``.
        """
        self.find(name)
        return await self._engine.adetokenize(
            name, ids, skip_special_tokens=skip_special_tokens, deadline_s=self.timeout_s
        )

    async def compute(self, name: str, items: Sequence[Any], options: CallOptions) -> Answer:
        """Computes items of the model's task. Cancelling it drops what is not computed yet.

        Args:
            name: The model.
            items: The items.
            options: The options of the request.

        Raises:
            RequestError: If they cannot be computed.
            DeadlineExceededError: If it takes too long.
            OverloadedError: If too much is waiting for it to be computed in time.
            InferoxError: See ``Engine.ainfer``.
        """
        self.find(name)
        timeout_s = min(self.timeout_s, options.timeout_s or self.timeout_s)
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
