"""The messages of gRPC, in a pool of their own: other copies of them may be in the same process."""

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
"""What ``make protos`` makes of the ``.proto`` files beside it."""

INFERENCE = "inference"
HEALTH = "grpc.health.v1"


class GrpcMessages:
    """The messages of one of the packages of ``protos``, by name.

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
        """The class of a message.

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
            content: What it holds, as JSON has it.
        """
        return ParseDict(content, self.of(name)())

    def read(self, name: str, content: bytes) -> Any:
        """Reads a message that somebody sent.

        Args:
            name: Its name in the package.
            content: The message.

        Raises:
            RequestError: If it is not one.
        """
        try:
            return self.of(name).FromString(content)
        except DecodeError as error:
            raise RequestError(f"what was sent is not a {name}: {error}") from error

    def methods(self, service: str) -> list[tuple[str, str, str]]:
        """The methods of a service: their names, and those of the messages that they take and give.

        Args:
            service: Its name in the package.
        """
        found = self._pool.FindServiceByName(f"{self._package}.{service}").methods
        return [(method.name, method.input_type.name, method.output_type.name) for method in found]
