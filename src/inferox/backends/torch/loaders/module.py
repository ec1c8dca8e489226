"""From a module with its weights in place to a program on a device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from inferox.backends.torch.model import Program
from inferox.backends.torch.precision import compute_dtype
from inferox.core import Artifact, LoadOptions, Precision


def place_module(
    module: torch.nn.Module,
    artifact: Artifact,
    device: torch.device,
    options: LoadOptions,
    *,
    call: Callable[[Callable[..., Any], Mapping[str, torch.Tensor]], Any],
) -> Program:
    """Moves a module to a device, gives it the artifact's precision, and compiles it where that is asked for.

    Args:
        module: The module.
        artifact: What it was loaded from.
        device: Where it goes.
        options: How to load it.
        call: Calls the module, or what it was compiled to, with named tensors.

    Raises:
        UnsupportedDTypeError: If the device cannot compute in the artifact's precision.
    """
    dtype = None if artifact.precision is Precision.FP32 else compute_dtype(artifact.precision, device)
    placed = module.eval().to(device=device, dtype=dtype)
    # Lengths differ from call to call: without dynamic shapes, each new one would be compiled again.
    run = torch.compile(placed, dynamic=True) if options.compile else placed
    return Program(lambda inputs: call(run, inputs), weights_bytes(placed), dtype)


def weights_bytes(module: torch.nn.Module) -> int:
    """The memory that a module's parameters and buffers take, each shared one counted once.

    Args:
        module: The module.
    """
    tensors = [*module.parameters(), *module.buffers()]
    return sum({tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in tensors}.values())
