"""The generation of inputs for a graph of which only the signature is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, zip_longest
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import BATCH, DataType, PackageError, TensorSpec

Call = dict[str, npt.NDArray[Any]]

MOST_ELEMENTS = 2**27
"""The most elements of a generated example: half a GiB in fp32, and more than two images of 4096 x 4096."""

_MOST_TRIES = 256

_IMAGE_AXES = 4
_MOST_CHANNELS = 4

_EXTENTS = (8, 32, 64, 16, 48, 128, 224, 256, 320, 512, 640, 100, 80, 40, 1, 2, 3, 4, 576, 1024, 16000)
"""Extents to try for free dims other than rows: lengths of texts and audio, sides of images, numbers of features."""

_SIDES = (64, 32, 48, 224, 128, 96, 256, 320, 384, 416, 512, 640, 28, 16, 8, 1)
"""Extents to try for free sides of images."""

_CHANNELS = (3, 1)

_SAMPLING_RATES = frozenset({"sr", "sample_rate", "sampling_rate"})
_SAMPLING_RATE = 16000

_FEW_INTEGERS = 10
"""The exclusive bound of generated integers of unknown meaning: small enough to be counts, lengths and classes."""


class Draw:
    """Draws the values of inputs; the same each time.

    Args:
        seed: The random seed.
        scale: The standard deviation of floating-point numbers.
        integers: The values of integers of unknown meaning: ``varied``, or all ``ones`` or ``zeros``.
        positive: Whether floating-point numbers are drawn without signs, as variances and counts have none.
    """

    def __init__(self, seed: int = 0, *, scale: float = 1.0, integers: str = "varied", positive: bool = False) -> None:
        self._random = np.random.default_rng(seed)
        self._scale = scale
        self._integers = integers
        self._positive = positive

    def draw(self, spec: TensorSpec, shape: Sequence[int]) -> npt.NDArray[Any]:
        """Draws one input.

        Floating-point numbers are drawn from a normal distribution, indices from their whole range, including the least
        and the greatest, and 8-bit unsigned numbers, which are mostly pixels, from their whole range. Nothing is
        masked.

        Args:
            spec: The input.
            shape: The extent of each axis.
        """
        dtype, name = spec.dtype.numpy_dtype, spec.name.lower()
        if spec.dtype.is_floating:
            numbers = self._random.standard_normal(tuple(shape)) * self._scale
            return np.asarray(np.abs(numbers) if self._positive else numbers, dtype=dtype)
        if spec.upper_bound is not None:
            return self._indices(spec.upper_bound, shape).astype(dtype)
        if "mask" in name:
            return np.ones(tuple(shape), dtype)
        if name in _SAMPLING_RATES:
            return np.full(tuple(shape), _SAMPLING_RATE, dtype)
        if self._integers != "varied":
            return np.full(tuple(shape), int(self._integers == "ones"), dtype)
        highest = 2 if spec.dtype is DataType.BOOL else 256 if spec.dtype is DataType.U8 else _FEW_INTEGERS
        return np.asarray(self._random.integers(0, highest, tuple(shape)), dtype=dtype)

    def _indices(self, upper_bound: int, shape: Sequence[int]) -> npt.NDArray[Any]:
        drawn = np.asarray(self._random.integers(0, upper_bound, tuple(shape)))
        if drawn.size > 1:
            drawn.flat[0], drawn.flat[-1] = upper_bound - 1, 0
        return drawn


def plausible_inputs(inputs: Sequence[TensorSpec]) -> Iterator[Call]:
    """Generates inputs of several shapes and kinds of values, the most common ones first.

    Args:
        inputs: The inputs of the graph.

    Raises:
        PackageError: If every one would have too many elements.
    """
    found = False
    for call in islice(_combine(inputs), _MOST_TRIES):
        found = True
        yield call
    if not found:
        largest = max(inputs, key=lambda spec: prod(dim for dim in spec.dims if isinstance(dim, int)))
        raise PackageError(
            f"the input {largest} has too many elements for an example to be made",
            hint="give example inputs with --samples, if that is what it takes",
        )


def _combine(inputs: Sequence[TensorSpec]) -> Iterator[Call]:
    seen = set()
    for shapes in _shapes(inputs):
        key = tuple(shapes)
        if key in seen or any(prod(shape) > MOST_ELEMENTS for shape in shapes):
            continue
        seen.add(key)
        kinds = ("varied", "ones", "zeros") if _has_unknown_integers(inputs) else ("varied",)
        for integers, positive in (*((kind, False) for kind in kinds), ("varied", True)):
            draw = Draw(integers=integers, positive=positive)
            call = {spec.name: draw.draw(spec, shape) for spec, shape in zip(inputs, shapes, strict=True)}
            yield _with_lengths(inputs, call)


def _with_lengths(inputs: Sequence[TensorSpec], call: Call) -> Call:
    """Sets inputs that, by their names, are lengths to the whole length of the rows."""
    lengths = [spec for spec in inputs if _is_length(spec)]
    whole = max((call[spec.name].shape[1] for spec in inputs if len(spec.dims) > 1), default=None)
    if whole is None:
        return call
    return call | {spec.name: np.full_like(call[spec.name], whole) for spec in lengths}


def _is_length(spec: TensorSpec) -> bool:
    return not spec.dtype.is_floating and len(spec.dims) <= 1 and "len" in spec.name.lower()


def _shapes(inputs: Sequence[TensorSpec]) -> Iterator[list[tuple[int, ...]]]:
    has_sides = any(is_side(spec, axis) for spec in inputs for axis in range(len(spec.dims)))
    for extent, side in zip_longest(_EXTENTS, _SIDES if has_sides else (), fillvalue=_SIDES[0]):
        for rows in (2, 1):
            for channels in _CHANNELS if any(_has_free_channels(spec) for spec in inputs) else _CHANNELS[:1]:
                guess = _Guess(rows, channels, side, extent)
                yield [tuple(guess.extent(spec, axis) for axis in range(len(spec.dims))) for spec in inputs]


@dataclass(frozen=True)
class _Guess:
    """The extents assumed for free dims: rows, channels and sides of images, and everything else."""

    rows: int
    channels: int
    side: int
    other: int

    def extent(self, spec: TensorSpec, axis: int) -> int:
        dim = spec.dims[axis]
        if isinstance(dim, int):
            return dim
        if dim == BATCH or axis == 0 or _is_state_row(spec, axis):
            return self.rows
        if axis == 1 and _has_free_channels(spec):
            return self.channels
        return self.side if is_side(spec, axis) else self.other


def is_side(spec: TensorSpec, axis: int) -> bool:
    """Returns whether a free axis is a side of an image: of ``[rows, channels, height, width]``, or with channels last.

    Args:
        spec: The input.
        axis: The axis.
    """
    if len(spec.dims) != _IMAGE_AXES or not isinstance(spec.dims[axis], str):
        return False
    return axis in {1, 2} if spec.dims[3] in {1, 3, 4} else axis in {2, 3} and not _is_wide(spec)


def _is_state_row(spec: TensorSpec, axis: int) -> bool:
    """Returns whether an axis counts the rows of a recurrent state, as in ``[layers, rows, 128]``."""
    return axis == 1 and len(spec.dims) == 3 and isinstance(spec.dims[0], int) and isinstance(spec.dims[2], int)  # noqa: PLR2004


def _has_free_channels(spec: TensorSpec) -> bool:
    return len(spec.dims) == _IMAGE_AXES and isinstance(spec.dims[1], str) and not isinstance(spec.dims[3], int)


def _is_wide(spec: TensorSpec) -> bool:
    """Returns whether the second axis is larger than an image's channels, and so counts heads or features."""
    return isinstance(spec.dims[1], int) and spec.dims[1] > _MOST_CHANNELS


def _has_unknown_integers(inputs: Sequence[TensorSpec]) -> bool:
    return any(not spec.dtype.is_floating and spec.upper_bound is None for spec in inputs)
