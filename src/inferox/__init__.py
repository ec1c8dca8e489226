"""Inferox: pack a PyTorch model once, prove that every runtime computes the same thing, and run it anywhere.

    import inferox

    inferox.pack("all-MiniLM-L6-v2", "minilm.mlpkg")
    with inferox.load("minilm.mlpkg") as model:
        vectors = model.embed(["hello world"])

The functions below are imported when they are first used, so that importing ``inferox`` stays cheap.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inferox.client import AsyncClient, Client
    from inferox.core import Batch, DataType, DeviceId, InferoxError, Model, Signature, TensorSpec, TruncationWarning
    from inferox.engine import Engine, EngineConfig, InferenceSession
    from inferox.loading import TaskModel, load
    from inferox.package import Package, open_package
    from inferox.packing import PackReport, pack

__version__ = version("inferox")

# OpenVINO reports each import of it to its makers, from a process that it forks of this one. Without this module it
# does not; whoever has imported it before keeps it.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
# ONNX Runtime keeps a record of its imports and sessions in the user's cache folder, and a thread that sends it, unless
# this says otherwise when it is imported (1.32). Whoever states it keeps what they state.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_HOMES = {
    "AsyncClient": "inferox.client",
    "Batch": "inferox.core",
    "Client": "inferox.client",
    "DataType": "inferox.core",
    "DeviceId": "inferox.core",
    "Engine": "inferox.engine",
    "EngineConfig": "inferox.engine",
    "InferenceSession": "inferox.engine",
    "InferoxError": "inferox.core",
    "Model": "inferox.core",
    "PackReport": "inferox.packing",
    "Package": "inferox.package",
    "Signature": "inferox.core",
    "TaskModel": "inferox.loading",
    "TensorSpec": "inferox.core",
    "TruncationWarning": "inferox.core",
    "load": "inferox.loading",
    "open_package": "inferox.package",
    "pack": "inferox.packing",
}

__all__ = [
    "AsyncClient",
    "Batch",
    "Client",
    "DataType",
    "DeviceId",
    "Engine",
    "EngineConfig",
    "InferenceSession",
    "InferoxError",
    "Model",
    "PackReport",
    "Package",
    "Signature",
    "TaskModel",
    "TensorSpec",
    "TruncationWarning",
    "__version__",
    "load",
    "open_package",
    "pack",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'inferox' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
