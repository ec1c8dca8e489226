"""TEI's ``POST /`` and ``/invocations``, which depend on model and body; and ``/vertex``, several requests in one."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Raw, Struct

from inferox.core import DeadlineExceededError
from inferox.server.answer_headers import merge
from inferox.server.field_error import FieldError
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import MOST_INPUTS, check_count
from inferox.server.json_body import JsonBody
from inferox.server.service import Service
from inferox.server.tei.embedding import EmbeddingRoutes
from inferox.server.tei.prediction import PredictionRoute
from inferox.server.tei.ranking import TeiRankingRoute


class _Body(Struct):
    texts: Any = None
    inputs: Any = None
    model: str | None = None


class VertexRequest(Struct):
    """The body of several requests in one."""

    instances: list[Raw]


class VertexAnswer(Struct, forbid_unknown_fields=True):
    """The answers to several requests."""

    predictions: list[list[Any]]


class DefaultTaskRoute:
    """Answers requests that do not name a task.

    Args:
        service: The service that holds the models.
        embedding: Answers requests for vectors.
        prediction: Answers requests for labels.
        ranking: Answers requests for a ranking.
    """

    def __init__(
        self, service: Service, embedding: EmbeddingRoutes, prediction: PredictionRoute, ranking: TeiRankingRoute
    ) -> None:
        self._service = service
        self._embedding, self._prediction, self._ranking = embedding, prediction, ranking
        self._body, self._vertex_body = JsonBody(_Body), JsonBody(VertexRequest)

    async def answer(self, body: bytes) -> HttpResponse:
        """Answers a request according to its fields, or else to the task of the model.

        Args:
            body: The body of the request.

        Raises:
            RequestError: If the request is invalid, or does not name a model and there are several.
        """
        return await self._answer(self._body.read(body), body)

    async def _answer(self, asked: _Body, body: bytes) -> HttpResponse:
        if asked.texts is not None:
            return await self._ranking.answer(body)
        if isinstance(asked.inputs, dict):
            return await self._embedding.compare(body)
        info = self._service.only_model() if asked.model is None else self._service.find(asked.model)
        if info.task == "embed":
            return await self._embedding.embed(body)
        if info.task in {"classify", "rerank"}:
            return await self._prediction.answer(body)
        raise FieldError("model", f"{info.name!r} is a model for {info.task}, which TEI's protocol does not have")

    async def answer_vertex(self, body: bytes) -> HttpResponse:
        """Answers several requests in one, one after another.

        Args:
            body: The body, whose ``instances`` are bodies of requests.

        Raises:
            RequestError: If one of them is invalid, or they have more texts together than a request may have.
            DeadlineExceededError: If they take longer together than a request may take.
        """
        instances = [bytes(instance) for instance in self._vertex_body.read(body).instances]
        check_count("instances", instances)
        asked = [self._body.read(instance) for instance in instances]
        if (count := sum(map(_count_texts, asked))) > MOST_INPUTS:
            raise FieldError("instances", f"instances may have {MOST_INPUTS:,} texts together, but have {count:,}")
        try:
            async with asyncio.timeout(self._service.timeout_s):
                answers = [await self._answer(*each) for each in zip(asked, instances, strict=True)]
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"the instances were not all answered within {self._service.timeout_s:g} s", hint="send fewer at a time"
            ) from error
        content = b'{"predictions":[%b]}' % b",".join(answer.body for answer in answers)
        return HttpResponse(content, headers=merge([answer.headers for answer in answers]))


def _count_texts(asked: _Body) -> int:
    given = asked.inputs if asked.texts is None else asked.texts
    if isinstance(given, dict):
        given = given.get("sentences")
    return len(given) if isinstance(given, list) else 1
