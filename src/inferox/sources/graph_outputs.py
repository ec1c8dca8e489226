"""The measurement of what a graph's outputs depend on: values, rows, or randomness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import ExecutionError, PackageError, Signature, TensorSpec, counted
from inferox.sources.measure import Arrays, Run

_ALIKE = 1e-3
"""The largest difference, as a share of the largest number, between results of the same operations."""


def find_free_extents(run: Run, signature: Signature, first: Arrays, other: Arrays) -> Signature:
    """Names the extents of outputs that depend on values, such as the number of detected objects.

    Args:
        run: Computes the graph.
        signature: Its signature, as far as the extents of inputs determine it.
        first: A call that it takes.
        other: Another call of the same shapes; if it fails, nothing is learned from it.
    """
    before = run(first)
    try:
        after = run(other)
    except ExecutionError:
        return signature

    def free(spec: TensorSpec) -> TensorSpec:
        old, new = before[spec.name].shape, after[spec.name].shape
        if len(old) != len(new):
            raise PackageError(
                f"the output {spec.name!r} has {counted(len(old), 'axis', 'axes')} for some values, "
                f"but {len(new)} for others",
                hint="a model must give the same outputs with the same number of axes for every call",
            )
        same = [a == b for a, b in zip(old, new, strict=True)]
        dims = tuple(dim if same[axis] else f"{spec.name}_{axis}" for axis, dim in enumerate(spec.dims))
        return replace(spec, dims=dims)

    return replace(signature, outputs=tuple(map(free, signature.outputs)))


def free_extents(signature: Signature, axes: Mapping[str, Sequence[int]]) -> Signature:
    """Returns a signature with names for output extents that were the same in all calls so far, but need not be.

    Args:
        signature: The graph's signature.
        axes: The axes by output.
    """

    def free(spec: TensorSpec) -> TensorSpec:
        dims = tuple(
            f"{spec.name}_{axis}" if isinstance(dim, int) and axis in axes.get(spec.name, ()) else dim
            for axis, dim in enumerate(spec.dims)
        )
        return replace(spec, dims=dims)

    return replace(signature, outputs=tuple(map(free, signature.outputs)))


def check_repeatable(run: Run, inputs: Arrays, name: str) -> None:
    """Refuses a graph that gives different answers for the same inputs.

    Args:
        run: Computes the graph.
        inputs: A call that it takes.
        name: The name of the graph in messages.

    Raises:
        PackageError: If two runs differ.
    """
    first, second = run(inputs), run(inputs)
    for output, array in first.items():
        if not is_alike(array, second[output]):
            raise PackageError(
                f"{name} gives another {output!r} each time for the same inputs: it is random, or keeps a state",
                hint="export it in evaluation mode, with noise and state as inputs",
            )


def is_row_wise(run: Run, signature: Signature, inputs: Arrays, dim: str) -> bool:
    """Returns whether each row of every output depends only on the same row of every input.

    Args:
        run: Computes the graph.
        signature: The graph's signature; the first dim of every tensor is ``dim``.
        inputs: Inputs of several rows with different values.
        dim: The dim that may count rows.
    """
    rows = len(next(iter(inputs.values())))
    if rows == 1:
        inputs = {name: np.concatenate([array, _rolled(array)]) for name, array in inputs.items()}
        rows = 2
    try:
        together = run(inputs)
        alone = [run({name: array[row : row + 1] for name, array in inputs.items()}) for row in range(rows)]
    except ExecutionError:
        return False
    outputs = [spec.name for spec in signature.outputs if spec.dims[:1] == (dim,)]
    return all(is_alike(together[name], np.concatenate([part[name] for part in alone])) for name in outputs)


def rename_dim(signature: Signature, dim: str, name: str) -> Signature:
    """Returns a signature with a dim renamed.

    Args:
        signature: The signature.
        dim: The old name.
        name: The new name.
    """

    def rename(specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
        return tuple(
            replace(spec, dims=tuple(name if known == dim else known for known in spec.dims)) for spec in specs
        )

    return replace(signature, inputs=rename(signature.inputs), outputs=rename(signature.outputs))


def is_alike(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> bool:
    """Returns whether two arrays are equal except for rounding; NaN and infinities must be in the same places.

    Args:
        first: An array.
        second: Another.
    """
    if first.shape != second.shape:
        return False
    if first.dtype.kind != "f" or not first.size:
        return bool(np.array_equal(first, second))
    one, other = first.astype(np.float64), second.astype(np.float64)
    finite = np.abs(one[np.isfinite(one)])
    scale = float(finite.max()) if finite.size else 0.0
    return bool(np.allclose(one, other, rtol=0, atol=_ALIKE * scale, equal_nan=True))


def _rolled(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Makes other rows by rearranging the same values."""
    return np.roll(array.reshape(-1), 1).reshape(array.shape)
