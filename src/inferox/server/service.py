"""What the server does, whatever protocol asks for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from inferox.core import OverloadedError
from inferox.engine import Answer, Engine, ModelStats, WorkerInfo
from inferox.server.api_keys import current_owner
from inferox.server.call_options import CallOptions, current_artifact
from inferox.server.field_error import FieldError
from inferox.server.model_catalog import ModelCatalog
from inferox.server.request_record import current_record, note_answer
from inferox.tasks.activation import sigmoid
from inferox.tasks.token import Token

TEXT_TASKS = ("embed", "rerank", "classify", "token-classify")
"""The tasks whose models have a tokenizer."""


class Service(ModelCatalog):
    """Answers requests by an engine. One event loop uses it, but for what loads and unloads.

    Args:
        engine: What computes.
        timeout_s: How long a request may take before it is given up.

    Attributes:
        is_draining: Whether the server is about to end.
    """

    def __init__(self, engine: Engine, *, timeout_s: float) -> None:
        super().__init__(engine, timeout_s=timeout_s)
        self.is_draining = False

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
    def has_full(self) -> bool:
        """Whether a model has no room for more; owners that use less than their share of it still get theirs."""
        return any(self._congestions[name].is_full for name in self._models)

    def find_refusal(self, owner: str | None, tasks: Sequence[str] | None) -> OverloadedError | None:
        """The reason why a request would be refused now, whatever model of its tasks it is for.

        Args:
            owner: On whose behalf it is.
            tasks: The tasks that its model may have; ``None`` for any.

        Returns:
            The reason; ``None`` where a model would take it in, or there is none.
        """
        names = [name for name, info in self._models.items() if tasks is None or info.task in tasks]
        refusals = [self._congestions[name].find_refusal(owner) for name in names]
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
