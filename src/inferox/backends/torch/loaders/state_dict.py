"""The loader of bare weights with the code that makes the module: ``model.pt`` and ``model.py``."""

from __future__ import annotations

import pickle
import sys
import zipfile
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import finalize

import torch
from safetensors.torch import load_file

from inferox.backends.torch.errors import listed
from inferox.backends.torch.loaders.module import place_module
from inferox.backends.torch.model import Program
from inferox.core import Artifact, Backend, LoadError, LoadOptions

FACTORY = "create_model"
"""The function that ``model.py`` must define: it takes the package's folder and backend, and returns the module."""

_numbers = count()


def load_state_dict(artifact: Artifact, device: torch.device, options: LoadOptions, backend: Backend) -> Program:
    """Makes a module with the package's own code, and loads its weights into it. Tensors are passed in order.

    Args:
        artifact: An artifact with the files ``weights`` (``.pt``, ``.pth``, ``.bin`` or ``.safetensors``) and
            ``factory`` (``model.py``).
        device: The device to load it on.
        options: The options for loading.
        backend: The backend on that device, for the package's code.

    Raises:
        LoadError: If the code fails or returns anything but a module, if the weights contain anything but tensors, or
            if a weight is missing, unused, of another shape, or of a type that the module's cannot represent exactly.
    """
    name = f"inferox_package_{next(_numbers)}"
    try:
        module = _create_module(artifact, backend, name)
        path = artifact.path("weights")
        _load_strictly(module, _read_weights(path), path.name)
        names = artifact.signature.input_names
        program = place_module(
            module, artifact, device, options, call=lambda run, inputs: run(*(inputs[n] for n in names))
        )
    except BaseException:
        sys.modules.pop(name, None)
        raise
    # Its classes may look up the module until the last call has ended, but no longer.
    finalize(program, sys.modules.pop, name, None)
    return program


def _create_module(artifact: Artifact, backend: Backend, name: str) -> torch.nn.Module:
    path = artifact.path("factory")
    factory = getattr(_run(path, name), FACTORY, None)
    if not callable(factory):
        raise LoadError(f"{path.name} must export a function {FACTORY}(package_dir, backend), but does not")
    try:
        module = factory(artifact.root, backend)
    except Exception as error:
        raise LoadError(f"{FACTORY} of {path.name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise LoadError(
            f"{FACTORY} of {path.name} must return a torch.nn.Module, but returned a {type(module).__name__}"
        )
    return module


def _run(path: Path, name: str) -> ModuleType:
    """Runs a file as a separate module. Nothing is cached beside it, as a package's folder must not change."""
    module = ModuleType(name)
    module.__file__ = str(path)
    # Classes that are defined there, such as dataclasses, look up their module by name.
    sys.modules[name] = module
    try:
        exec(compile(path.read_bytes(), path, "exec"), module.__dict__)  # noqa: S102 - the operator has allowed it
    except Exception as error:
        raise LoadError(f"{path.name} failed: {type(error).__name__}: {error}") from error
    return module


def _read_weights(path: Path) -> Mapping[str, Any]:
    if path.suffix == ".safetensors":
        return load_file(path)
    try:
        # Files from before PyTorch 1.6 are bare pickles, which cannot be memory-mapped.
        weights = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise LoadError(
            f"{path.name} holds more than tensors, or is damaged; anything else in a pickle is never loaded",
            hint="save only the module's state_dict(), preferably as safetensors",
        ) from error
    if not isinstance(weights, Mapping) or not all(isinstance(value, torch.Tensor) for value in weights.values()):
        raise LoadError(
            f"{path.name} must hold tensors by name, but holds something else",
            hint="save only the module's state_dict()",
        )
    return weights


def _load_strictly(module: torch.nn.Module, weights: Mapping[str, torch.Tensor], file: str) -> None:
    expected = module.state_dict()
    faults = {
        "missing": sorted(expected.keys() - weights.keys()),
        "left over": sorted(weights.keys() - expected.keys()),
        "of another shape or type": [
            f"{name} ({_describe(weights[name])} instead of {_describe(place)})"
            for name, place in expected.items()
            if name in weights and not _fits(weights[name], place)
        ],
    }
    if any(faults.values()):
        summary = "; ".join(f"{len(names)} {fault}: {listed(names)}" for fault, names in faults.items() if names)
        raise LoadError(f"{file} does not fit the module: {summary}")
    module.load_state_dict(weights, strict=True)


def _fits(weight: torch.Tensor, place: torch.Tensor) -> bool:
    """Returns whether a weight fits its place unchanged, or exactly in a wider floating-point type."""
    widened = weight.is_floating_point() and torch.promote_types(weight.dtype, place.dtype) is place.dtype
    return weight.shape == place.shape and (weight.dtype is place.dtype or widened)


def _describe(weight: torch.Tensor) -> str:
    return f"{str(weight.dtype).removeprefix('torch.')} {list(weight.shape)}"
