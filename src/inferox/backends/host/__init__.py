"""The common part of backends that compute on the CPU: a base, its device, its tensors, and rounding."""

from inferox.backends.host.backend import HostBackend
from inferox.backends.host.builder import ArrayTensorBuilder
from inferox.backends.host.device import HostDevice, free_memory_bytes, require_cpu
from inferox.backends.host.tensor import HostTensor, HostTensorBuilder

__all__ = [
    "ArrayTensorBuilder",
    "HostBackend",
    "HostDevice",
    "HostTensor",
    "HostTensorBuilder",
    "free_memory_bytes",
    "require_cpu",
]
