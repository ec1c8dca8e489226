"""The four similarity measures of sentence-transformers, computed with NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import ConfigError, RequestError
from inferox.tasks.embed_modules import SHORTEST

Floats = npt.NDArray[Any]
Measure = Callable[[Floats, Floats], Floats]


def compare_all(name: str, first: Floats, second: Floats) -> Floats:
    """Compares each vector of the first with each of the second.

    Args:
        name: A measure of ``SIMILARITIES``; higher is more similar.
        first: Shape ``[n, dimension]``, or ``[dimension]`` for a single one.
        second: Shape ``[m, dimension]`` or ``[dimension]``.

    Returns:
        The similarities; shape ``[n, m]``.

    Raises:
        RequestError: If the vectors differ in dimension.
    """
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    _check_dimensions(first, second)
    return _ALL[name](first, second)


def compare_pairs(name: str, first: Floats, second: Floats) -> Floats:
    """Compares vectors pairwise.

    Args:
        name: A measure of ``SIMILARITIES``; higher is more similar.
        first: Shape ``[n, dimension]`` or ``[dimension]``.
        second: The same shape.

    Returns:
        The similarities; shape ``[n]``, or a scalar for single vectors.

    Raises:
        RequestError: If the vectors differ in dimension or in number.
    """
    _check_dimensions(first, second)
    if first.shape != second.shape and 1 not in (first[..., 0].size, second[..., 0].size):
        raise RequestError(f"pairs need equally many vectors on both sides, not {len(first)} and {len(second)}")
    return _PAIRS[name](first, second)


def parse_similarity(value: Any) -> str:
    """Returns the name of a measure.

    Args:
        value: The name, or a member of sentence-transformers' ``SimilarityFunction``.

    Raises:
        ConfigError: If there is no such measure.
    """
    name = getattr(value, "value", value)
    if name not in SIMILARITIES:
        raise ConfigError(f"similarity_fn_name must be one of {', '.join(SIMILARITIES)}, but is {name!r}")
    return str(name)


def _check_dimensions(first: Floats, second: Floats) -> None:
    if first.shape[-1:] != second.shape[-1:]:
        raise RequestError(f"vectors of different dimensions cannot be compared: {first.shape} and {second.shape}")


def _normalise(vectors: Floats) -> Floats:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Floats = vectors / np.maximum(lengths, SHORTEST)
    return scaled


def _euclidean(first: Floats, second: Floats) -> Floats:
    # In float64, in which the difference of two large squares keeps its digits.
    wide, other = first.astype(np.float64), second.astype(np.float64)
    squares = np.square(wide).sum(axis=1)[:, None] + np.square(other).sum(axis=1) - 2 * (wide @ other.T)
    distances: Floats = np.sqrt(np.maximum(squares, 0)).astype(np.result_type(first, second))
    return -distances


def _manhattan(first: Floats, second: Floats) -> Floats:
    # Row by row: all differences at once would take pairs times dimensions numbers.
    sums = [np.abs(row - second).sum(axis=1) for row in first]
    return -np.stack(sums) if sums else np.empty((0, len(second)), np.result_type(first, second))


_ALL: dict[str, Measure] = {
    "cosine": lambda first, second: _normalise(first) @ _normalise(second).T,
    "dot": lambda first, second: first @ second.T,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
}

_PAIRS: dict[str, Measure] = {
    "cosine": lambda first, second: (_normalise(first) * _normalise(second)).sum(axis=-1),
    "dot": lambda first, second: (first * second).sum(axis=-1),
    "euclidean": lambda first, second: -np.linalg.norm(first - second, axis=-1),
    "manhattan": lambda first, second: -np.abs(first - second).sum(axis=-1),
}

SIMILARITIES = tuple(_ALL)
"""The names of the measures; the first is the default."""
