"""Serves models over HTTP: standard protocols in front of an engine of worker processes."""

from inferox.server.config import ModelSource, ServerConfig
from inferox.server.front import serve
from inferox.server.model_repository import ModelRepository

__all__ = ["ModelRepository", "ModelSource", "ServerConfig", "serve"]
