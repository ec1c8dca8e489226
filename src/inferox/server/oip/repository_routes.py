"""The routes of the model repository, and those that this server refuses."""

from __future__ import annotations

from msgspec import Struct, json

from inferox.server.http_error import HttpError
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.json_body import JsonBody
from inferox.server.oip.server_routes import list_models
from inferox.server.service import Service

NO_CONTROL = "models are loaded only when the server starts, and by requests to its admin listener: see --admin-port"
"""The reason why models are neither loaded nor unloaded here."""

NOT_OFFERED = "shared memory, and trace and log settings, are not supported"
"""The reason why other calls of Triton's clients are refused."""


class IndexRequest(Struct):
    """The body of an index request, which may be empty."""

    ready: bool | None = None


_WANTED = JsonBody(IndexRequest)


class RepositoryRoutes:
    """Answers requests about the model repository.

    Args:
        service: The service that holds the models.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def list_all(self, request: HttpRequest) -> HttpResponse:
        """Lists the models.

        Args:
            request: The request.

        Raises:
            RequestError: If its body is invalid.
        """

        async def answer(body: bytes) -> HttpResponse:
            ready_only = bool(body and _WANTED.read(body).ready)
            return HttpResponse(json.encode(list_models(self._service, ready_only=ready_only)))

        return await request.answer_binary(answer)

    async def refuse_control(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Refuses to load or unload a model.

        Raises:
            HttpError: Always.
        """
        raise HttpError(403, "not_allowed", NO_CONTROL)

    async def refuse(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Refuses a request that is not supported.

        Raises:
            HttpError: Always.
        """
        raise HttpError(501, "not_offered", NOT_OFFERED)
