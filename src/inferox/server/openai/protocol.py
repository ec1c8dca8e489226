"""Where OpenAI's routes are."""

from __future__ import annotations

from inferox.server.openai.embeddings import EmbeddingsRequest, EmbeddingsRoute
from inferox.server.openai.error_body import write_error
from inferox.server.openai.models import ModelsRoute
from inferox.server.protocol import Protocol, posting, reading
from inferox.server.service import Service

_PREFIXES = ("/v1", "/openai/v1", "/v3", "")
"""Where clients look for OpenAI's routes: at OpenAI, KServe, OpenVINO Model Server, and at TEI and infinity."""


def make_openai(service: Service) -> Protocol:
    """OpenAI's protocol.

    Args:
        service: What answers its requests.
    """
    models, embeddings = ModelsRoute(service), EmbeddingsRoute(service)
    embedding = posting(embeddings.answer, "Makes vectors of texts.", EmbeddingsRequest)
    routes = {f"{prefix}/embeddings": embedding for prefix in _PREFIXES}
    routes |= {f"{prefix}/models": reading(models.list_all, "Lists the models.") for prefix in _PREFIXES}
    families = {f"{prefix}/models/": reading(models.show, "Says what a model is.") for prefix in _PREFIXES}
    templates = {f"{start}{{id}}": methods for start, methods in families.items()}
    return Protocol(write_error, routes, families, templates, name="OpenAI")
