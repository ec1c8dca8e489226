"""The layers that a sentence-transformers model adds after pooling, computed with NumPy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import IntegrityError, ManifestError, PackageError
from inferox.parity import read_arrays
from inferox.tasks.activation import ACTIVATIONS
from inferox.tasks.options import member_path, required

Matrix = npt.NDArray[np.float32]

SHORTEST = np.float32(1e-12)
"""The smallest divisor of a vector, so that a vector of length zero stays zero."""

_VARIANCE_FLOOR = np.float32(1e-5)
"""The epsilon that layer normalisation adds to the variance: PyTorch's default, since the files do not state it."""


class EmbedModule(ABC):
    """A layer on pooled vectors: [n, in] to [n, out], float32."""

    @abstractmethod
    def __call__(self, vectors: Matrix) -> Matrix:
        """Computes the layer.

        Args:
            vectors: One vector per text; shape ``[n, in]``, float32.

        Returns:
            One vector per text; shape ``[n, out]``, float32.
        """

    def width(self, before: int) -> int:
        """Returns the length of the output vectors, for input vectors of length ``before``."""
        return before


class Normalise(EmbedModule):
    """Scales each vector to unit length."""

    def __call__(self, vectors: Matrix) -> Matrix:
        """See ``EmbedModule``."""
        lengths = np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))
        scaled: Matrix = vectors / np.maximum(lengths, SHORTEST)
        return scaled


@dataclass(frozen=True)
class Dense(EmbedModule):
    """A linear layer and an activation function.

    Attributes:
        weight: Shape ``[out, in]``, float32.
        bias: Shape ``[out]``, float32; ``None`` for no bias.
        activation: A name from ``ACTIVATIONS``.
        residual: Whether the input is added to the result.
        residual_weight: The linear map applied to the input before it is added; shape ``[out, in]``, float32.
    """

    weight: Matrix
    bias: Matrix | None
    activation: str
    residual: bool = False
    residual_weight: Matrix | None = None

    def __call__(self, vectors: Matrix) -> Matrix:
        """See ``EmbedModule``."""
        linear = vectors @ self.weight.T
        if self.bias is not None:
            linear = linear + self.bias
        computed = ACTIVATIONS[self.activation](linear)
        if self.residual:
            computed = computed + (vectors if self.residual_weight is None else vectors @ self.residual_weight.T)
        return computed

    def width(self, before: int) -> int:
        """Returns the number of rows of the weight.

        Raises:
            ManifestError: If a weight does not fit vectors of that length.
        """
        after = len(self.weight)
        _check_shape("linear.weight", self.weight, (after, before))
        _check_shape("linear.bias", self.bias, (after,))
        _check_shape("residual.weight", self.residual_weight, (after, before))
        if self.residual and self.residual_weight is None and after != before:
            raise ManifestError(f"a residual layer must return as many numbers as it takes, not {after} for {before}")
        return after


@dataclass(frozen=True)
class LayerNorm(EmbedModule):
    """Normalises each vector to mean 0 and variance 1, then scales and shifts it.

    Attributes:
        weight: Shape ``[in]``, float32.
        bias: Shape ``[in]``, float32.
    """

    weight: Matrix
    bias: Matrix

    def __call__(self, vectors: Matrix) -> Matrix:
        """See ``EmbedModule``."""
        centred = vectors - vectors.mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        normal: Matrix = centred / np.sqrt(variance + _VARIANCE_FLOOR) * self.weight + self.bias
        return normal

    def width(self, before: int) -> int:
        """Returns the input length.

        Raises:
            ManifestError: If a weight does not fit vectors of that length.
        """
        _check_shape("norm.weight", self.weight, (before,))
        _check_shape("norm.bias", self.bias, (before,))
        return before


def _check_shape(name: str, tensor: Matrix | None, expected: tuple[int, ...]) -> None:
    if tensor is not None and tensor.shape != expected:
        raise ManifestError(
            f"{name} of a layer after pooling must have the shape {list(expected)}, but has {list(tensor.shape)}"
        )


def open_module(options: Mapping[str, Any], root: Path) -> EmbedModule:
    """Opens a layer of a package.

    Args:
        options: Its ``type`` (``dense``, ``layer_norm`` or ``normalise``), and for the first two ``weights``, a
            safetensors file; a dense layer's ``activation`` and ``residual``.
        root: The folder of the package.

    Raises:
        ManifestError: If the type or the activation is unknown, or an option is missing.
        PackageError: If the weights cannot be read or lack a tensor.
        UnsafePathError: If the weights lie outside the package.
    """
    kind = required(options, "type", str)
    if kind == "normalise":
        return Normalise()
    openers: dict[str, Callable[[Mapping[str, Any], _Weights], EmbedModule]] = {
        "dense": _open_dense,
        "layer_norm": lambda _, weights: LayerNorm(weights.get("norm.weight"), weights.get("norm.bias")),
    }
    if kind not in openers:
        raise ManifestError(f"a layer after pooling must be one of normalise, {', '.join(openers)}, but is {kind!r}")
    return openers[kind](options, _Weights.read(member_path(root, required(options, "weights", str))))


def _open_dense(options: Mapping[str, Any], weights: _Weights) -> Dense:
    activation = required(options, "activation", str)
    if activation not in ACTIVATIONS:
        raise ManifestError(f"'activation' must be one of {', '.join(ACTIVATIONS)}, but is {activation!r}")
    return Dense(
        weights.get("linear.weight"),
        weights.find("linear.bias"),
        activation,
        bool(options.get("residual")),
        weights.find("residual.weight"),
    )


@dataclass(frozen=True)
class _Weights:
    path: Path
    tensors: Mapping[str, npt.NDArray[Any]]

    @classmethod
    def read(cls, path: Path) -> _Weights:
        try:
            return cls(path, read_arrays(path))
        except IntegrityError as error:
            raise PackageError(f"{path.parent.name} of the package: {error.message}", hint=error.hint) from error

    def find(self, name: str) -> Matrix | None:
        tensor = self.tensors.get(name)
        return None if tensor is None else tensor.astype(np.float32)

    def get(self, name: str) -> Matrix:
        tensor = self.find(name)
        if tensor is None:
            raise PackageError(
                f"{self.path.name} of {self.path.parent.name} lacks {name!r}; it has {sorted(self.tensors)}"
            )
        return tensor
