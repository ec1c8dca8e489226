"""The contract of a network: named arrays in, one Candle tensor out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import candle

from inferox.core import TensorLike


class Network(Protocol):
    """A network with its weights. Several threads may call it at once."""

    def __call__(self, inputs: Mapping[str, TensorLike]) -> candle.Tensor:
        """Computes the single output.

        Args:
            inputs: The tensors by name, known to fit the signature.

        Raises:
            RequestError: If a number in them is invalid, such as an unknown token.
            OutOfMemoryError: If there is not enough memory.
            Exception: Whatever Candle raises, to be translated by the caller.
        """
