"""The routes of OpenAI's protocol."""

from __future__ import annotations

from inferox.server.config import ServerConfig
from inferox.server.openai.embeddings import EmbeddingsAnswer, EmbeddingsRequest, EmbeddingsRoute
from inferox.server.openai.error_body import OPENAI_ERRORS
from inferox.server.openai.models import ModelCard, ModelList, ModelsRoute
from inferox.server.protocol import Protocol, posting, reading
from inferox.server.service import Service

_PREFIXES = ("/v1", "/openai/v1", "/v3", "")
"""The prefixes of OpenAI's routes: of OpenAI, KServe, OpenVINO Model Server, and TEI and infinity."""


def make_openai(service: Service, config: ServerConfig) -> Protocol:
    """Makes OpenAI's protocol.

    Args:
        service: Answers the requests.
        config: The settings.
    """
    models = ModelsRoute(service)
    accepts_token_ids = config.token_ids == "accept"  # noqa: S105 - no secret
    embeddings = EmbeddingsRoute(service, accepts_token_ids=accepts_token_ids)
    embedding = posting(
        embeddings.answer, "Embeds texts.", EmbeddingsRequest, gives=EmbeddingsAnswer, computes=("embed",)
    )
    routes = {f"{prefix}/embeddings": embedding for prefix in _PREFIXES}
    routes |= {f"{prefix}/models": reading(models.list_all, "Lists the models.", ModelList) for prefix in _PREFIXES}
    families = {f"{prefix}/models/": reading(models.show, "Returns a model.", ModelCard) for prefix in _PREFIXES}
    templates = {f"{start}{{id}}": methods for start, methods in families.items()}
    return Protocol(OPENAI_ERRORS, routes, families, templates, name="OpenAI")
