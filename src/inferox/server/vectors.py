"""Vectors in the forms that the protocols use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from inferox.engine import Answer
from inferox.tasks.vector_settings import VectorRanges

_SHORTEST, _STEPS = 1e-12, 255


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


def are_scaled(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Returns for each vector whether its length is 1, to within 1e-4.

    Args:
        vectors: Shape ``[n, dimension]``, float32.

    Returns:
        Shape ``[n]``.
    """
    scaled: npt.NDArray[np.bool_] = np.isclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    return scaled


def cut_answer(answer: Answer, dimensions: int) -> Answer:
    """Cuts the vectors of an answer; those of length 1 are scaled to it again. They get a space of their own.

    Args:
        answer: The answer, whose results are vectors.
        dimensions: The number of leading components to keep.
    """
    kept = np.ascontiguousarray(answer.results[:, :dimensions])
    results = np.where(are_scaled(answer.results)[:, None], scale(kept), kept)
    space = None if answer.embedding_space is None else f"{answer.embedding_space}-{dimensions}"
    return replace(answer, results=results, embedding_space=space)


def scale_answer(answer: Answer) -> Answer:
    """Returns an answer with vectors of length 1. If they had others, they are no longer in the package's space.

    Args:
        answer: The answer, whose results are vectors.
    """
    if are_scaled(answer.results).all():
        return answer
    return replace(answer, results=scale(answer.results), embedding_space=None)


def to_int8(
    vectors: npt.NDArray[np.float32], ranges: VectorRanges, *, signed: bool
) -> npt.NDArray[np.uint8] | npt.NDArray[np.int8]:
    """Converts vectors to 8-bit integers, as sentence-transformers' ``quantize_embeddings`` does.

    The range of each number is divided into 255 steps; what lies outside becomes the nearest end.

    Args:
        vectors: Shape ``[n, dimension]``, float32.
        ranges: The minima and the maxima of the numbers.
        signed: Whether the integers are int8: the unsigned ones minus 128.

    Returns:
        The integers; same shape, uint8 or int8.
    """
    low, high = np.asarray(ranges, np.float32)
    steps = (high - low) / _STEPS
    found: npt.NDArray[np.float32] = np.clip(np.floor((vectors - low) / np.where(steps == 0, 1, steps)), 0, _STEPS)
    return (found - 128).astype(np.int8) if signed else found.astype(np.uint8)


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
