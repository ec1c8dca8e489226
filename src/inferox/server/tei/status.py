"""TEI's ``/info`` and ``/health``."""

from __future__ import annotations

import importlib.metadata
from typing import Any

from msgspec import Struct, json

from inferox.batching import MAX_TOKENS
from inferox.engine import ModelInfo
from inferox.server.config import ServerConfig
from inferox.server.defaults import TEI
from inferox.server.http_request import HttpRequest
from inferox.server.http_response import HttpResponse
from inferox.server.input_texts import MOST_INPUTS
from inferox.server.service import Service

_NOT_READY = 503

_DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


class TeiInfo(Struct, forbid_unknown_fields=True):
    """The description of the only model."""

    model_id: str
    model_sha: str | None
    model_dtype: str
    served_model_name: str
    model_type: dict[str, dict[str, Any]]
    max_concurrent_requests: int
    max_input_length: int | None
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int
    version: str
    sha: str | None
    docker_label: str | None


class StatusRoutes:
    """Describes the model, and answers health checks.

    Args:
        service: The service that holds the model.
        config: The settings.
    """

    def __init__(self, service: Service, config: ServerConfig) -> None:
        self._service = service
        self._config = config

    async def info(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Describes the only model.

        Raises:
            FieldError: If there are several.
        """
        info = self._service.only_model()
        precision = next((_DTYPES.get(part, part) for part in info.artifact.split("/")[2:3]), "unknown")
        described = TeiInfo(
            model_id=info.name,
            model_sha=None,
            model_dtype=precision,
            served_model_name=info.name,
            model_type=_describe_type(info),
            max_concurrent_requests=self._config.request_limit,
            max_input_length=info.max_length,
            max_batch_tokens=MAX_TOKENS,
            max_batch_requests=None,
            max_client_batch_size=MOST_INPUTS,
            auto_truncate=TEI.cut,
            tokenization_workers=self._config.workers,
            version=importlib.metadata.version("inferox"),
            sha=None,
            docker_label=None,
        )
        return HttpResponse(json.encode(described))

    async def health(self, request: HttpRequest) -> HttpResponse:  # noqa: ARG002 - as every handler
        """Answers whether every model can be computed now: with an empty body if so."""
        reason = self._service.why_not_ready()
        if reason is None:
            return HttpResponse()
        return HttpResponse(json.encode({"error": reason, "error_type": "Unhealthy"}), _NOT_READY)


def _describe_type(info: ModelInfo) -> dict[str, Any]:
    if info.task == "embed":
        return {"embedding": {"pooling": info.pooling}}
    labels = info.class_labels or ("LABEL_0",)
    named = {
        "id2label": {str(index): label for index, label in enumerate(labels)},
        "label2id": {label: index for index, label in enumerate(labels)},
    }
    return {"reranker" if info.task == "rerank" else "classifier": named}
