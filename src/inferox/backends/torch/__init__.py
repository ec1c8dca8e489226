"""The PyTorch backend. Everything that needs PyTorch is imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from inferox.backends.torch.backend import TorchBackend
from inferox.backends.torch.notices import hide_notices

if TYPE_CHECKING:
    from inferox.backends.torch.builder import TorchTensorBuilder
    from inferox.backends.torch.device import TorchDevice
    from inferox.backends.torch.model import TorchModel
    from inferox.backends.torch.tensor import TorchTensor

_HOMES = {
    "TorchDevice": "inferox.backends.torch.device",
    "TorchModel": "inferox.backends.torch.model",
    "TorchTensor": "inferox.backends.torch.tensor",
    "TorchTensorBuilder": "inferox.backends.torch.builder",
}

__all__ = ["TorchBackend", "TorchDevice", "TorchModel", "TorchTensor", "TorchTensorBuilder"]

hide_notices()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'inferox.backends.torch' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
