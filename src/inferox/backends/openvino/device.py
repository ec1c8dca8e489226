"""OpenVINO's devices as Inferox's."""

from __future__ import annotations

import re

import openvino

from inferox.backends.host import HostDevice
from inferox.backends.openvino.errors import translated
from inferox.core import BackendUnavailableError, Device, DeviceId, ExecutionError, MemoryInfo

_NAME = re.compile(r"(?P<kind>[A-Z]+)(\.(?P<index>\d+))?")


class OpenVinoDevice(Device):
    """A device of OpenVINO: ``cpu``, or ``gpu``, ``gpu:1`` and ``npu`` for Intel's accelerators.

    Args:
        device: Its id. It need not exist: ``is_available`` tells whether it does.
    """

    def __init__(self, device: DeviceId) -> None:
        self._id = device

    @property
    def id(self) -> DeviceId:
        """The device's name."""
        return self._id

    def is_available(self) -> bool:
        """Asks OpenVINO, at every call, whether the device exists."""
        return _openvino_name(self._id) is not None

    def memory_info(self) -> MemoryInfo | None:
        """Returns the machine's memory for the CPU; ``None`` for others, whose free memory OpenVINO does not report."""
        return HostDevice().memory_info() if self._id == DeviceId.cpu() else None


def available_devices() -> tuple[OpenVinoDevice, ...]:
    """Lists the devices that exist now, the CPU first."""
    devices = [OpenVinoDevice(_to_id(name)) for name in _names()]
    return tuple(sorted(devices, key=lambda device: device.id != DeviceId.cpu()))


def to_openvino(device: DeviceId) -> str:
    """Returns OpenVINO's name for an existing device.

    Raises:
        BackendUnavailableError: If OpenVINO has no such device on this machine.
    """
    name = _openvino_name(device)
    if name is None:
        there = ", ".join(str(known.id) for known in available_devices())
        raise BackendUnavailableError(
            f"openvino has no device {device} here; it has {there}",
            hint="gpu and npu need Intel's drivers: check with 'inferox doctor'",
        )
    return name


def _openvino_name(device: DeviceId) -> str | None:
    return next((name for name in _names() if _to_id(name) == device), None)


def _names() -> list[str]:
    with translated("asking for its devices", default=ExecutionError):
        return list(openvino.Core().available_devices)


def _to_id(name: str) -> DeviceId:
    match = _NAME.fullmatch(name)
    if match is None:
        return DeviceId(name.lower())
    return DeviceId(match["kind"].lower(), int(match["index"]) if match["index"] else None)
