"""The layers of models, for matrices with one row per token or per item."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import pi, sqrt

import candle
from candle import functional

Layer = Callable[[candle.Tensor], candle.Tensor]
"""A function that maps a matrix to one with the same number of rows."""


@dataclass(frozen=True)
class Linear:
    """A matrix product and a bias.

    Attributes:
        weight: ``f32[inputs, outputs]`` in row-major order, the transpose of PyTorch's: the product of two matrices in
            that order is fastest.
        bias: ``f32[outputs]``, or ``None``.
    """

    weight: candle.Tensor
    bias: candle.Tensor | None

    def __call__(self, rows: candle.Tensor) -> candle.Tensor:
        """Maps ``f32[rows, inputs]`` to ``f32[rows, outputs]``."""
        product = rows.matmul(self.weight)
        return product if self.bias is None else product.broadcast_add(self.bias)


@dataclass(frozen=True)
class LayerNorm:
    """Normalises each row to mean 0 and variance 1, then scales and shifts it.

    Attributes:
        weight: ``f32[width]``, or ``None``.
        bias: ``f32[width]``, or ``None``.
        width: The length of a row.
        eps: The epsilon added to the variance.
    """

    weight: candle.Tensor | None
    bias: candle.Tensor | None
    width: int
    eps: float

    def __call__(self, rows: candle.Tensor) -> candle.Tensor:
        """Maps ``f32[rows, width]`` to the same shape."""
        centred = rows.broadcast_sub(rows.sum_keepdim(1) / float(self.width))
        variance = centred.sqr().sum_keepdim(1) / float(self.width)
        normalised = centred.broadcast_div((variance + self.eps).sqrt())
        scaled = normalised if self.weight is None else normalised.broadcast_mul(self.weight)
        return scaled if self.bias is None else scaled.broadcast_add(self.bias)


def sigmoid(values: candle.Tensor) -> candle.Tensor:
    """Computes ``1 / (1 + exp(-x))``, which Candle's Python module lacks."""
    return ((values * -1.0).exp() + 1.0).recip()


def gelu_tanh(values: candle.Tensor) -> candle.Tensor:
    """Computes GELU as ``0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))``.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units (arXiv:1606.08415), section 2. As ``0.5 (1 + tanh(z))``
    equals ``1 / (1 + exp(-2 z))``, this avoids the hyperbolic tangent, which takes Candle eight times as long as
    ``exp``.
    """
    cubic = values * ((values.sqr() * 0.044715) + 1.0)
    return values / ((cubic * (-2.0 * sqrt(2.0 / pi))).exp() + 1.0)


ACTIVATION_LAYERS: dict[str, Layer] = {
    # Candle's is exact: it computes the error function, in double precision.
    "gelu": functional.gelu,
    "gelu_tanh": gelu_tanh,
    "relu": functional.relu,
    "sigmoid": sigmoid,
    "silu": functional.silu,
    "tanh": functional.tanh,
}
"""The activations, by this backend's names."""
