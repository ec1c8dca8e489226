"""The conversion of a module with its weights to a program on a device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

from inferox.backends.torch.model import Program, storages_of
from inferox.backends.torch.precision import compute_dtype
from inferox.backends.torch.quantization import quantize, stored_tensors
from inferox.core import Artifact, LoadOptions, Precision

_SINGLE = frozenset({Precision.FP32, Precision.INT8})
"""The precisions that compute in fp32, whatever the type of the weights."""


def place_module(
    module: torch.nn.Module,
    artifact: Artifact,
    device: torch.device,
    options: LoadOptions,
    *,
    call: Callable[[Callable[..., Any], Mapping[str, torch.Tensor]], Any],
    constants: Iterable[torch.Tensor] = (),
) -> Program:
    """Moves a module to a device, converts it to the artifact's precision, and compiles it if requested.

    Args:
        module: The module.
        artifact: The artifact from which it was loaded.
        device: The device to move it to.
        options: The options for loading.
        call: Calls the module, or its compiled form, with named tensors.
        constants: Further tensors on the device that the module holds elsewhere.

    Raises:
        UnsupportedDTypeError: If the device cannot compute in the artifact's precision.
        BackendUnavailableError: If the library that quantises is not installed.
        LoadError: If there is nothing to quantise.
    """
    dtype = None if artifact.precision in _SINGLE else compute_dtype(artifact.precision, device)
    placed = module.eval().to(device=device, dtype=dtype)
    if artifact.precision is Precision.INT8:
        quantize(placed)
    # Lengths vary between calls: without dynamic shapes, each new one would trigger a compilation.
    run = torch.compile(placed, dynamic=True) if options.compile else placed
    return Program(lambda inputs: call(run, inputs), weights_bytes(placed), dtype, storages_of(placed, *constants))


def weights_bytes(module: torch.nn.Module) -> int:
    """Returns the memory of a module's parameters and buffers; shared ones are counted once.

    Args:
        module: The module.
    """
    tensors = [part for tensor in (*module.parameters(), *module.buffers()) for part in stored_tensors(tensor)]
    return sum({tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in tensors}.values())
