"""Bare weights with the code that makes the module: ``model.pt`` and ``model.py``."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file

from inferox.backends.torch.backend import TorchBackend
from inferox.backends.torch.device import from_torch
from inferox.backends.torch.loaders.module import place_module
from inferox.backends.torch.model import Program
from inferox.core import Artifact, LoadError, LoadOptions

FACTORY = "create_model"
"""What ``model.py`` must export: a function of the package's folder and the backend, which returns the module."""

_NAMED = 5


def load_state_dict(artifact: Artifact, device: torch.device, options: LoadOptions) -> Program:
    """Makes a module with the package's own code and loads its weights into it.

    Args:
        artifact: An artifact with the files ``weights`` (``.pt``, ``.pth``, ``.bin`` or ``.safetensors``) and
            ``factory`` (``model.py``).
        device: Where it goes.
        options: How to load it.

    Raises:
        LoadError: If the code fails or returns something else than a module, if the weights are more than tensors, or
            if a weight is missing, left over, or of another shape.
    """
    module = _create_module(artifact, device)
    _load_strictly(module, _read_weights(artifact.path("weights")), artifact.path("weights").name)
    names = artifact.signature.input_names
    return place_module(module, artifact, device, options, call=lambda run, inputs: run(*(inputs[n] for n in names)))


def _create_module(artifact: Artifact, device: torch.device) -> torch.nn.Module:
    path = artifact.path("factory")
    factory = getattr(_run(path), FACTORY, None)
    if not callable(factory):
        raise LoadError(f"{path.name} must export a function {FACTORY}(package_dir, backend), and does not")
    try:
        module = factory(artifact.root, TorchBackend(from_torch(device)))
    except Exception as error:
        raise LoadError(f"{FACTORY} of {path.name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(module, torch.nn.Module):
        raise LoadError(
            f"{FACTORY} of {path.name} must return a torch.nn.Module, and returned a {type(module).__name__}"
        )
    return module


def _run(path: Path) -> ModuleType:
    """Runs a file as a module of its own. Nothing is cached beside it: a package's folder never changes."""
    name = f"inferox_package_{abs(hash(path.resolve()))}"
    module = ModuleType(name)
    module.__file__ = str(path)
    # Classes that are defined there look their module up by name, for instance dataclasses.
    sys.modules[name] = module
    try:
        exec(compile(path.read_bytes(), path, "exec"), module.__dict__)  # noqa: S102 - the operator has allowed it
    except Exception as error:
        del sys.modules[name]
        raise LoadError(f"{path.name} failed: {type(error).__name__}: {error}") from error
    return module


def _read_weights(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        return load_file(path)
    weights = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    if not isinstance(weights, dict):
        raise LoadError(f"{path.name} must hold tensors by name, and holds a {type(weights).__name__}")
    return weights


def _load_strictly(module: torch.nn.Module, weights: dict[str, Any], file: str) -> None:
    expected = module.state_dict()
    missing, unexpected = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    if missing or unexpected:
        parts = [("lacks", missing), ("has no place for", unexpected)]
        faults = "; ".join(f"{verb} {', '.join(names[:_NAMED])}" for verb, names in parts if names)
        raise LoadError(
            f"{file} does not fit the module: {len(missing)} weights are missing, {len(unexpected)} left over: {faults}"
        )
    module.load_state_dict(weights, strict=True)
