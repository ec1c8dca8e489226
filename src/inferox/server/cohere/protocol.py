"""Where Cohere's routes are."""

from __future__ import annotations

from inferox.server.cohere.embedding import CohereEmbedRoute
from inferox.server.cohere.error_body import write_error
from inferox.server.protocol import Protocol, posting_json
from inferox.server.service import Service


def make_cohere(service: Service) -> Protocol:
    """Cohere's protocol, but for its rerank, which it shares with others.

    Args:
        service: What answers its requests.
    """
    first, second = (CohereEmbedRoute(service, gives_bare=is_first) for is_first in (True, False))
    return Protocol(write_error, {"/v1/embed": posting_json(first.answer), "/v2/embed": posting_json(second.answer)})
