"""A small model that every backend can express: a perceptron with known outputs.

``y = W4 · relu(W2 · relu(W0 · x + b0) + b2) + b4``, with the names that ``torch.nn.Sequential`` gives its layers.
It computes every row independently, and is just large enough for a leak of its weights to stand out from noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from inferox.core import BATCH, WEIGHTS_FILE, DataType, Signature, TensorSpec

WIDTHS = (8, 1024, 1024, 3)
"""The number of inputs, the widths of the two hidden layers, and the number of outputs."""

LAYERS = ("0", "2", "4")
"""The prefixes of the layers' weights: ``0.weight``, ``0.bias``; a ReLU follows all layers but the last."""

SIGNATURE = Signature(
    (TensorSpec("x", DataType.F32, (BATCH, WIDTHS[0])),), (TensorSpec("y", DataType.F32, (BATCH, WIDTHS[-1])),)
)
"""``x``: f32 ``[batch, 8]``; ``y``: f32 ``[batch, 3]``."""

WEIGHTS_BYTES = 4 * sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(WIDTHS))
"""The size of all weights in fp32."""

Arrays = dict[str, npt.NDArray[Any]]


@cache
def mlp_weights() -> Mapping[str, npt.NDArray[np.float32]]:
    """Returns the weights by name, each ``weight`` ``[out, in]`` and ``bias`` ``[out]``, the same in every process."""
    random, weights = np.random.default_rng(0), {}
    for layer, (fan_in, fan_out) in zip(LAYERS, pairwise(WIDTHS), strict=True):
        weights[f"{layer}.weight"] = (random.standard_normal((fan_out, fan_in)) / np.sqrt(fan_in)).astype(np.float32)
        weights[f"{layer}.bias"] = random.standard_normal(fan_out).astype(np.float32)
    for array in weights.values():
        array.setflags(write=False)
    return weights


def mlp_inputs(rows: int, *, seed: int = 0) -> Arrays:
    """Draws inputs.

    Args:
        rows: The number of rows.
        seed: The random seed.

    Returns:
        ``x``, f32 ``[rows, 8]``.
    """
    return {"x": np.random.default_rng(seed).standard_normal((rows, WIDTHS[0])).astype(np.float32)}


def mlp_outputs(inputs: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    """Computes the outputs in double precision.

    Args:
        inputs: ``x``, ``[rows, 8]``.

    Returns:
        ``y``, f32 ``[rows, 3]``.
    """
    hidden, weights = inputs["x"].astype(np.float64), mlp_weights()
    for layer in LAYERS:
        hidden = hidden @ weights[f"{layer}.weight"].T.astype(np.float64) + weights[f"{layer}.bias"]
        hidden = hidden if layer == LAYERS[-1] else np.maximum(hidden, 0)
    return {"y": hidden.astype(np.float32)}


def save_mlp_weights(root: Path) -> str:
    """Writes the weights to their place in a package.

    Args:
        root: The folder of the package.

    Returns:
        The file's path relative to the root.
    """
    path = root / WEIGHTS_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(dict(mlp_weights()), path)
    return WEIGHTS_FILE
