"""OpenAI's ``GET /v1/models``."""

from __future__ import annotations

import time
from typing import Literal

from msgspec import Struct, json

from inferox.engine import ModelInfo
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.service import Service


class ModelCard(Struct, forbid_unknown_fields=True):
    """A model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Struct, forbid_unknown_fields=True):
    """All models."""

    object: Literal["list"]
    data: list[ModelCard]


class ModelsRoute:
    """Lists the models.

    Args:
        service: The service that holds the models.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._started_s = int(time.time())

    async def list_all(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Returns all models."""
        models = [self._describe(info) for info in self._service.models()]
        return HttpResponse(json.encode(ModelList("list", models)))

    async def show(self, request: HttpRequest) -> HttpResponse:
        """Returns the model that the end of the path names.

        Raises:
            ModelNotFoundError: If there is none of that name.
        """
        name = request.path.partition("/models/")[2]
        return HttpResponse(json.encode(self._describe(self._service.find(name))))

    def _describe(self, info: ModelInfo) -> ModelCard:
        return ModelCard(info.name, "model", self._started_s, "inferox")
