"""Where the protocol's routes are."""

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
from inferox.server.oip.model_path import START
from inferox.server.oip.model_routes import ModelRoutes
from inferox.server.oip.repository_routes import IndexRequest, RepositoryRoutes
from inferox.server.oip.server_routes import ServerRoutes
from inferox.server.protocol import Methods, Protocol, posting, reading
from inferox.server.service import Service

_NOT_OFFERED = ("systemsharedmemory/", "cudasharedmemory/", "trace/", "logging")
"""Where Triton has what this server has not."""

_READABLE: Mapping[str, tuple[str, type]] = {
    "": ("Says which tensors a model takes and gives.", ModelMetadata),
    "/ready": ("Says whether a model can be computed now.", ModelReadyAnswer),
    "/config": ("Says how Triton would configure a model.", ModelConfiguration),
    "/stats": ("Says what was computed so far with a model.", StatisticsAnswer),
}
"""What can be read of a model, by the end of the path."""


def make_oip(service: Service, inference: Inference) -> Protocol:
    """The Open Inference Protocol over HTTP.

    Args:
        service: What has the models.
        inference: What computes requests.
    """
    server, models = ServerRoutes(service, inference), ModelRoutes(service, inference)
    repository = RepositoryRoutes(service)
    about_server = reading(server.describe, "Says what the server is.", ServerMetadata)
    routes = {
        "/v2": about_server,
        "/v2/": about_server,
        "/v2/health/live": reading(server.say_live, "Says that the process answers.", Life),
        "/v2/health/ready": reading(
            server.say_ready, "Says whether every model can be computed now.", ReadyAnswer, also={503: ReadyAnswer}
        ),
        "/v2/models/stats": reading(
            server.describe_statistics, "Says what was computed so far with every model.", StatisticsAnswer
        ),
        "/v2/repository/index": posting(
            repository.list_all, "Lists the models.", IndexRequest, gives=list[IndexedModel]
        ),
    }
    infer = posting(
        models.infer,
        "Computes a request.",
        InferBody,
        gives={JSON: InferAnswer, "application/octet-stream": None},
        computes=None,
    )
    families = {
        START: {**reading(models.read, "Says what a model is.", ModelMetadata), **infer},
        "/v2/repository/models/": posting(repository.refuse_control, "Refuses to load or unload a model.", gives={}),
    }
    refuse = "Refuses what this server does not offer."
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
