"""PyTorch's devices as Inferox's."""

from __future__ import annotations

import torch

from inferox.backends.host import HostDevice
from inferox.backends.torch.errors import translated
from inferox.core import BackendUnavailableError, Device, DeviceId, ExecutionError, MemoryInfo


class TorchDevice(Device):
    """A device of PyTorch.

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
        """Asks PyTorch, at every call, whether the device exists."""
        match self._id:
            case DeviceId("cpu", None):
                return True
            case DeviceId("cuda", int(index)):
                return torch.cuda.is_available() and index < torch.cuda.device_count()
            case DeviceId("metal", 0):
                return torch.backends.mps.is_available()
        return False

    def memory_info(self) -> MemoryInfo:
        """Returns the device's memory, from the CUDA driver, the system or container (CPU), or PyTorch (Metal).

        An Apple GPU shares the machine's memory; its total is the most that the system recommends to use, and only
        allocations of this process count as used.

        Raises:
            BackendUnavailableError: If this machine has no such device.
            ExecutionError: If the driver refuses to answer.
        """
        device = to_torch(self._id)
        with translated(f"asking for the memory of {self._id}", default=ExecutionError):
            if device.type == "cuda":
                free_bytes, total_bytes = torch.cuda.mem_get_info(device)
                return MemoryInfo(total_bytes, free_bytes)
            if device.type == "mps":
                total_bytes = torch.mps.recommended_max_memory()
                return MemoryInfo(total_bytes, max(total_bytes - torch.mps.driver_allocated_memory(), 0))
            return HostDevice().memory_info()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TorchDevice) and other.id == self._id

    def __hash__(self) -> int:
        return hash((TorchDevice, self._id))

    def __repr__(self) -> str:
        return f"TorchDevice({self._id})"


def available_devices() -> tuple[TorchDevice, ...]:
    """Lists the devices that exist now in order of preference: CUDA, then Metal, then the CPU."""
    gpus = [DeviceId.cuda(index) for index in range(torch.cuda.device_count())]
    devices = [TorchDevice(device) for device in [*gpus, DeviceId.metal(), DeviceId.cpu()]]
    return tuple(device for device in devices if device.is_available())


def to_torch(device: DeviceId) -> torch.device:
    """Returns PyTorch's object for an existing device.

    Raises:
        BackendUnavailableError: If PyTorch has no such device on this machine.
    """
    if not TorchDevice(device).is_available():
        there = ", ".join(str(known.id) for known in available_devices())
        raise BackendUnavailableError(f"torch has no device {device} here; it has {there}", hint=_hint(device))
    return torch.device("mps" if device.kind == "metal" else str(device))


def from_torch(device: torch.device) -> DeviceId:
    """Returns the id of a PyTorch device. Vulkan, whose tensors pass through the CPU, counts as the CPU."""
    match device.type:
        case "cpu" | "vulkan":
            return DeviceId.cpu()
        case "mps":
            return DeviceId.metal()
        case "cuda":
            return DeviceId.cuda(torch.cuda.current_device() if device.index is None else device.index)
    return DeviceId(device.type, device.index)


def _hint(device: DeviceId) -> str | None:
    if device.kind == "cuda" and torch.version.cuda is None and torch.version.hip is None:
        return "this build of torch has no CUDA: install one that does"
    if device.kind == "cuda" and torch.cuda.device_count() == 0:
        return "check with nvidia-smi that the driver sees the GPU, and CUDA_VISIBLE_DEVICES that it is not hidden"
    return None
