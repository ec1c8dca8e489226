"""Vectors in the forms that the protocols use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inferox.engine import Answer

_SHORTEST = 1e-12


def scale(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Scales vectors to length 1; a zero vector stays as it is.

    Args:
        vectors: Shape ``[n, dimension]``, float32.

    Returns:
        The scaled vectors; same shape and dtype.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: npt.NDArray[np.float32] = vectors / np.maximum(lengths, _SHORTEST)
    return scaled


def are_scaled(vectors: npt.NDArray[np.float32]) -> bool:
    """Returns True if all vectors have length 1, to within 1e-4.

    Args:
        vectors: Shape ``[n, dimension]``, float32.
    """
    return bool(np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4))


def scale_answer(answer: Answer) -> Answer:
    """Returns an answer with vectors of length 1. If they had others, they are no longer in the package's space.

    Args:
        answer: The answer, whose results are vectors.
    """
    if are_scaled(answer.results):
        return answer
    return replace(answer, results=scale(answer.results), embedding_space=None)


def to_bits(vectors: npt.NDArray[np.float32], *, signed: bool) -> npt.NDArray[np.uint8] | npt.NDArray[np.int8]:
    """Converts vectors to bits, in Cohere's form: a bit is 1 for a number of 0 or more, eight to a byte, first highest.

    Args:
        vectors: Shape ``[n, dimension]``, float32; the dimension is a multiple of 8.
        signed: Whether the bytes are int8: the unsigned ones minus 128.

    Returns:
        Shape ``[n, dimension / 8]``, uint8 or int8.
    """
    bits = np.packbits(vectors >= 0, axis=1)
    return (bits.astype(np.int16) - 128).astype(np.int8) if signed else bits
