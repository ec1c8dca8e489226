"""A source that is a graph of another runtime, which then computes the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import save_file

from inferox.core import (
    BATCH,
    Dim,
    ExecutionError,
    LoadError,
    PackageError,
    Precision,
    Signature,
    SourceFacts,
    SourceModel,
    TensorSpec,
)
from inferox.sources.graph_dims import is_made_up
from inferox.sources.graph_inputs import Draw, is_side, plausible_inputs
from inferox.sources.graph_outputs import check_repeatable, find_free_extents, free_extents, is_row_wise, rename_dim
from inferox.sources.measure import Run, measure_signature, stretch

_SCALES = (0.1, 10.0)
"""The standard deviations of sample numbers besides 1, as a model's outputs may be negligible at one of them."""


class GraphSource(SourceModel):
    """A graph that its own runtime computes on the CPU. Opening one runs it to find the dims of its outputs.

    Args:
        facts: The facts about the model.
        run: Computes the graph.
        inputs: The inputs of the graph.
        backend: The backend whose runtime computes it.
        precision: The precision of the graph.
        examples: Inputs that came with it, by name; ``None`` to try plausible ones.
        stated: The dims that the user named, of which the graph must take more than one extent each.
        loose_axes: The axes of outputs whose extents may depend on values, whether or not they do for the examples.
        weights: The weights, by name, that can be stored apart from the graph.
        num_parameters: The number of parameters.

    Raises:
        PackageError: If the model fails on the examples or on everything that is tried, or gives different answers for
            the same inputs.
    """

    def __init__(
        self,
        facts: SourceFacts,
        run: Run,
        inputs: Sequence[TensorSpec],
        *,
        backend: str,
        precision: Precision,
        examples: Mapping[str, npt.NDArray[Any]] | None,
        stated: frozenset[str] = frozenset(),
        loose_axes: Mapping[str, Sequence[int]] | None = None,
        weights: Mapping[str, npt.NDArray[Any]],
        num_parameters: int,
    ) -> None:
        self._run = run
        self._backend = backend
        self._precision = precision
        self._examples = examples
        self._weights = weights
        self._num_parameters = num_parameters
        self._probe = _find_inputs(run, inputs, facts.name) if examples is None else dict(examples)
        named = {dim for spec in inputs for dim in spec.dims if isinstance(dim, str)}
        measured = measure_signature(run, inputs, self._probe, assumed=frozenset(named - stated))
        measured = find_free_extents(run, measured, self._probe, self._redraw(measured, 1))
        measured = free_extents(measured, loose_axes or {})
        check_repeatable(run, self._probe, facts.name)
        self._signature = self._with_rows(measured, stated)
        self._facts = replace(facts, notes=(*facts.notes, *_fixed_notes(inputs, measured)))

    @property
    def facts(self) -> SourceFacts:
        """The facts about the model."""
        return self._facts

    @property
    def signature(self) -> Signature:
        """The named tensors that it takes and returns."""
        return self._signature

    @property
    def module(self) -> Any:
        """Raises an error, since it is not a PyTorch module.

        Raises:
            LoadError: Always.
        """
        raise LoadError(f"{self._facts.name} is a graph in the format {self._facts.kind}, not a PyTorch module")

    @property
    def backend(self) -> str:
        """The backend whose runtime computes it."""
        return self._backend

    @property
    def precision(self) -> Precision:
        """The precision of the graph."""
        return self._precision

    @property
    def size_bytes(self) -> int:
        """The size of the graph's file, of the weights beside it or of its parameters in fp32, whichever is largest."""
        program = self._facts.program
        beside = sum(array.nbytes for array in self._weights.values())
        return max(beside, program.stat().st_size if program is not None else 0, super().size_bytes)

    @property
    def example_inputs(self) -> Mapping[str, npt.NDArray[Any]] | None:
        """Inputs that came with the model, by name."""
        return self._examples

    @property
    def probe_inputs(self) -> Sequence[Mapping[str, npt.NDArray[Any]]]:
        """Returns calls that exercise the graph: other values than the first, of several scales, and other extents."""
        calls = [self._probe] if self._examples is None else []
        calls += [self._redraw(self._signature, 1)]
        if self._examples is None:
            calls += [self._redraw(self._signature, seed, scale=scale) for seed, scale in enumerate(_SCALES, start=2)]
        return [*calls, *self._other_extents()]

    @property
    def num_parameters(self) -> int:
        """The number of parameters."""
        return self._num_parameters

    def compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Computes the reference outputs; see ``SourceModel``.

        Raises:
            RequestError: If the inputs do not fit the signature.
            ExecutionError: If the runtime fails, or gives other extents than the signature states.
        """
        extents: dict[Dim, int] = dict(self._signature.check_inputs(inputs).items())
        outputs = self._run(inputs)
        for spec in self._signature.outputs:
            shape = outputs[spec.name].shape
            if not spec.allows(shape, extents):
                raise ExecutionError(
                    f"{self._facts.name} gives {spec.name} the shape {list(shape)} for these inputs, but "
                    f"{spec.shape_text} for others"
                )
        return outputs

    def save_weights(self, path: Path) -> bool:
        """Writes the weights that can be stored apart; see ``SourceModel``.

        Raises:
            PackageError: If the file cannot be written, as when the disk is full.
        """
        if not self._weights:
            return False
        try:
            save_file({name: np.asarray(array, order="C") for name, array in self._weights.items()}, path)
        except (OSError, SafetensorError) as error:
            raise PackageError(f"the weights cannot be written to {path}: {error}") from error
        return True

    def _redraw(self, signature: Signature, seed: int, *, scale: float = 1.0) -> dict[str, npt.NDArray[Any]]:
        """Redraws the values of the first call: within the range of an example, or of the input."""
        if self._examples is not None:
            return _vary(self._examples, signature, seed)
        draw = Draw(seed, scale=scale)
        return {
            spec.name: self._probe[spec.name]
            if _is_constant(self._probe[spec.name]) and not spec.dtype.is_floating
            else draw.draw(spec, self._probe[spec.name].shape)
            for spec in signature.inputs
        }

    def _other_extents(self) -> Iterator[dict[str, npt.NDArray[Any]]]:
        """Yields calls with another extent of one named dim each, with the values of the first."""
        extents = {
            dim: extent
            for spec in self._signature.inputs
            for dim, extent in zip(spec.dims, self._probe[spec.name].shape, strict=True)
            if isinstance(dim, str)
        }
        for dim, extent in extents.items():
            for other in _other_extents(self._signature.inputs, dim, extent):
                yield {spec.name: stretch(self._probe[spec.name], spec, dim, other) for spec in self._signature.inputs}

    def _with_rows(self, measured: Signature, stated: frozenset[str]) -> Signature:
        """Names the first dim ``batch`` if the graph gives it no name, and computes rows independently."""
        firsts = {spec.dims[:1] for spec in (*measured.inputs, *measured.outputs)}
        first = next(iter(firsts)) if len(firsts) == 1 else ()
        if not first or not isinstance(first[0], str) or first[0] in stated:
            return measured
        unnamed = any(first[0] == f"{spec.name}_0" for spec in measured.inputs) or is_made_up(first[0])
        if unnamed and is_row_wise(self._run, measured, self._redraw(measured, 1), first[0]):
            return rename_dim(measured, first[0], BATCH)
        return measured


def check_examples(examples: Mapping[str, npt.NDArray[Any]], inputs: Sequence[TensorSpec]) -> None:
    """Refuses examples that do not match a graph's inputs.

    Raises:
        PackageError: If an input has no example, or an example has another name, data type or shape.
    """
    names = [spec.name for spec in inputs]
    if set(examples) != set(names):
        raise PackageError(
            f"the model takes {', '.join(names)}, but the samples are of {', '.join(examples) or 'none'}",
            hint=example_line(inputs),
        )
    for spec in inputs:
        array = examples[spec.name]
        if array.dtype != spec.dtype.numpy_dtype:
            raise PackageError(
                f"the input {spec} has samples of the type {array.dtype.name}",
                hint=f"convert them: .astype({spec.dtype.numpy_dtype.name!r})",
            )
        fits = len(array.shape) == len(spec.dims) and all(
            isinstance(dim, str) or dim == extent for dim, extent in zip(spec.dims, array.shape, strict=True)
        )
        if not fits:
            raise PackageError(f"the input {spec} has samples of the shape {list(array.shape)}")


def example_line(inputs: Sequence[TensorSpec]) -> str:
    """Makes a line of Python that writes example inputs of a model, to be filled with real numbers.

    Args:
        inputs: The inputs of the model.
    """
    arrays = []
    for spec in inputs:
        shape = ", ".join(str(dim) for dim in spec.dims)
        comma = "," if len(spec.dims) == 1 else ""
        arrays.append(f"{spec.name}=np.ones(({shape}{comma}), np.{spec.dtype.numpy_dtype.name})")
    free = ", ".join(sorted({dim for spec in inputs for dim in spec.dims if isinstance(dim, str)}))
    where = f"real values, and real numbers for {free}" if free else "real values"
    return f"give real inputs with --samples x.npz, written by np.savez('x.npz', {', '.join(arrays)}) with {where}"


def _find_inputs(run: Run, inputs: Sequence[TensorSpec], name: str) -> dict[str, npt.NDArray[Any]]:
    """Finds the first of the plausible inputs for which the graph computes numbers."""
    failure: ExecutionError | None = None
    tried, empty = 0, None
    for call in plausible_inputs(inputs):
        tried += 1
        try:
            outputs = run(call)
        except ExecutionError as error:
            failure = failure or error
            continue
        if any(_is_no_number(array) for array in outputs.values()):
            failure = failure or ExecutionError("it gives NaN, or nothing but infinite numbers")
        elif all(array.size for array in outputs.values()):
            return call
        else:
            empty = empty or call
    if empty is not None:
        return empty
    reason = failure.message if failure else "it takes nothing"
    raise PackageError(
        f"{name} fails on inputs of {tried} kinds that were made up for it, so real ones are needed: {reason}",
        hint=example_line(inputs),
    ) from failure


def _is_no_number(array: npt.NDArray[Any]) -> bool:
    """Returns whether an output has NaN, or nothing but infinities."""
    return array.dtype.kind == "f" and bool(array.size) and bool(np.isnan(array).any() or np.isinf(array).all())


def _vary(examples: Mapping[str, npt.NDArray[Any]], signature: Signature, seed: int) -> dict[str, npt.NDArray[Any]]:
    """Varies the values of examples: integers are drawn between their least and greatest, and floats are rearranged.

    Inputs of one number, such as a sampling rate, and those of one value throughout stay unchanged.
    """
    random = np.random.default_rng(seed)
    varied = {}
    for spec in signature.inputs:
        array = examples[spec.name]
        if _is_constant(array) or array.dtype.kind not in "iuf":
            varied[spec.name] = array
        elif array.dtype.kind == "f":
            varied[spec.name] = random.permuted(array.ravel()).reshape(array.shape)
        else:
            low, high = int(array.min()), int(array.max())
            varied[spec.name] = random.integers(low, high, array.shape, dtype=array.dtype, endpoint=True)
    return varied


def _is_constant(array: npt.NDArray[Any]) -> bool:
    return array.size == 0 or bool((array == array.flat[0]).all())


def _other_extents(inputs: Sequence[TensorSpec], dim: str, extent: int) -> list[int]:
    """Returns the extents with which a dim is sampled besides that of the first call, of a kind that occurs in use."""
    if dim == BATCH:
        others = {1, 3}
    elif any(is_side(spec, axis) for spec in inputs for axis, known in enumerate(spec.dims) if known == dim):
        # Not an odd number of pixels, or very few: models mostly take multiples, and such images do not occur.
        others = {3 * extent // 2, 2 * extent}
    else:
        others = {max(extent // 2, 1), extent + 1, 2 * extent}
    return sorted(others - {extent})


def _fixed_notes(inputs: Sequence[TensorSpec], measured: Signature) -> Iterator[str]:
    """Yields a note for each dim that the graph declares as free but accepts with one extent only."""
    pairs = [
        pair
        for spec, found in zip(inputs, measured.inputs, strict=True)
        for pair in zip(spec.dims, found.dims, strict=True)
    ]
    for dim, extent in dict(pairs).items():
        if isinstance(dim, str) and isinstance(extent, int):
            yield f"{dim} is fixed at {extent}, as the model took no other extent that was tried"
