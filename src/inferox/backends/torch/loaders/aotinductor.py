"""AOTInductor packages: programs compiled ahead of time, for one kind of machine and one version of PyTorch."""

from __future__ import annotations

import platform
import sys
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import treespec_loads

from inferox.backends.torch.loaders.calling import caller
from inferox.backends.torch.model import Program
from inferox.core import Artifact, Backend, LoadError, LoadOptions, Precision


def load_aotinductor(artifact: Artifact, device: torch.device, options: LoadOptions, _backend: Backend) -> Program:
    """Loads an AOTInductor package.

    Args:
        artifact: An artifact with the file ``program``.
        device: The device to run on. It must be of the kind for which the package was compiled.
        options: The options for loading.

    Raises:
        LoadError: If it was compiled for another kind of device or machine or in another precision than requested, or
            if compilation is requested.
    """
    from torch._inductor import aoti_load_package

    if options.compile:
        raise LoadError("an AOTInductor package is compiled already, and torch.compile does not take it")
    if artifact.precision is not Precision.FP32:
        raise LoadError(f"an AOTInductor package computes as it was compiled, not in {artifact.precision.value}")
    path = artifact.path("program")
    _check_machine(path, device)
    compiled = aoti_load_package(str(path), device_index=-1 if device.type == "cpu" else device.index or 0)
    call = caller(treespec_loads(compiled.loader.get_call_spec()[0]), artifact.signature.input_names)
    # The loader does not report the memory of its constants, but the package contains little else.
    return Program(lambda inputs: call(compiled, inputs), path.stat().st_size)


def _check_machine(path: Path, device: torch.device) -> None:
    """Checks that the package was compiled for this machine, as foreign machine code could crash the process."""
    loader: Any = torch._C._aoti.AOTIModelPackageLoader  # noqa: SLF001 - it has no public name
    built_for: dict[str, str] = loader.load_metadata_from_package(str(path), "model")
    here = {"AOTI_DEVICE_KEY": device.type, "AOTI_PLATFORM": sys.platform, "AOTI_MACHINE": platform.machine()}
    if device.type == "cuda":
        here["AOTI_COMPUTE_CAPABILITY"] = "{}{}".format(*torch.cuda.get_device_capability(device))
    # A compiler uses the widest vectors available; a processor with wider ones runs narrower ones too.
    if "AVX512" in built_for.get("AOTI_CPU_ISA", ""):
        here["AOTI_CPU_ISA"] = torch.backends.cpu.get_cpu_capability()
        built_for["AOTI_CPU_ISA"] = "AVX512"
    for fact, found in here.items():
        if built_for.get(fact, found) != found:
            raise LoadError(
                f"the AOTInductor package was compiled for {built_for[fact]}, and cannot run on {found}",
                hint="compile it on a machine like this one",
            )
