"""The HTTP routes of the Open Inference Protocol."""

from __future__ import annotations

from collections.abc import Mapping

from inferox.server.health import Life
from inferox.server.http_response import JSON
from inferox.server.oip.answers import (
    IndexedModel,
    InferAnswer,
    ModelConfiguration,
    ModelMetadata,
    ModelReadyAnswer,
    ReadyAnswer,
    ServerMetadata,
    StatisticsAnswer,
)
from inferox.server.oip.error_body import OIP_ERRORS
from inferox.server.oip.http_infer import InferBody
from inferox.server.oip.inference import Inference
from inferox.server.oip.model_path import START, read_model_to_compute
from inferox.server.oip.model_routes import ModelRoutes
from inferox.server.oip.repository_routes import IndexRequest, RepositoryRoutes
from inferox.server.oip.server_routes import ServerRoutes
from inferox.server.protocol import Methods, Protocol, posting, reading
from inferox.server.service import Service

_NOT_OFFERED = ("systemsharedmemory/", "cudasharedmemory/", "trace/", "logging")
"""Triton's routes that this server does not have."""

_READABLE: Mapping[str, tuple[str, type]] = {
    "": ("Returns the input and output tensors of a model.", ModelMetadata),
    "/ready": ("Returns whether a model can be computed now.", ModelReadyAnswer),
    "/config": ("Returns a model's configuration as in Triton.", ModelConfiguration),
    "/stats": ("Returns the statistics of a model.", StatisticsAnswer),
}
"""The GET routes of a model, by the end of their paths: a summary and the response type of each."""


def make_oip(service: Service, inference: Inference) -> Protocol:
    """Makes the Open Inference Protocol over HTTP.

    Args:
        service: The service that holds the models.
        inference: Computes the requests.
    """
    server, models = ServerRoutes(service, inference), ModelRoutes(service, inference)
    repository = RepositoryRoutes(service)
    about_server = reading(server.describe, "Returns the metadata of the server.", ServerMetadata)
    routes = {
        "/v2": about_server,
        "/v2/": about_server,
        "/v2/health/live": reading(server.say_live, "Returns that the process is live.", Life),
        "/v2/health/ready": reading(
            server.say_ready, "Returns whether every model can be computed now.", ReadyAnswer, also={503: ReadyAnswer}
        ),
        "/v2/models/stats": reading(
            server.describe_statistics, "Returns the statistics of every model.", StatisticsAnswer
        ),
        "/v2/repository/index": posting(
            repository.list_all, "Lists the models.", IndexRequest, gives=list[IndexedModel]
        ),
    }
    infer = posting(
        models.infer,
        "Computes an inference request.",
        InferBody,
        gives={JSON: InferAnswer, "application/octet-stream": None},
        computes=None,
        read_model=read_model_to_compute,
    )
    families = {
        START: {**reading(models.read, "Returns the metadata of a model.", ModelMetadata), **infer},
        "/v2/repository/models/": posting(repository.refuse_control, "Refuses to load or unload a model.", gives={}),
    }
    refuse = "Refuses a request that this server does not support."
    families |= {
        f"/v2/{name}": {**reading(repository.refuse, refuse, {}), **posting(repository.refuse, refuse, gives={})}
        for name in _NOT_OFFERED
    }
    templates: dict[str, Methods] = {}
    for place in (f"{START}{{name}}", f"{START}{{name}}/versions/{{version}}"):
        templates |= {
            f"{place}{end}": reading(models.read, about, gives, also={503: gives} if end == "/ready" else None)
            for end, (about, gives) in _READABLE.items()
        }
        templates[f"{place}/infer"] = infer
    return Protocol(OIP_ERRORS, routes, families, templates, name="Open Inference Protocol")
