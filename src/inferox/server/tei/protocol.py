"""Where the routes of text-embeddings-inference are."""

from __future__ import annotations

from inferox.server.config import ServerConfig
from inferox.server.protocol import Protocol, posting_json, reading
from inferox.server.service import Service
from inferox.server.tei.default_task import DefaultTaskRoute, VertexRequest
from inferox.server.tei.embedding import (
    EmbedAllRequest,
    EmbeddingRoutes,
    EmbedRequest,
    SimilarityRequest,
    refuse_sparse,
)
from inferox.server.tei.error_body import write_error
from inferox.server.tei.prediction import PredictionRoute, PredictRequest
from inferox.server.tei.ranking import RerankTextsRequest, TeiRankingRoute
from inferox.server.tei.status import StatusRoutes
from inferox.server.tei.tokens import DecodeRequest, TokenizeRequest, TokenRoutes


def make_tei(service: Service, config: ServerConfig) -> Protocol:
    """The protocol of text-embeddings-inference, but for ``/rerank``, which it shares with others.

    Args:
        service: What answers its requests.
        config: The settings.
    """
    embedding, prediction = EmbeddingRoutes(service), PredictionRoute(service)
    tokens, status = TokenRoutes(service), StatusRoutes(service, config)
    default = DefaultTaskRoute(service, embedding, prediction, TeiRankingRoute(service))
    health = reading(status.health, "Says whether every model can be computed now.")
    by_task = posting_json(
        default.answer,
        "Does what the body and the task of the model say.",
        *(EmbedRequest, PredictRequest, RerankTextsRequest, SimilarityRequest),
    )
    routes = {
        "/embed": posting_json(embedding.embed, "Makes vectors of texts.", EmbedRequest),
        "/embed_all": posting_json(embedding.embed_tokens, "Makes a vector of each token of texts.", EmbedAllRequest),
        "/embed_sparse": posting_json(refuse_sparse, "Refuses: no package makes sparse vectors.", EmbedAllRequest),
        "/similarity": posting_json(embedding.compare, "Compares sentences with another one.", SimilarityRequest),
        "/predict": posting_json(prediction.answer, "Scores the labels of texts.", PredictRequest),
        "/tokenize": posting_json(tokens.tokenize, "Divides texts into tokens.", TokenizeRequest),
        "/decode": posting_json(tokens.decode, "Makes texts of tokens.", DecodeRequest),
        "/info": reading(status.info, "Says what the only model is."),
        "/health": health,
        "/ping": health,
        "/": {**health, **by_task},
        "/invocations": by_task,
        "/vertex": posting_json(default.answer_vertex, "Answers several requests in one.", VertexRequest),
    }
    return Protocol(write_error, routes, name="text-embeddings-inference")
