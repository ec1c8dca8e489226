"""The routes of Cohere's protocol."""

from __future__ import annotations

from inferox.server.cohere.embedding import CohereEmbedAnswer, CohereEmbedRequest, CohereEmbedRoute
from inferox.server.cohere.error_body import COHERE_ERRORS
from inferox.server.protocol import Protocol, posting_json
from inferox.server.service import Service


def make_cohere(service: Service) -> Protocol:
    """Makes Cohere's protocol, except its rerank route, which it shares with others.

    Args:
        service: Answers the requests.
    """
    first, second = (CohereEmbedRoute(service, gives_bare=is_first) for is_first in (True, False))
    about = "Makes vectors of texts, in one or several forms."
    routes = {
        path: posting_json(route.answer, about, CohereEmbedRequest, gives=CohereEmbedAnswer, computes=("embed",))
        for path, route in (("/v1/embed", first), ("/v2/embed", second))
    }
    return Protocol(COHERE_ERRORS, routes, name="Cohere")
