"""Networks that are chains of layers, described by a file.

The file is a JSON object ``{"model_type": "sequential", "layers": [...]}``. Each layer is an object with its ``type``:

- ``linear``, with the names of ``weight`` and ``bias`` (``null`` for none) in the weights file;
- ``layer_norm`` over the last axis, with ``width``, ``eps``, and the names of ``weight`` and ``bias`` (or ``null``);
- an activation: ``gelu``, ``gelu_tanh``, ``relu``, ``sigmoid``, ``silu`` or ``tanh``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import candle

from inferox.backends.candle.errors import require_memory
from inferox.backends.candle.exchange import COPIES, to_candle
from inferox.backends.candle.layers import ACTIVATION_LAYERS, Layer, LayerNorm, Linear
from inferox.backends.candle.tensor import CandleTensor
from inferox.backends.candle.weights import Weights
from inferox.core import LoadError, TensorLike, counted, to_array

MODEL_TYPE = "sequential"
"""The ``model_type`` in such a file."""


class Sequential:
    """A chain of layers, each of which maps the numbers of the last axis.

    Args:
        config: The content of the file.
        weights: The weights that it names; all of them must be used.

    Raises:
        LoadError: If the file is malformed or has an unknown layer, or if a weight is missing, unused, or of another
            shape.
    """

    def __init__(self, config: Mapping[str, Any], weights: Weights) -> None:
        described = config.get("layers")
        if not isinstance(described, list):
            raise LoadError(f"the config of a chain of layers must list its layers, but has {described!r}")
        self._layers = [_read_layer(item, weights) for item in described]
        weights.require_all_taken()

    def __call__(self, inputs: Mapping[str, TensorLike]) -> candle.Tensor:
        """Computes the chain.

        Args:
            inputs: One tensor, ``f32[..., numbers]``.

        Returns:
            ``f32[..., numbers]``: with the last axis as the last layer returns it.

        Raises:
            OutOfMemoryError: If there is not enough memory.
            Exception: Whatever Candle raises.
        """
        (value,) = inputs.values()
        shape = tuple(value.shape)
        width = self._output_width(shape[-1]) if shape else 1
        if 0 in (*shape, width):
            # Candle's reductions refuse tensors without elements.
            return candle.zeros((*shape[:-1], width))
        rows = prod(shape[:-1])
        widest = max([shape[-1] if shape else 1, *(layer.weight.shape[1] for layer in self._linear_layers)])
        require_memory(4 * rows * widest * COPIES, f"{counted(rows, 'row')} of {counted(widest, 'number')}")
        states = _to_candle(value).reshape((rows, shape[-1] if shape else 1))
        for layer in self._layers:
            states = layer(states)
        return states.reshape((*shape[:-1], width) if shape else ())

    @property
    def _linear_layers(self) -> Sequence[Linear]:
        return [layer for layer in self._layers if isinstance(layer, Linear)]

    def _output_width(self, input_width: int) -> int:
        linear = self._linear_layers
        return int(linear[-1].weight.shape[1]) if linear else input_width


def _to_candle(value: TensorLike) -> candle.Tensor:
    if isinstance(value, CandleTensor):
        return value.candle
    return to_candle(to_array(value))


def _read_layer(described: Any, weights: Weights) -> Layer:
    kind = described.get("type") if isinstance(described, dict) else None
    if kind == "linear":
        weight, bias = (_name(described, part) for part in ("weight", "bias"))
        if weight is None:
            raise LoadError("a linear layer must name its weight")
        matrix = weights.take(weight, (None, None))
        return Linear(matrix.t().contiguous(), None if bias is None else weights.take(bias, (matrix.shape[0],)))
    if kind == "layer_norm":
        width, eps = described.get("width"), described.get("eps")
        if type(width) is not int or width < 1 or not isinstance(eps, float):
            raise LoadError(f"a layer_norm must state its width and eps as numbers, but states {width!r} and {eps!r}")
        names = (_name(described, part) for part in ("weight", "bias"))
        weight, bias = (None if name is None else weights.take(name, (width,)) for name in names)
        return LayerNorm(weight, bias, width, eps)
    if isinstance(kind, str) and kind in ACTIVATION_LAYERS:
        return ACTIVATION_LAYERS[kind]
    raise LoadError(f"a layer must be one of linear, layer_norm, {', '.join(ACTIVATION_LAYERS)}, but is {kind!r}")


def _name(described: Mapping[str, Any], part: str) -> str | None:
    name = described.get(part)
    if name is not None and not isinstance(name, str):
        raise LoadError(f"a layer's {part} must be the name of a weight, but is {name!r}")
    return name
