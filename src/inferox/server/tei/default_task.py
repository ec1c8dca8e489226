"""TEI's ``POST /`` and ``/invocations``, whose answer depends on model and body; and ``/vertex``, several in one."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType

from inferox.server.field_error import FieldError
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import check_count
from inferox.server.json_body import JsonBody
from inferox.server.service import Service
from inferox.server.tei.embedding import EmbeddingRoutes
from inferox.server.tei.prediction import PredictionRoute
from inferox.server.tei.ranking import TeiRankingRoute


class _Body(Struct):
    texts: Any | UnsetType = UNSET
    inputs: Any = None
    model: str | None = None


class VertexRequest(Struct):
    """The body of a request that holds several."""

    instances: list[Raw]


class VertexAnswer(Struct, forbid_unknown_fields=True):
    """The answers to several requests."""

    predictions: list[list[Any]]


class DefaultTaskRoute:
    """Answers what names no task.

    Args:
        service: What has the models.
        embedding: Answers what asks for vectors.
        prediction: Answers what asks for labels.
        ranking: Answers what asks for an order.
    """

    def __init__(
        self, service: Service, embedding: EmbeddingRoutes, prediction: PredictionRoute, ranking: TeiRankingRoute
    ) -> None:
        self._service = service
        self._embedding, self._prediction, self._ranking = embedding, prediction, ranking
        self._body, self._vertex_body = JsonBody(_Body), JsonBody(VertexRequest)

    async def answer(self, body: bytes) -> HttpResponse:
        """Answers a request by what it holds, or else by the task of the model.

        Args:
            body: Its body.

        Raises:
            RequestError: If it cannot be taken, or there are several models and it names none.
        """
        asked = self._body.read(body)
        if asked.texts is not UNSET:
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
            body: The body, whose ``instances`` are bodies.

        Raises:
            RequestError: If one of them cannot be taken.
        """
        instances = self._vertex_body.read(body).instances
        check_count("instances", instances)
        answers = [(await self.answer(bytes(instance))).body for instance in instances]
        return HttpResponse(b'{"predictions":[%b]}' % b",".join(answers))
