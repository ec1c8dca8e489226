"""The routes of text-embeddings-inference."""

from __future__ import annotations

from typing import Any

from inferox.server.config import ServerConfig
from inferox.server.http_response import JSON
from inferox.server.protocol import Protocol, posting_json, reading
from inferox.server.service import Service
from inferox.server.tei.default_task import DefaultTaskRoute, VertexAnswer, VertexRequest
from inferox.server.tei.embedding import (
    EmbedAllRequest,
    EmbeddingRoutes,
    EmbedRequest,
    SimilarityRequest,
    refuse_sparse,
)
from inferox.server.tei.error_body import TEI_ERRORS, TeiErrorBody
from inferox.server.tei.prediction import PredictionRoute, PredictRequest
from inferox.server.tei.ranking import RerankTextsRequest, TeiRankingRoute
from inferox.server.tei.status import StatusRoutes, TeiInfo
from inferox.server.tei.tokens import DecodeRequest, TokenizeRequest, TokenRoutes
from inferox.tasks.labels import LabelScore
from inferox.tasks.token import Token


def make_tei(service: Service, config: ServerConfig) -> Protocol:
    """Makes the protocol of text-embeddings-inference, except ``/rerank``, which it shares with others.

    Args:
        service: Answers the requests.
        config: The settings.
    """
    embedding, prediction = EmbeddingRoutes(service), PredictionRoute(service)
    tokens, status = TokenRoutes(service), StatusRoutes(service, config)
    default = DefaultTaskRoute(service, embedding, prediction, TeiRankingRoute(service))
    health = reading(
        status.health, "Returns whether every model can be computed now.", {JSON: None}, also={503: TeiErrorBody}
    )
    by_task = posting_json(
        default.answer,
        "Runs the task that the body and the model imply.",
        *(EmbedRequest, PredictRequest, RerankTextsRequest, SimilarityRequest),
        gives=list[Any],
        computes=("embed", "classify", "rerank"),
    )
    routes = {
        "/embed": posting_json(
            embedding.embed, "Embeds texts.", EmbedRequest, gives=list[list[float]], computes=("embed",)
        ),
        "/embed_all": posting_json(
            embedding.embed_tokens,
            "Embeds each token of texts.",
            EmbedAllRequest,
            gives=list[list[list[float]]],
            computes=("embed",),
        ),
        "/embed_sparse": posting_json(
            refuse_sparse, "Refuses the request: no package makes sparse vectors.", EmbedAllRequest, gives={}
        ),
        "/similarity": posting_json(
            embedding.compare,
            "Compares sentences with another one.",
            SimilarityRequest,
            gives=list[float],
            computes=("embed",),
        ),
        "/predict": posting_json(
            prediction.answer,
            "Scores the labels of texts.",
            PredictRequest,
            gives=list[LabelScore | list[LabelScore]],
            computes=("classify", "rerank"),
        ),
        "/tokenize": posting_json(
            tokens.tokenize, "Splits texts into tokens.", TokenizeRequest, gives=list[list[Token]]
        ),
        "/decode": posting_json(tokens.decode, "Decodes token ids to texts.", DecodeRequest, gives=list[str]),
        "/info": reading(status.info, "Describes the only model.", TeiInfo),
        "/health": health,
        "/ping": health,
        "/": {**health, **by_task},
        "/invocations": by_task,
        "/vertex": posting_json(
            default.answer_vertex,
            "Answers several requests in one.",
            VertexRequest,
            gives=VertexAnswer,
            computes=("embed", "classify", "rerank"),
        ),
    }
    return Protocol(TEI_ERRORS, routes, name="text-embeddings-inference")
