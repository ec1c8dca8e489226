"""Where the routes of text-embeddings-inference are."""

from __future__ import annotations

from inferox.server.config import ServerConfig
from inferox.server.protocol import Protocol, posting_json, reading
from inferox.server.service import Service
from inferox.server.tei.default_task import DefaultTaskRoute
from inferox.server.tei.embedding import EmbeddingRoutes, refuse_sparse
from inferox.server.tei.error_body import write_error
from inferox.server.tei.prediction import PredictionRoute
from inferox.server.tei.ranking import TeiRankingRoute
from inferox.server.tei.status import StatusRoutes
from inferox.server.tei.tokens import TokenRoutes


def make_tei(service: Service, config: ServerConfig) -> Protocol:
    """The protocol of text-embeddings-inference, but for ``/rerank``, which it shares with others.

    Args:
        service: What answers its requests.
        config: The settings.
    """
    embedding, prediction = EmbeddingRoutes(service), PredictionRoute(service)
    tokens, status = TokenRoutes(service), StatusRoutes(service, config)
    default = DefaultTaskRoute(service, embedding, prediction, TeiRankingRoute(service))
    routes = {
        "/embed": posting_json(embedding.embed),
        "/embed_all": posting_json(embedding.embed_tokens),
        "/embed_sparse": posting_json(refuse_sparse),
        "/similarity": posting_json(embedding.compare),
        "/predict": posting_json(prediction.answer),
        "/tokenize": posting_json(tokens.tokenize),
        "/decode": posting_json(tokens.decode),
        "/info": reading(status.info),
        "/health": reading(status.health),
        "/ping": reading(status.health),
        "/": {**reading(status.health), **posting_json(default.answer)},
        "/invocations": posting_json(default.answer),
        "/vertex": posting_json(default.answer_vertex),
    }
    return Protocol(write_error, routes)
