"""A source that is a graph of another runtime, which is then the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import save_file

from inferox.core import (
    BATCH,
    SEQUENCE,
    ConfigError,
    Dim,
    LoadError,
    PackageError,
    Signature,
    SourceFacts,
    SourceModel,
    TensorSpec,
)
from inferox.sources.measure import Run, measure_signature

_TOKEN_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_EXAMPLE_EXTENTS = {BATCH: 2, SEQUENCE: 4}
_OTHER_EXTENT = 8

_MOST_ELEMENTS = 2**27
"""The largest example that is made: half a GiB in single precision, and more than two images of 4096 x 4096."""


class GraphSource(SourceModel):
    """A graph that its own runtime computes on the CPU. Opening one runs it, which finds the dims of its outputs.

    Args:
        facts: What is known of it.
        run: Computes it.
        inputs: What it takes.
        examples: Inputs that came with it, by name; ``None`` to try it on ones and zeros.
        weights: The weights by name that can be kept apart from the graph.
        num_parameters: The number of trained numbers.

    Raises:
        PackageError: If the model fails on the examples.
    """

    def __init__(
        self,
        facts: SourceFacts,
        run: Run,
        inputs: Sequence[TensorSpec],
        *,
        examples: Mapping[str, npt.NDArray[Any]] | None,
        weights: Mapping[str, npt.NDArray[Any]],
        num_parameters: int,
    ) -> None:
        self._facts = facts
        self._run = run
        self._examples = examples
        self._weights = weights
        self._num_parameters = num_parameters
        tried = examples or {spec.name: _example(spec) for spec in inputs}
        assumed = frozenset(dim for spec in inputs for dim in spec.dims if isinstance(dim, str))
        self._signature = measure_signature(run, inputs, tried, assumed=assumed)

    @property
    def facts(self) -> SourceFacts:
        """What is known of it."""
        return self._facts

    @property
    def signature(self) -> Signature:
        """The named tensors that it takes and gives."""
        return self._signature

    @property
    def module(self) -> Any:
        """Nothing: it is no PyTorch module.

        Raises:
            LoadError: Always.
        """
        raise LoadError(f"{self._facts.name} is a graph in the format {self._facts.kind}, and no PyTorch module")

    @property
    def example_inputs(self) -> Mapping[str, npt.NDArray[Any]] | None:
        """Inputs that came with the model, by name."""
        return self._examples

    @property
    def num_parameters(self) -> int:
        """The number of trained numbers."""
        return self._num_parameters

    def compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Computes the reference outputs; see ``SourceModel``.

        Raises:
            RequestError: If the inputs do not fit the signature.
            ExecutionError: If the runtime fails.
        """
        self._signature.check_inputs(inputs)
        return self._run(inputs)

    def save_weights(self, path: Path) -> bool:
        """Writes the weights that can be kept apart; see ``SourceModel``.

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


def name_dims(
    shapes: Mapping[str, Sequence[Dim | None]], stated: Mapping[str, Sequence[Dim]] | None
) -> dict[str, tuple[Dim, ...]]:
    """Names the free dims of a graph's inputs.

    Args:
        shapes: For each input its dims: numbers, the graph's own names, or ``None`` where it gives none.
        stated: The dims of inputs as the user states them.

    Returns:
        The dims of each input. The first axis, where it is free, is ``batch``; the second of tokens is ``seq``.

    Raises:
        PackageError: If there are no inputs.
        ConfigError: If dims are stated for an input that is not there, or do not fit it.
    """
    if not shapes:
        raise PackageError("the graph takes no inputs, so that there is nothing to compute")
    unknown = sorted(set(stated or {}) - set(shapes))
    if unknown:
        raise ConfigError(f"dims are given for {', '.join(unknown)}, and the model takes {', '.join(shapes)}")
    named = {}
    for name, shape in shapes.items():
        if stated and name in stated:
            dims = tuple(stated[name])
            if len(dims) != len(shape):
                raise ConfigError(f"the dims of {name} are {list(dims)}, and it has {len(shape)} axes")
            named[name] = dims
            continue
        named[name] = tuple(_name_dim(name, axis, dim) for axis, dim in enumerate(shape))
    return named


def check_examples(examples: Mapping[str, npt.NDArray[Any]], inputs: Sequence[TensorSpec]) -> None:
    """Refuses examples that are not of a graph's inputs.

    Raises:
        PackageError: If an input has none, or there is one of something else.
    """
    names = [spec.name for spec in inputs]
    if set(examples) != set(names):
        raise PackageError(
            f"the model takes {', '.join(names)}, and the samples are of {', '.join(examples) or 'none'}"
        )


def _name_dim(name: str, axis: int, dim: Dim | None) -> Dim:
    if isinstance(dim, int):
        return dim
    if axis == 0:
        return BATCH
    if axis == 1 and name in _TOKEN_INPUTS:
        return SEQUENCE
    return dim or f"{name}_{axis}"


def _example(spec: TensorSpec) -> npt.NDArray[Any]:
    """Token 1 everywhere and nothing masked, or zeros."""
    shape = [_EXAMPLE_EXTENTS.get(dim, _OTHER_EXTENT) if isinstance(dim, str) else dim for dim in spec.dims]
    if prod(shape) > _MOST_ELEMENTS:
        raise PackageError(
            f"the input {spec} has too many elements for an example to be made",
            hint="give example inputs with --samples, if that is what it takes",
        )
    value = 0 if spec.dtype.is_floating or spec.name == "token_type_ids" else 1
    return np.full(shape, value, dtype=spec.dtype.numpy_dtype)
