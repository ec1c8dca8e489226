"""The loader of weights and a config, with transformers' architectures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from inferox.backends.torch.loaders.module import place_module
from inferox.backends.torch.model import Program
from inferox.core import Artifact, Backend, Layout, LoadError, LoadOptions, read_json_object


def load_safetensors(artifact: Artifact, device: torch.device, options: LoadOptions, _backend: Backend) -> Program:
    """Loads weights into one of transformers' architectures.

    The weights are memory-mapped from the file, so that those in fp32 are never held twice on the CPU.

    Args:
        artifact: An artifact with the files ``config`` and ``weights`` and the option ``architecture``.
        device: The device to load it on.
        options: The options for loading.

    Raises:
        LoadError: If the config is malformed, the architecture is unknown, or the weights are not those that it needs.
    """
    from inferox.backends.torch.architecture import instantiate

    architecture = artifact.options.get("architecture")
    if not isinstance(architecture, str):
        raise LoadError(f"the artifact {artifact.name} does not state its architecture", hint="pack the model again")
    config = _read_config(artifact.path("config"))
    module = instantiate(config, load_file(artifact.path("weights")), architecture).module
    if artifact.layout is Layout.PACKED:
        from inferox.backends.torch.packed import PackedModule

        if options.compile:
            raise LoadError("a packed artifact cannot be compiled just in time", hint="leave out compile")
        module = PackedModule(module, artifact.signature)
    return place_module(module, artifact, device, options, call=lambda run, inputs: run(**inputs))


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return read_json_object(path, error_type=LoadError, hint="pack the model again", allow_non_finite=True)
    except FileNotFoundError as error:
        raise LoadError(f"{path.name} is missing", hint="fetch the package again") from error
