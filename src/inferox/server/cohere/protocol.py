"""Where Cohere's routes are."""

from __future__ import annotations

from inferox.server.cohere.embedding import CohereEmbedAnswer, CohereEmbedRequest, CohereEmbedRoute
from inferox.server.cohere.error_body import COHERE_ERRORS
from inferox.server.protocol import Protocol, posting_json
from inferox.server.service import Service


def make_cohere(service: Service) -> Protocol:
    """Cohere's protocol, but for its rerank, which it shares with others.

    Args:
        service: What answers its requests.
    """
    first, second = (CohereEmbedRoute(service, gives_bare=is_first) for is_first in (True, False))
    about = "Makes vectors of texts, in one or several forms."
    routes = {
        "/v1/embed": posting_json(first.answer, about, CohereEmbedRequest, gives=CohereEmbedAnswer),
        "/v2/embed": posting_json(second.answer, about, CohereEmbedRequest, gives=CohereEmbedAnswer),
    }
    return Protocol(COHERE_ERRORS, routes, name="Cohere")
