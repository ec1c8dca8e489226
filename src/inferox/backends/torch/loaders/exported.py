"""Programs captured by ``torch.export``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from inferox.backends.torch.loaders.calling import caller
from inferox.backends.torch.loaders.module import place_module
from inferox.backends.torch.model import Program
from inferox.core import Artifact, Backend, LoadError, LoadOptions


def load_exported(artifact: Artifact, device: torch.device, options: LoadOptions, _backend: Backend) -> Program:
    """Loads an exported program.

    Args:
        artifact: An artifact with the file ``program``, and ``weights`` if the program was stored without them.
        device: The device to load it on.
        options: The options for loading.

    Raises:
        LoadError: If the program does not fit the weights or the signature.
    """
    program = torch.export.load(artifact.path("program"))
    if "weights" in artifact.files:
        restore_weights(program, artifact.path("weights"), device)
    # The graph names the device of its capture wherever it makes a tensor.
    program = move_to_device_pass(program, device)
    call = caller(program.call_spec.in_spec, artifact.signature.input_names)
    return place_module(_Eval(program.module()), artifact, device, options, call=call)


class _Eval(torch.nn.Module):
    """A captured graph as a module that may be put into evaluation mode, in which it was captured."""

    def __init__(self, graph: torch.nn.Module) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, *arguments: torch.Tensor, **keywords: torch.Tensor) -> object:
        return self.graph(*arguments, **keywords)

    def train(self, mode: bool = True) -> _Eval:
        self.training = mode
        return self


def save_without_weights(program: ExportedProgram, path: Path) -> None:
    """Saves a program without its weights; ``restore_weights`` puts them back.

    Each is replaced by a tensor of its shape and type that repeats one element, so that the file contains one element.

    Args:
        program: The program. Its weights are replaced while it is saved.
        path: The file to write.
    """
    original = dict(program.state_dict)
    try:
        for name, tensor in original.items():
            if tensor.numel() == 0:
                continue  # it takes no space, and PyTorch fails on its repeated form
            single = torch.zeros(1, dtype=tensor.dtype).as_strided(tensor.shape, [0] * tensor.dim())
            program.state_dict[name] = _like(tensor, single)
        with _quiet():
            torch.export.save(program, path)
    finally:
        program.state_dict.update(original)


def restore_weights(program: ExportedProgram, weights: Path, device: torch.device) -> None:
    """Puts weights back into a program that was saved without them.

    Args:
        program: The program.
        weights: A safetensors file with a tensor for each weight; of those that share memory, the file has the first,
            and its metadata maps the names of the others to it. They share memory again.
        device: The device of the weights.

    Raises:
        LoadError: If a weight is missing, or of another shape or type.
    """
    with safe_open(weights, framework="pt") as stored:
        aliases, names = stored.metadata() or {}, set(stored.keys())
        loaded: dict[str, torch.Tensor] = {}
        for name, place in program.state_dict.items():
            source = name if name in names else aliases.get(name, "")
            if source not in names:
                raise LoadError(
                    f"the program needs the weight {name}, which {weights.name} lacks", hint="pack it again"
                )
            if source not in loaded:
                loaded[source] = stored.get_tensor(source).to(device)
            tensor = loaded[source]
            if tensor.shape != place.shape or tensor.dtype != place.dtype:
                raise LoadError(
                    f"the weight {name} is {tensor.dtype} {list(tensor.shape)}, but the program needs "
                    f"{place.dtype} {list(place.shape)}",
                    hint="pack it again",
                )
            program.state_dict[name] = _like(place, tensor)


def _like(place: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    return torch.nn.Parameter(tensor, requires_grad=False) if isinstance(place, torch.nn.Parameter) else tensor


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        # torch.export warns about tensors that do not fill their memory, which is intended here.
        warnings.filterwarnings("ignore", message="No complete tensor found in the group")
        yield
