"""Example inputs: reading them from files, and describing them as a signature's inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from inferox.core import BATCH, ConfigError, Dim, PackageError, TensorSpec
from inferox.sources.array_files import read_arrays
from inferox.sources.torch_source import Examples, data_type


def read_samples(path: Path) -> dict[str, Any]:
    """Reads example inputs by name; see ``read_arrays``. Those of ``bf16``, which NumPy lacks, are read as tensors.

    Args:
        path: An ``.npz`` or ``.safetensors`` file.

    Raises:
        PackageError: If it cannot be read, or is neither.
    """
    if path.suffix != ".safetensors":
        return read_arrays(path)
    try:
        return dict(load_file(path))
    except (OSError, ValueError, SafetensorError) as error:
        raise PackageError(f"the samples {path} cannot be read: {error}") from error


def to_tensors(inputs: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Copies arrays and tensors to tensors on the CPU; numbers and lists are converted like in NumPy.

    Raises:
        PackageError: If a value is none of these, is sparse, or is empty, which would not exercise the model.
        UnsupportedDTypeError: If Inferox lacks its data type.
    """
    tensors = {}
    for name, value in inputs.items():
        try:
            known = isinstance(value, torch.Tensor)
            tensor = value.detach().cpu().clone() if known else torch.from_numpy(np.array(value))
        except (TypeError, ValueError) as error:
            raise PackageError(f"the example input {name!r} is not a tensor: {error}") from error
        data_type(tensor)
        if tensor.layout is not torch.strided:
            raise PackageError(
                f"the example input {name!r} is sparse, but must be dense", hint="call .to_dense() on it"
            )
        if tensor.numel() == 0:
            raise PackageError(f"the example input {name!r} is empty: its shape is {list(tensor.shape)}")
        tensors[name] = tensor
    return tensors


def make_examples(
    tensors: Mapping[str, torch.Tensor],
    dims: Mapping[str, Sequence[Dim]] | None,
    *,
    default: Mapping[str, Sequence[Dim]] | None = None,
) -> Examples:
    """Describes example inputs.

    Args:
        tensors: The examples, in the order in which the model takes them.
        dims: The dims of inputs by name, as the user states them.
        default: The dims of the others, as the program states them. If neither does, the first axis is ``batch``,
            provided that the model takes another number of rows, and the others are fixed.

    Raises:
        ConfigError: If dims are stated for an input that does not exist, or do not fit it; or if a dim has different
            extents in two inputs.
    """
    stated = {**(default or {}), **(dims or {})}
    unknown = sorted(set(dims or {}) - set(tensors))
    if unknown:
        raise ConfigError(f"dims are given for {', '.join(unknown)}, but the model takes {', '.join(tensors)}")
    specs = tuple(_describe(name, tensor, stated.get(name)) for name, tensor in tensors.items())
    _check_extents(specs, tensors)
    return Examples(dict(tensors), specs, frozenset({BATCH}) - {dim for each in stated.values() for dim in each})


def _check_extents(specs: Sequence[TensorSpec], tensors: Mapping[str, torch.Tensor]) -> None:
    first: dict[Dim, tuple[int, str]] = {}
    for spec in specs:
        for dim, extent in zip(spec.dims, tensors[spec.name].shape, strict=True):
            known, name = first.setdefault(dim, (extent, spec.name))
            if known != extent:
                raise ConfigError(
                    f"{dim} is {known} in the example of {name}, but {extent} in that of {spec.name}",
                    hint="axes of the same name have the same extent, and the first is batch by default: name them by "
                    "dims={'x': ['batch', 4]} or dynamic_shapes, or by --dims x=batch,4 on the command line",
                )


def _describe(name: str, tensor: torch.Tensor, stated: Sequence[Dim] | None) -> TensorSpec:
    shape = tuple(tensor.shape)
    assumed: tuple[Dim, ...] = (BATCH, *shape[1:]) if shape else ()
    dims = assumed if stated is None else tuple(stated)
    fits = len(dims) == len(shape) and all(
        isinstance(dim, str) or dim == extent for dim, extent in zip(dims, shape, strict=True)
    )
    if not fits:
        raise ConfigError(f"the dims of {name} are {list(dims)}, but its example has the shape {list(shape)}")
    return TensorSpec(name, data_type(tensor), dims)
