"""The routes of a single model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from msgspec import json

from inferox.core import OverloadedError
from inferox.engine import ModelInfo
from inferox.server.http_error import HttpError
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.oip.http_infer import HEADER_LENGTH, read_infer, write_infer
from inferox.server.oip.inference import Inference
from inferox.server.oip.model_description import configure_model, describe_model
from inferox.server.oip.model_path import INFER, ModelPath
from inferox.server.service import Service

_READY = "ready"
_NOT_READY = 503


class ModelRoutes:
    """Answers requests for the model that the path names.

    Args:
        service: The service that holds the models.
        inference: Computes the requests.
    """

    def __init__(self, service: Service, inference: Inference) -> None:
        self._service = service
        self._inference = inference
        self._readers: Mapping[str, Callable[[ModelInfo], Awaitable[HttpResponse]]] = {
            "": self._describe,
            _READY: self._say_ready,
            "config": self._configure,
            "stats": self._describe_statistics,
        }

    async def read(self, request: HttpRequest) -> HttpResponse:
        """Returns the metadata, readiness, configuration or statistics of a model.

        Args:
            request: The request.

        Raises:
            RequestError: If there is no such model, or the path is not one to read.
        """
        path = ModelPath.of(request.path)
        if path.action not in self._readers:
            raise _wrong_method(request, "POST")
        try:
            info = self._inference.find_version(path.name, path.version)
        except OverloadedError as error:
            if path.action != _READY:
                raise
            return _say_not_ready(path.name, str(error))
        return await self._readers[path.action](info)

    async def infer(self, request: HttpRequest) -> HttpResponse:
        """Computes a request.

        Args:
            request: The request.

        Raises:
            InferoxError: If it cannot be computed.
        """
        path = ModelPath.of(request.path)
        if path.action != INFER:
            raise _wrong_method(request, "GET, HEAD")
        header_length = request.header(HEADER_LENGTH)
        exposure = self._inference.find(path.name)

        async def answer(body: bytes) -> HttpResponse:
            asked = read_infer(body, header_length, exposure, path.version)
            computed, outputs = await self._inference.compute(path.name, asked)
            return await write_infer(path.name, asked, computed, outputs)

        return await request.answer_binary(answer)

    async def _describe(self, info: ModelInfo) -> HttpResponse:
        return HttpResponse(json.encode(describe_model(info, self._inference.find(info.name))))

    async def _configure(self, info: ModelInfo) -> HttpResponse:
        return HttpResponse(json.encode(configure_model(info, self._inference.find(info.name))))

    async def _describe_statistics(self, info: ModelInfo) -> HttpResponse:
        return HttpResponse(json.encode(await self._inference.describe_statistics(info.name)))

    async def _say_ready(self, info: ModelInfo) -> HttpResponse:
        reason = self._service.why_not_ready(info.name)
        if reason is None:
            return HttpResponse(json.encode({"name": info.name, "ready": True}))
        return _say_not_ready(info.name, reason)


def _say_not_ready(name: str, reason: str) -> HttpResponse:
    return HttpResponse(json.encode({"name": name, "ready": False, "error": reason}), _NOT_READY)


def _wrong_method(request: HttpRequest, allowed: str) -> HttpError:
    return HttpError(
        405,
        "method_not_allowed",
        f"{request.path[:200]!r} takes {allowed}, not {request.method[:20]!r}",
        {"allow": allowed},
    )
