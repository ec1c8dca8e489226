"""Devices: where tensors lie and models run."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

from inferox.core.errors import ConfigError

_PATTERN = re.compile(r"(?P<kind>[a-z][a-z0-9_-]*)(?::(?P<index>\d+))?")


@dataclass(frozen=True, order=True)
class DeviceId:
    """The name of a device: a kind, and an index for kinds of which a machine can have several.

    ``cpu`` has no index; ``cuda`` and ``metal`` always have one. Every other kind is custom, and only the backend that
    reports it understands it, such as OpenVINO's ``npu``.

    Attributes:
        kind: ``cpu``, ``cuda``, ``metal`` or a custom kind.
        index: The index of the device among its kind, from 0; ``None`` for ``cpu``.
    """

    kind: str
    index: int | None = None

    @classmethod
    def cpu(cls) -> DeviceId:
        """The machine's processor."""
        return cls("cpu")

    @classmethod
    def cuda(cls, index: int = 0) -> DeviceId:
        """An NVIDIA GPU."""
        return cls("cuda", index)

    @classmethod
    def metal(cls, index: int = 0) -> DeviceId:
        """An Apple GPU."""
        return cls("metal", index)

    @classmethod
    def of(cls, device: str | DeviceId | None) -> DeviceId | None:
        """Reads a device that a caller may have named; a ``DeviceId`` or ``None`` is returned as it is.

        Args:
            device: A device, its name, or ``None`` to leave the choice to the backend.

        Raises:
            ConfigError: If a text is not a device name.
        """
        return cls.parse(device) if isinstance(device, str) else device

    @classmethod
    def parse(cls, text: str) -> DeviceId:
        """Reads a device's name.

        Args:
            text: ``cpu``, ``cuda``, ``cuda:1``, ``metal``, PyTorch's ``mps``, or a custom ``kind[:index]``.

        Raises:
            ConfigError: If the text is not a device name.
        """
        match = _PATTERN.fullmatch(text.strip().lower())
        if match is None or (match["kind"] == "cpu" and match["index"] not in {None, "0"}):
            raise ConfigError(
                f"{text!r} is not a device", hint="use cpu, cuda:0, metal:0, or a name from 'inferox doctor'"
            )
        kind = "metal" if match["kind"] == "mps" else match["kind"]
        if kind == "cpu":
            return cls.cpu()
        if match["index"] is not None:
            return cls(kind, int(match["index"]))
        return cls(kind, 0) if kind in {"cuda", "metal"} else cls(kind)

    def __str__(self) -> str:
        return self.kind if self.index is None else f"{self.kind}:{self.index}"


@dataclass(frozen=True)
class MemoryInfo:
    """The memory of a device at one moment, in bytes.

    Attributes:
        total_bytes: The total memory.
        free_bytes: The memory available to a new allocation.
    """

    total_bytes: int
    free_bytes: int

    @property
    def used_bytes(self) -> int:
        """The bytes that are not free."""
        return self.total_bytes - self.free_bytes


class Device(ABC):
    """A device as one backend sees it."""

    @property
    @abstractmethod
    def id(self) -> DeviceId:
        """The device's name, the same in every backend."""

    @abstractmethod
    def is_available(self) -> bool:
        """Returns whether the runtime can use the device now."""

    @abstractmethod
    def memory_info(self) -> MemoryInfo | None:
        """Returns the device's memory; ``None`` if the runtime cannot tell."""
