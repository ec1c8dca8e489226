"""Inference by model name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from secrets import token_hex
from typing import Any, TypeVar

from inferox.core import DeadlineExceededError, InferoxError
from inferox.engine.answer import Answer
from inferox.engine.asking import aask_and_wait, ask, ask_and_wait
from inferox.engine.registry import ModelRegistry
from inferox.engine.request import RequestOptions
from inferox.engine.served_model import ServedModel
from inferox.engine.streaming import stream_results
from inferox.tasks.given_items import iterate_items, refuse_single
from inferox.tasks.token import Token
from inferox.tasks.truncation import CutTotals

Value = TypeVar("Value")


class Inference:
    """Computes requests for models by name, from threads and from coroutines.

    Args:
        models: The models.
    """

    def __init__(self, models: ModelRegistry) -> None:
        self._models = models

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
        truncation_side: str | None = None,
        unscaled: bool = False,
        of_tokens: bool = False,
        token_ids: bool = False,
        request_id: str | None = None,
        artifact: str | None = None,
    ) -> Answer:
        """Computes a request, and waits for its answer.

        Args:
            name: The model.
            items: Texts, pairs, images, or named tensors, as the model's task takes them.
            version: The version, or a label; ``None`` for the one that was loaded last.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.
            truncate: The treatment of texts that are longer than the model takes: ``error``, ``warn`` or ``cut``.
            deadline_s: The seconds within which the answer is needed; ``None`` for no limit.
            priority: Lower numbers go first.
            owner: The owner of the request: owners get equal shares.
            truncation_side: The side on which longer texts are cut: ``left`` or ``right``; ``None`` for the model's
                own.
            unscaled: Whether to return scores before their activation (logits), and vectors before they are scaled to
                unit length. Such vectors have no embedding space.
            of_tokens: Whether an embedding model returns the vectors of single tokens, as the model computes them: for
                each text, an array of shape ``[tokens, hidden]``, float32. They have no embedding space.
            token_ids: Whether the items for an embedding model are lists of token ids in place of texts, as its own
                tokenizer makes them, including special tokens. Nothing is added to them.
            request_id: The id of the request, which decides whether a shadow or a canary gets it. ``None`` for no id;
                they get their share of those, too.
            artifact: The artifact that computes it, among those that ``Engine.load`` was told to offer, such as
                ``openvino:int8``; ``None`` for the serving one. No other takes over if it fails.

        Returns:
            The answer.

        Raises:
            RequestError: If an item cannot be computed; the error's ``item`` is its index.
            OverloadedError: If the queue is full.
            DeadlineExceededError: If the answer is not ready in time, or cannot be.
            ShuttingDownError: If the engine or the model is being closed.
            BackendError: If the runtime fails on one of the items.
        """
        options = RequestOptions(
            deadline_s,
            priority,
            owner,
            prompt,
            truncate,
            truncation_side,
            unscaled,
            of_tokens,
            request_id,
            token_ids,
            artifact,
        )
        return ask_and_wait(self._finder(name, version, artifact), items, options)

    def infer_many(
        self, name: str, requests: Sequence[Sequence[Any]], *, version: str | None = None, owner: str | None = None
    ) -> list[Answer]:
        """Computes several requests concurrently; see ``infer``.

        Args:
            name: The model.
            requests: The items of each request.
            version: The version, or a label; ``None`` for the one that was loaded last.
            owner: The owner of the requests.

        Returns:
            The answers, in the order of the requests.

        Raises:
            InferoxError: The error of the first request that fails; see ``infer``. A note says which one that is.
        """
        refuse_single(requests, "a list of requests")
        options = RequestOptions(owner=owner)
        admitted, answers, place = list[Future[Answer]](), list[Answer](), 0
        try:
            for place, items in enumerate(iterate_items(requests)):  # noqa: B007 - an error says which one it was
                admitted.append(ask(self._finder(name, version), items, options))
            for place in range(len(admitted)):
                answers.append(admitted[place].result())
        except BaseException as error:
            if isinstance(error, InferoxError):
                error.add_note(f"in request {place}, counted from 0")
            while admitted:  # one has the error, whose traceback has this frame: a cycle of garbage
                admitted.pop().cancel()
            raise
        totals = CutTotals()
        for answer in answers:
            totals.add(answer.cut_tokens)
        totals.warn()
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
        """Computes items lazily and in order, with only a few in memory at a time.

        Args:
            name: The model.
            items: The items. No more are read than needed to keep the model busy.
            version: The version, or a label; ``None`` for the one that was loaded last.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.
            truncate: The treatment of texts that are longer than the model takes: ``error``, ``warn`` or ``cut``. A
                stream warns once, at its end, of all its texts that were cut.
            owner: The owner of the requests.
            chunk: The number of items per request.

        Yields:
            The result of each item.

        Raises:
            InferoxError: As for ``infer``; the error's ``item`` counts from the first item of the stream.
        """
        # A whole stream is computed by one version and one artifact, and so has one embedding space.
        options = RequestOptions(
            owner=owner, prompt=prompt, truncate=truncate, request_id=token_hex(), is_one_of_many=True
        )
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
        truncation_side: str | None = None,
        unscaled: bool = False,
        of_tokens: bool = False,
        token_ids: bool = False,
        request_id: str | None = None,
        artifact: str | None = None,
    ) -> Answer:
        """Computes a request; see ``infer``. Cancelling it drops its rows that are not computed yet."""
        options = RequestOptions(
            deadline_s,
            priority,
            owner,
            prompt,
            truncate,
            truncation_side,
            unscaled,
            of_tokens,
            request_id,
            token_ids,
            artifact,
        )
        return await aask_and_wait(self._finder(name, version, artifact), items, options)

    async def atokenize(
        self,
        name: str,
        texts: Sequence[str],
        *,
        version: str | None = None,
        prompt: str | None = None,
        add_special_tokens: bool = True,
        deadline_s: float | None = None,
    ) -> list[list[Token]]:
        """Splits texts into tokens as the model does, without truncation.

        Args:
            name: The model.
            texts: The texts.
            version: The version, or a label; ``None`` for the one that was loaded last.
            prompt: The name of the prompt to put before each text; ``None`` for the model's default.
            add_special_tokens: Whether to include the tokens that the tokenizer adds.
            deadline_s: The seconds within which they are needed; ``None`` for no limit.

        Returns:
            The tokens of each text.

        Raises:
            RequestError: If the model takes no texts, or one cannot be tokenised.
            DeadlineExceededError: If they are not ready in time.
            InferoxError: If the tokenizer or its worker fails.
        """
        model = self._models.find(name, version)
        return await _wait(model.tokenize(texts, prompt=prompt, add_special_tokens=add_special_tokens), deadline_s)

    async def adetokenize(
        self,
        name: str,
        ids: Sequence[Sequence[int]],
        *,
        version: str | None = None,
        skip_special_tokens: bool = True,
        deadline_s: float | None = None,
    ) -> list[str]:
        """Decodes tokens to texts.

        Args:
            name: The model.
            ids: The tokens of each text.
            version: The version, or a label; ``None`` for the one that was loaded last.
            skip_special_tokens: Whether to leave out the tokens that the tokenizer adds.
            deadline_s: The seconds within which they are needed; ``None`` for no limit.

        Raises:
            RequestError: If the model takes no texts, or the vocabulary lacks a token.
            DeadlineExceededError: If they are not ready in time.
            InferoxError: If the tokenizer or its worker fails.
        """
        model = self._models.find(name, version)
        return await _wait(model.detokenize(ids, skip_special_tokens=skip_special_tokens), deadline_s)

    def _finder(self, name: str, version: str | None, artifact: str | None = None) -> Callable[[], ServedModel]:
        def find() -> ServedModel:
            model = self._models.find(name, version)
            if artifact is not None:
                model.check_artifact(artifact)
            return model

        return find


async def _wait(future: Future[Value], deadline_s: float | None) -> Value:
    try:
        async with asyncio.timeout(deadline_s):
            return await asyncio.wrap_future(future)
    except TimeoutError:
        raise DeadlineExceededError(f"the tokenizer gave no answer within {deadline_s} s") from None
