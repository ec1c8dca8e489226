"""From a module with its weights in place to a program on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from inferox.backends.torch.model import Program, storages_of
from inferox.backends.torch.precision import compute_dtype
from inferox.backends.torch.quantization import quantize, stored_tensors
from inferox.core import Artifact, LoadOptions, Precision

_SINGLE = frozenset({Precision.FP32, Precision.INT8})
"""The precisions that compute in fp32, whatever they keep the weights in."""


def place_module(
    module: torch.nn.Module,
    artifact: Artifact,
    device: torch.device,
    options: LoadOptions,
    *,
    call: Callable[[Callable[..., Any], Mapping[str, torch.Tensor]], Any],
    constants: Iterable[torch.Tensor] = (),
) -> Program:
    """Moves a module to a device, gives it the artifact's precision, and compiles it where that is asked for.

    Args:
        module: The module.
        artifact: What it was loaded from.
        device: Where it goes.
        options: How to load it.
        call: Calls the module, or what it was compiled to, with named tensors.
        constants: Tensors on the device that it holds in places of its own.

    Raises:
        UnsupportedDTypeError: If the device cannot compute in the artifact's precision.
        BackendUnavailableError: If what quantises is not installed.
        LoadError: If there is nothing to quantise.
    """
    dtype = None if artifact.precision in _SINGLE else compute_dtype(artifact.precision, device)
    placed = module.eval().to(device=device, dtype=dtype)
    if artifact.precision is Precision.INT8:
        quantize(placed)
    # Lengths differ from call to call: without dynamic shapes, each new one would be compiled again.
    run = torch.compile(placed, dynamic=True) if options.compile else placed
    return Program(lambda inputs: call(run, inputs), weights_bytes(placed), dtype, storages_of(placed, *constants))


def weights_bytes(module: torch.nn.Module) -> int:
    """The memory that a module's parameters and buffers take, each shared one counted once.

    Args:
        module: The module.
    """
    tensors = [part for tensor in (*module.parameters(), *module.buffers()) for part in stored_tensors(tensor)]
    return sum({tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in tensors}.values())
