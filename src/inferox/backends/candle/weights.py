"""A package's weights, taken one by one with checked shapes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import candle
from safetensors import safe_open

from inferox.backends.candle.errors import require_memory, translated
from inferox.backends.candle.layers import LayerNorm, Linear
from inferox.core import LoadError, counted

_OLD_NAMES = (
    (re.compile(r"(?<=LayerNorm\.)gamma$"), "weight"),
    (re.compile(r"(?<=LayerNorm\.)beta$"), "bias"),
)
"""The old names of two weights in the first checkpoints of BERT, which were converted from TensorFlow."""

_READ_COPIES = 3
"""The number of copies of the weights while Candle reads them: the file, the tensors, and their transposes."""

_NAMED = 5


class Weights:
    """The weights of one file, by name.

    Every weight is returned in fp32. Half precision is widened to it, which is exact.

    Args:
        tensors: The tensors by name.
    """

    def __init__(self, tensors: dict[str, candle.Tensor]) -> None:
        self._tensors = tensors
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, shape: Sequence[int | None]) -> candle.Tensor:
        """Takes a weight.

        Args:
            name: Its name.
            shape: The shape that it must have; ``None`` for a free extent.

        Raises:
            LoadError: If it is missing, or has another shape, or a data type that fp32 cannot hold.
        """
        if name not in self._tensors:
            raise LoadError(
                f"the weight {name} is missing", hint="the config and the weights are not of the same model"
            )
        tensor = self._tensors[name]
        extents = tuple(tensor.shape)
        if len(extents) != len(shape) or any(
            wanted not in {None, extent} for wanted, extent in zip(shape, extents, strict=True)
        ):
            wanted_shape = ", ".join("any" if wanted is None else str(wanted) for wanted in shape)
            raise LoadError(
                f"the weight {name} must have the shape [{wanted_shape}], but has {list(extents)}",
                hint="the config and the weights are not of the same model",
            )
        if str(tensor.dtype).lower() not in {"f32", "f16", "bf16"}:
            raise LoadError(f"the weight {name} is {str(tensor.dtype).lower()}, which f32 does not hold exactly")
        self._taken.add(name)
        return tensor.to_dtype(candle.f32)

    def linear(self, name: str, inputs: int | None, outputs: int | None, *, bias: bool = True) -> Linear:
        """Takes the weights of a linear layer; see ``take``.

        Args:
            name: The layer's name.
            inputs: The number of its inputs; ``None`` for any.
            outputs: The number of its outputs; ``None`` for any.
            bias: Whether it has a bias.
        """
        weight = self.take(f"{name}.weight", (outputs, inputs))
        found = self.take(f"{name}.bias", (weight.shape[0],)) if bias else None
        return Linear(weight.t().contiguous(), found)

    def norm(self, name: str, width: int, eps: float) -> LayerNorm:
        """Takes the weights of a layer normalisation; see ``take``.

        Args:
            name: The layer's name.
            width: The length of a row.
            eps: The epsilon added to the variance.
        """
        weight, bias = (self.take(f"{name}.{part}", (width,)) for part in ("weight", "bias"))
        return LayerNorm(weight, bias, width, eps)

    def require_all_taken(self, ignore: re.Pattern[str] | None = None) -> None:
        """Refuses weights that were not taken.

        Args:
            ignore: The pattern of the names of weights that may be left over; ``None`` if none may.

        Raises:
            LoadError: If there are any others.
        """
        left = sorted(name for name in self._tensors.keys() - self._taken if ignore is None or not ignore.search(name))
        if left:
            more = f", and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            raise LoadError(
                f"the model has no place for {counted(len(left), 'weight')}: {', '.join(left[:_NAMED])}{more}",
                hint="the config and the weights are not of the same model",
            )


def read_weights(path: Path, *, prefix: str = "") -> Weights:
    """Reads a safetensors file, with current names and without a prefix.

    Tensors that share memory are stored once; the file's metadata maps the names of the others to the stored one.

    Args:
        path: The file.
        prefix: The optional prefix of names, such as ``bert``, without its dot.

    Raises:
        LoadError: If it is not a safetensors file, is damaged, has data types that Candle lacks, or has a name twice.
        OutOfMemoryError: If it does not fit into memory.
    """
    with translated(f"reading {path.name}", default=LoadError):
        require_memory(path.stat().st_size * _READ_COPIES, f"reading {path.name}")
        with safe_open(path, "numpy") as file:
            aliases = file.metadata() or {}
        stored = candle.utils.load_safetensors(str(path))
    stored |= {name: stored[kept] for name, kept in aliases.items() if kept in stored}
    tensors = {_todays_name(name, prefix): tensor for name, tensor in stored.items()}
    if len(tensors) < len(stored):
        raise LoadError(f"{path.name} has some weights twice, with and without {prefix}. or under an old name")
    return Weights(tensors)


def _todays_name(name: str, prefix: str) -> str:
    for pattern, replacement in _OLD_NAMES:
        name = pattern.sub(replacement, name)
    return name.removeprefix(f"{prefix}.") if prefix else name
