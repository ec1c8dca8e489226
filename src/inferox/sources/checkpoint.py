"""The weights of a Hugging Face model directory, in one file or several, as safetensors or in PyTorch's own format."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from inferox.core import (
    DataType,
    IntegrityError,
    ManifestError,
    PackageError,
    UnsafePathError,
    UnsupportedDTypeError,
    UntrustedCodeError,
    read_json_object,
)
from inferox.sources.file_names import WEIGHTS

_MAX_INDEX_BYTES = 64 << 20
"""The largest index of shards: a model of 70,000 tensors, such as a mixture of experts, needs 14 MB."""

_FOREIGN_FILES = {
    "tf_model.h5": "TensorFlow",
    "flax_model.msgpack": "Flax",
    "*.gguf": "GGUF",
    "model.onnx": "ONNX",
}
"""Weights of other frameworks."""


def read_checkpoint(directory: Path) -> dict[str, torch.Tensor]:
    """Reads the weights of a model directory into memory, in fp32.

    Safetensors take precedence over PyTorch's own format, and one file over several. PyTorch's own format is a pickle:
    it is read with ``weights_only``, which loads tensors and runs nothing.

    Args:
        directory: The folder of the model.

    Returns:
        The tensors by name, on the CPU. Half precision is widened to ``float32``, which is exact.

    Raises:
        PackageError: If there are no weights, or only those of another framework.
        ManifestError: If the index of shards is malformed.
        IntegrityError: If a file is missing, truncated or damaged.
        UnsafePathError: If the index names a file outside the folder.
        UntrustedCodeError: If a file can only be read by running code in it.
        UnsupportedDTypeError: If a weight is in double precision, which fp32 would round.
    """
    found = next((directory / name for name in WEIGHTS if (directory / name).is_file()), None)
    if found is None:
        raise _no_weights(directory)
    files = _read_index(found) if found.suffix == ".json" else {found: None}
    weights: dict[str, torch.Tensor] = {}
    for path, expected in files.items():
        tensors = _read_file(path)
        missing = sorted(set(expected or ()) - tensors.keys())
        if missing:
            raise IntegrityError(
                f"{path.name} lacks {len(missing)} of the weights that {found.name} lists in it, first {missing[0]}",
                hint="fetch the model again",
            )
        weights.update(tensors)
    return {name: _widen(name, tensor) for name, tensor in weights.items()}


def _widen(name: str, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.dtype is torch.float64:
        raise UnsupportedDTypeError(
            DataType.F64,
            f"a reference in fp32, in which the weight {name} would be rounded,",
            [DataType.F32, DataType.F16, DataType.BF16],
            hint="round the weights yourself: model.float().save_pretrained(...)",
        )
    return tensor.float() if tensor.is_floating_point() else tensor


def _no_weights(directory: Path) -> PackageError:
    for pattern, framework in _FOREIGN_FILES.items():
        if any(directory.glob(pattern)):
            return PackageError(
                f"{directory} has weights only for {framework}, which are not read",
                hint="convert them with transformers: load the model there, and save_pretrained writes safetensors",
            )
    return PackageError(f"{directory} has no weights: expected {', '.join(WEIGHTS)}", hint="fetch the model again")


def _read_index(path: Path) -> dict[Path, list[str]]:
    """Reads the files that an index of shards names, with the weights that each must contain."""
    try:
        places = read_json_object(path, hint="fetch the model again", max_bytes=_MAX_INDEX_BYTES)["weight_map"]
        shards: dict[str, list[str]] = {}
        for name, shard in places.items():
            shards.setdefault(shard, []).append(name)
        files = {path.parent / shard: names for shard, names in shards.items()}
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(
            f"{path.name} must be a JSON object whose weight_map gives the file of each weight: {error!r}",
            hint="fetch the model again",
        ) from error
    for shard in shards:
        # A shard always lies beside its index; in the hub's cache it is a link, so paths are not resolved here.
        if Path(shard).name != shard:
            raise UnsafePathError(f"{path.name} lists the file {shard!r}, which does not lie beside it")
    absent = sorted(file.name for file in files if not file.is_file())
    if absent:
        raise IntegrityError(
            f"{len(absent)} of the {len(files)} files that {path.name} lists are missing: {', '.join(absent)}",
            hint="fetch the model again",
        )
    return files


def _read_file(path: Path) -> Mapping[str, torch.Tensor]:
    return _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)


def _read_safetensors(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise _damaged(path, error) from error


def _read_pickle(path: Path) -> Mapping[str, torch.Tensor]:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UntrustedCodeError(
            f"{path.name} holds more than tensors, and reading the rest would run code",
            hint="load it where you trust it, and save it again with save_pretrained, which writes safetensors",
        ) from error
    except (OSError, EOFError, RuntimeError, ValueError) as error:
        raise _damaged(path, error) from error
    if not isinstance(tensors, dict) or not all(isinstance(value, torch.Tensor) for value in tensors.values()):
        raise IntegrityError(f"{path.name} must hold tensors by name, but holds something else")
    return tensors


def _damaged(path: Path, error: Exception) -> IntegrityError:
    reason = str(error).partition("\n")[0]
    return IntegrityError(f"{path.name} is truncated or damaged: {reason}", hint="fetch the model again")
