"""Models over HTTP: standard protocols in front of an engine of worker processes."""

from inferox.server.config import ModelSource, ServerConfig
from inferox.server.front import serve

__all__ = ["ModelSource", "ServerConfig", "serve"]
