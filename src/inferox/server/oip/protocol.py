"""Where the protocol's routes are."""

from __future__ import annotations

from inferox.server.oip.error_body import write_error
from inferox.server.oip.inference import Inference
from inferox.server.oip.model_path import START
from inferox.server.oip.model_routes import ModelRoutes
from inferox.server.oip.repository_routes import RepositoryRoutes
from inferox.server.oip.server_routes import ServerRoutes
from inferox.server.protocol import Protocol, posting, reading
from inferox.server.service import Service

_NOT_OFFERED = ("systemsharedmemory/", "cudasharedmemory/", "trace/", "logging")
"""Where Triton has what this server has not."""


def make_oip(service: Service, inference: Inference) -> Protocol:
    """The Open Inference Protocol over HTTP.

    Args:
        service: What has the models.
        inference: What computes requests.
    """
    server, models = ServerRoutes(service, inference), ModelRoutes(service, inference)
    repository = RepositoryRoutes(service)
    routes = {
        "/v2": reading(server.describe),
        "/v2/": reading(server.describe),
        "/v2/health/live": reading(server.say_live),
        "/v2/health/ready": reading(server.say_ready),
        "/v2/models/stats": reading(server.describe_statistics),
        "/v2/repository/index": posting(repository.list_all),
    }
    families = {
        START: {**reading(models.read), **posting(models.infer)},
        "/v2/repository/models/": posting(repository.refuse_control),
    }
    families |= {f"/v2/{name}": {**reading(repository.refuse), **posting(repository.refuse)} for name in _NOT_OFFERED}
    return Protocol(write_error, routes, families)
