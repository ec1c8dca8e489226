"""The CPU and its memory."""

from __future__ import annotations

import psutil

from inferox.core import BackendUnavailableError, Device, DeviceId, MemoryInfo
from inferox.machine.cgroup import memory_limit


class HostDevice(Device):
    """The CPU, with as much of the machine's memory as the process's container allows."""

    @property
    def id(self) -> DeviceId:
        """The CPU's name."""
        return DeviceId.cpu()

    def is_available(self) -> bool:
        """Returns true, since this process runs on it."""
        return True

    def memory_info(self) -> MemoryInfo:
        """Returns the memory of the machine, or of the container that this process runs in."""
        memory, limit = psutil.virtual_memory(), memory_limit()
        if limit is None or limit.limit_bytes >= memory.total:
            return MemoryInfo(memory.total, memory.available)
        free = max(limit.limit_bytes - limit.used_bytes, 0)
        return MemoryInfo(limit.limit_bytes, min(memory.available, free))


def free_memory_bytes() -> int:
    """Returns the memory that is available to a new allocation on the CPU."""
    return HostDevice().memory_info().free_bytes


def require_cpu(device: DeviceId, owner: str) -> None:
    """Refuses every device but the CPU.

    Args:
        device: The requested device.
        owner: The runtime that has no other device, for the error.

    Raises:
        BackendUnavailableError: For every other device.
    """
    if device != DeviceId.cpu():
        raise BackendUnavailableError(f"{owner} has no device {device} here; it has cpu")
