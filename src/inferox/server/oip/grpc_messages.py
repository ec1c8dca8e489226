"""gRPC messages, in a descriptor pool of their own: the process may hold other copies of them."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from inferox.core import RequestError

_FILE = "protos.binpb"
"""The output of ``make protos``, compiled from the ``.proto`` files beside it."""

INFERENCE = "inference"
HEALTH = "grpc.health.v1"


class GrpcMessages:
    """The messages of one protobuf package, by name.

    Args:
        package: The package, such as ``inference``.
    """

    def __init__(self, package: str) -> None:
        self._package = package
        self._pool = DescriptorPool()
        content = files("inferox.server.oip").joinpath("protos", _FILE).read_bytes()
        for file in FileDescriptorSet.FromString(content).file:
            self._pool.Add(file)
        self._classes: dict[str, Any] = {}

    def of(self, name: str) -> Any:
        """Returns the class of a message.

        Args:
            name: Its name in the package.
        """
        if name not in self._classes:
            self._classes[name] = GetMessageClass(self._pool.FindMessageTypeByName(f"{self._package}.{name}"))
        return self._classes[name]

    def make(self, name: str, content: Any) -> Any:
        """Makes a message.

        Args:
            name: Its name in the package.
            content: Its content, in protobuf's JSON form.
        """
        return ParseDict(content, self.of(name)())

    def read(self, name: str, content: bytes) -> Any:
        """Parses a message.

        Args:
            name: Its name in the package.
            content: The serialized message.

        Raises:
            RequestError: If it cannot be parsed.
        """
        try:
            return self.of(name).FromString(content)
        except DecodeError as error:
            raise RequestError(f"the message is not a {name}: {error}") from error

    def methods(self, service: str) -> list[tuple[str, str, str]]:
        """Returns the methods of a service, each with the names of its request and response messages.

        Args:
            service: Its name in the package.
        """
        found = self._pool.FindServiceByName(f"{self._package}.{service}").methods
        return [(method.name, method.input_type.name, method.output_type.name) for method in found]
