"""What backends that compute on the CPU in NumPy's memory have in common: its device, its tensors, and rounding."""

from inferox.backends.host.device import HostDevice, free_memory_bytes
from inferox.backends.host.rounding import round_to_odd
from inferox.backends.host.tensor import HostTensor, HostTensorBuilder

__all__ = ["HostDevice", "HostTensor", "HostTensorBuilder", "free_memory_bytes", "round_to_odd"]
