"""The measurement of a model's output dims by running it, so that its signature is correct."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import DataType, Dim, ExecutionError, PackageError, Signature, TensorSpec, counted

Arrays = Mapping[str, npt.NDArray[Any]]

Run = Callable[[Arrays], dict[str, npt.NDArray[Any]]]
"""A function that computes named outputs from named inputs. It raises ``ExecutionError`` if the model fails."""


_GIVEN_EXAMPLES = "check that they have the names, types and shapes that the model takes"


def measure_signature(
    run: Run,
    inputs: Sequence[TensorSpec],
    examples: Arrays,
    *,
    assumed: frozenset[str] = frozenset(),
    hint: str = _GIVEN_EXAMPLES,
) -> Signature:
    """Finds a model's outputs by running it on examples, and once more for each named dim.

    An output extent that equals a named dim takes its name. One that depends on a named dim in another way gets a name
    of its own, such as ``output_1`` for axis 1 of ``output``. All others are fixed.

    Args:
        run: Computes the model.
        inputs: The inputs of the model.
        examples: Inputs that fit.
        assumed: Dims that nobody stated: if the model takes no other extent, they become fixed; if it takes one only
            together with other such dims of the same extent, they all get the first one's name.
        hint: The advice if the model fails on the examples.

    Raises:
        PackageError: If the model fails on the examples, or with another extent of a named dim that is not assumed; or
            if the number of an output's axes depends on an extent.
        UnsupportedDTypeError: If an output has a data type that NumPy lacks.
    """
    try:
        base = run(examples)
    except ExecutionError as error:
        shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in examples.items())
        raise PackageError(
            f"the model fails on its example inputs {shapes}: {error.message}",
            hint=hint,
        ) from error
    outputs = {name: TensorSpec(name, DataType.from_numpy(value.dtype), value.shape) for name, value in base.items()}
    fixed: dict[Dim, int] = {}
    left = _extents(inputs, examples)
    while left:
        dim, extent = next(iter(left.items()))
        del left[dim]
        try:
            other, changed = _run_varied(run, inputs, examples, dim, extent)
        except ExecutionError as error:
            if dim not in assumed:
                raise PackageError(
                    f"the model fails when {dim} is not {extent}, as it is in the example inputs: {error.message}",
                    hint=f"state the dims of its inputs with {extent} in place of {dim}",
                ) from error
            joined = _join_dims(run, inputs, examples, dim, {name for name in left if left[name] == extent} & assumed)
            if joined is None:
                fixed[dim] = extent
                continue
            inputs, other, changed = joined
            left = {name: old for name, old in left.items() if any(name in spec.dims for spec in inputs)}
        outputs = {
            name: _follow(spec, base[name].shape, changed.get(name), dim, (extent, other))
            for name, spec in outputs.items()
        }
    return Signature(
        tuple(replace(spec, dims=tuple(fixed.get(dim, dim) for dim in spec.dims)) for spec in inputs),
        tuple(outputs.values()),
    )


def _join_dims(
    run: Run, inputs: Sequence[TensorSpec], examples: Arrays, dim: str, others: set[str]
) -> tuple[Sequence[TensorSpec], int, dict[str, npt.NDArray[Any]]] | None:
    """Finds dims that must vary together with one that the model does not vary by itself.

    Returns:
        The inputs with that one name for all, the other extent, and the model's outputs for it; ``None`` if there are
        no such dims.
    """
    for group in (*({name} for name in sorted(others)), *([others] if len(others) > 1 else ())):
        renamed = [replace(spec, dims=tuple(dim if name in group else name for name in spec.dims)) for spec in inputs]
        try:
            other, changed = _run_varied(run, renamed, examples, dim, _extents(renamed, examples)[dim])
        except ExecutionError:
            continue
        return renamed, other, changed
    return None


def _extents(inputs: Sequence[TensorSpec], examples: Arrays) -> dict[str, int]:
    """Returns the extent of each named dim in the examples."""
    return {
        dim: extent
        for spec in inputs
        for dim, extent in zip(spec.dims, examples[spec.name].shape, strict=True)
        if isinstance(dim, str)
    }


def _run_varied(
    run: Run, inputs: Sequence[TensorSpec], examples: Arrays, dim: str, extent: int
) -> tuple[int, dict[str, npt.NDArray[Any]]]:
    """Runs the model with another extent of one dim; returns the first extent that it takes, with the outputs."""
    failure: ExecutionError | None = None
    # Twice the extent stays a multiple of whatever it was a multiple of, but may exceed a limit, so others follow. An
    # extent of one would show nothing, as it is broadcast to any extent.
    for other in (2 * extent, extent + 1, extent // 2) if extent else (3,):
        if other in {0, 1, extent}:
            continue
        try:
            return other, run({spec.name: stretch(examples[spec.name], spec, dim, other) for spec in inputs})
        except ExecutionError as error:
            failure = failure or error
    raise failure or ExecutionError(f"{dim} is empty in the example inputs")


def stretch(example: npt.NDArray[Any], spec: TensorSpec, dim: str, extent: int) -> npt.NDArray[Any]:
    """Repeats or cuts an example along the axes of one dim; an empty one is extended by zeros.

    Args:
        example: An input.
        spec: The specification of the input.
        dim: The named dim.
        extent: The new extent, in elements.
    """
    for axis, name in enumerate(spec.dims):
        if name == dim and not example.shape[axis]:
            example = np.zeros((*example.shape[:axis], extent, *example.shape[axis + 1 :]), example.dtype)
        elif name == dim:
            example = example.take(np.arange(extent) % example.shape[axis], axis=axis)
    # Not ascontiguousarray, which turns a scalar into a vector.
    return np.asarray(example, order="C")


def _follow(
    spec: TensorSpec, before: tuple[int, ...], changed: npt.NDArray[Any] | None, dim: str, extents: tuple[int, int]
) -> TensorSpec:
    """Updates an output's dims from its shapes for two extents of an input dim."""
    if changed is None or changed.ndim != len(before):
        raise PackageError(
            f"the output {spec.name!r} has {counted(len(before), 'axis', 'axes')}, "
            f"but another number when {dim} is {extents[1]}",
            hint="a model must give the same outputs with the same number of axes for every call",
        )
    dims = list(spec.dims)
    for axis, (old, new) in enumerate(zip(before, changed.shape, strict=True)):
        if new != old:
            dims[axis] = dim if (old, new) == extents and dims[axis] == old else f"{spec.name}_{axis}"
    return replace(spec, dims=tuple(dims))
