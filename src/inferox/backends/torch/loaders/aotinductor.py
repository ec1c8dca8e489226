"""AOTInductor packages: programs compiled ahead of time, for one kind of machine and one version of PyTorch."""

from __future__ import annotations

import torch
from torch._inductor import aoti_load_package
from torch.utils._pytree import treespec_loads

from inferox.backends.torch.loaders.calling import caller
from inferox.backends.torch.model import Program
from inferox.core import Artifact, LoadError, LoadOptions, Precision


def load_aotinductor(artifact: Artifact, device: torch.device, options: LoadOptions) -> Program:
    """Loads an AOTInductor package.

    Args:
        artifact: An artifact with the file ``program``.
        device: Where it runs. It must be of the kind that the package was compiled for.
        options: How to load it.

    Raises:
        LoadError: If it was compiled for another kind of device, in another precision than it is asked for, or is to be
            compiled again.
    """
    if options.compile:
        raise LoadError("an AOTInductor package is compiled already, and torch.compile does not take it")
    if artifact.precision is not Precision.FP32:
        raise LoadError(f"an AOTInductor package computes as it was compiled, not in {artifact.precision.value}")
    path = artifact.path("program")
    compiled = aoti_load_package(str(path), device_index=-1 if device.type == "cpu" else device.index or 0)
    _check_device(compiled, device)
    call = caller(treespec_loads(compiled.loader.get_call_spec()[0]), artifact.signature.input_names)
    # The loader does not tell how much memory its constants take; the package is little else.
    return Program(lambda inputs: call(compiled, inputs), path.stat().st_size)


def _check_device(compiled: object, device: torch.device) -> None:
    metadata = compiled.loader.get_metadata()  # type: ignore[attr-defined]  # AOTICompiledModel is not exported
    built_for = metadata.get("AOTI_DEVICE_KEY")
    if built_for is not None and built_for != device.type:
        raise LoadError(
            f"the AOTInductor package was compiled for {built_for}, and cannot run on {device.type}",
            hint="compile it on a machine like this one",
        )
