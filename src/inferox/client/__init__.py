"""A client of ``inferox serve``: the calls and results of a loaded package, over HTTP.

It speaks the Open Inference Protocol with binary tensors, splits large inputs, retries requests that may succeed, and
raises the errors that the server raised.
"""

from inferox.client.answers import InferAnswer, ModelMetadata, ModelState
from inferox.client.async_client import AsyncClient
from inferox.client.client import Client
from inferox.client.config import ClientConfig

__all__ = ["AsyncClient", "Client", "ClientConfig", "InferAnswer", "ModelMetadata", "ModelState"]
