"""Activation functions by name, computed with NumPy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def softmax(logits: npt.NDArray[Any]) -> Floats:
    """Computes the softmax over the last axis; float32."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probabilities: Floats = (shifted / shifted.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probabilities


def sigmoid(logits: npt.NDArray[Any]) -> Floats:
    """Computes the logistic function of each element; float32."""
    # exp of a large negative number correctly underflows to 0; of a large positive one, it would overflow.
    small = np.exp(-np.abs(logits))
    values: Floats = np.where(logits >= 0, 1 / (1 + small), small / (1 + small)).astype(np.float32)
    return values


_erf = np.frompyfunc(math.erf, 1, 1)


def _gelu(values: Floats) -> Floats:
    scaled: Floats = values * (1 + _erf(values / math.sqrt(2)).astype(np.float32)) / 2
    return scaled


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "identity": lambda values: values,
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0),
    "gelu": _gelu,
    "silu": lambda values: values * sigmoid(values),
    "sigmoid": sigmoid,
    "softmax": softmax,
}
"""The activation functions by name."""

_TORCH_CLASSES = {
    "Identity": "identity",
    "Tanh": "tanh",
    "ReLU": "relu",
    "GELU": "gelu",
    "SiLU": "silu",
    "Sigmoid": "sigmoid",
}


def activation_of_class(path: str) -> str | None:
    """Returns the name of the activation function that a PyTorch class computes; ``None`` if it is unknown.

    Args:
        path: The class with its module, such as ``torch.nn.modules.activation.Tanh``.
    """
    module, _, name = path.rpartition(".")
    return _TORCH_CLASSES.get(name) if module.split(".")[0] == "torch" else None
