"""The loaders of artifacts, by format.

A loader imports heavy modules only when it runs, so that TorchScript waits for neither transformers nor the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from threading import Lock

import torch

from inferox.backends.torch.compute_thread import ComputeThread
from inferox.backends.torch.device import to_torch
from inferox.backends.torch.errors import translated
from inferox.backends.torch.loaders.aotinductor import load_aotinductor
from inferox.backends.torch.loaders.exported import load_exported
from inferox.backends.torch.loaders.safetensors import load_safetensors
from inferox.backends.torch.loaders.state_dict import load_state_dict
from inferox.backends.torch.loaders.torchscript import load_torchscript
from inferox.backends.torch.model import Program, TorchModel
from inferox.backends.torch.operators import load_operators
from inferox.core import Artifact, Backend, DeviceId, LoadError, LoadOptions, ModelMetadata, TrustTier
from inferox.machine import resolve_threads

Loader = Callable[[Artifact, torch.device, LoadOptions, Backend], Program]

LOADERS: dict[str, Loader] = {
    "aotinductor": load_aotinductor,
    "safetensors": load_safetensors,
    "state-dict": load_state_dict,
    "torch-export": load_exported,
    "torchscript": load_torchscript,
}
"""The loader of each format."""

_alone = Lock()
"""Held while a program is read or a module compiled: PyTorch reads one program at a time, and fails where two threads
are the first to import its compiler."""


def open_artifact(artifact: Artifact, device: DeviceId, options: LoadOptions, backend: Backend) -> TorchModel:
    """Loads an artifact on a device.

    On a CPU, a thread of the model's own loads and computes it, with as many threads as the options say, whatever other
    models and the caller's own thread use.

    Args:
        artifact: An artifact of this backend, whose code may run if it has any.
        device: The device to load on.
        options: The options for loading.
        backend: The backend on that device, which code in the package is given.

    Raises:
        ConfigError: If less than one thread is requested.
        BackendUnavailableError: If there is no such device.
        UnsupportedDTypeError: If the device cannot compute in the artifact's precision.
        LoadError: If the artifact is damaged, or needs something that is missing.
        OutOfMemoryError: If it does not fit.
    """
    threads = resolve_threads(options.threads)
    target = to_torch(device)
    thread = ComputeThread(f"inferox {options.package}") if device.kind == "cpu" else None

    def load() -> Program:
        with torch.inference_mode(), _alone if options.compile or "program" in artifact.files else nullcontext():
            if artifact.trust_tier is TrustTier.CODE and "program" in artifact.files:
                load_operators(artifact.path("program"))
            program = LOADERS[artifact.format](artifact, target, options, backend)
            torch.get_num_threads()  # PyTorch sets a thread's number when it first needs it, and would reset it later
            torch.set_num_threads(threads)
        return program

    try:
        with translated(f"loading {options.package}", default=LoadError):
            program = load() if thread is None else thread.run(load)
    except BaseException:
        if thread is not None:
            thread.close()
        raise
    return TorchModel(options.package, ModelMetadata.of(artifact, device), artifact.signature, program, thread=thread)
