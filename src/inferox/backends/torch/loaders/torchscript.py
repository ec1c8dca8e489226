"""The loader of TorchScript: a model with its code, as ``torch.jit.save`` writes it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from inferox.backends.torch.loaders.module import place_module
from inferox.backends.torch.model import Program
from inferox.core import Artifact, Backend, LoadError, LoadOptions


def load_torchscript(artifact: Artifact, device: torch.device, options: LoadOptions, _backend: Backend) -> Program:
    """Loads a TorchScript file. Tensors are passed in the order of the signature.

    Args:
        artifact: An artifact with the file ``program``.
        device: The device to load it on.
        options: The options for loading.

    Raises:
        LoadError: If compilation is requested, which TorchScript has already done.
    """
    if options.compile:
        raise LoadError("a TorchScript program is compiled already, and torch.compile does not take it")
    module = torch.jit.load(artifact.path("program"), map_location=device)
    names = artifact.signature.input_names
    return place_module(
        module,
        artifact,
        device,
        options,
        call=lambda run, inputs: run(*(inputs[n] for n in names)),
        constants=_held(module),
    )


def _held(module: Any) -> Iterator[torch.Tensor]:
    """Yields the tensors that a program holds besides its parameters and buffers: plain attributes, and constants."""
    graph = module.inlined_graph
    for name in {node.s("name") for node in graph.findAllNodes("prim::GetAttr")}:
        values = [getattr(part, name, None) for part in module.modules()]
        yield from (leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor))
    for node in graph.findAllNodes("prim::Constant"):
        if node.hasAttribute("value") and node.kindOf("value") == "t":
            yield node.t("value")
