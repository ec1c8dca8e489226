"""What is asked of the models as a repository, and what a server of this kind does not do."""

from __future__ import annotations

from msgspec import Struct, json

from inferox.server.http_error import HttpError
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.json_body import JsonBody
from inferox.server.oip.server_routes import list_models
from inferox.server.service import Service

NO_CONTROL = "models are loaded when the server starts, and by requests to its admin listener alone: see --admin-port"
"""Why models are neither loaded nor unloaded."""

NOT_OFFERED = "shared memory, and settings of traces and logs, are not offered"
"""Why other calls of Triton's clients are refused."""


class IndexRequest(Struct):
    """The body of a request, which may be empty."""

    ready: bool = False


_WANTED = JsonBody(IndexRequest)


class RepositoryRoutes:
    """Answers what is asked of all models.

    Args:
        service: What has them.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def list_all(self, request: HttpRequest) -> HttpResponse:
        """Says which models there are.

        Args:
            request: The request.

        Raises:
            RequestError: If its body is wrong.
        """

        async def answer(body: bytes) -> HttpResponse:
            ready_only = bool(body) and _WANTED.read(body).ready
            return HttpResponse(json.encode(list_models(self._service, ready_only=ready_only)))

        return await request.answer_binary(answer)

    async def refuse_control(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Loads and unloads nothing.

        Raises:
            HttpError: Always.
        """
        raise HttpError(403, "not_allowed", NO_CONTROL)

    async def refuse(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Refuses what is not offered.

        Raises:
            HttpError: Always.
        """
        raise HttpError(501, "not_offered", NOT_OFFERED)
