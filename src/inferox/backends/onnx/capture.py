"""From a module to an ONNX graph, with ``torch.export``."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from onnx import ModelProto
from torch.export import Dim

from inferox.backends.torch.packed import PackedModule
from inferox.core import BATCH, SEQUENCE, TOKENS, ExportRequest, Layout, LoadError, Signature, SourceModel, TensorSpec

_EXAMPLE_EXTENTS = {BATCH: 2, SEQUENCE: 6, TOKENS: 8}


def capture(source: SourceModel, request: ExportRequest) -> ModelProto:
    """Captures a source's module as a graph that takes any extent of each named dim.

    Args:
        source: The model.
        request: The layout and signature in which it is to be captured.

    Raises:
        LoadError: If the module cannot be packed.
        Exception: Whatever the exporter raises, to be translated by the caller.
    """
    if request.layout is Layout.PADDED:
        return _capture(_Graph(source.module, request.signature), request.signature, source.example_inputs)
    packed = PackedModule(source.module, request.signature)
    try:
        return _capture(_Graph(packed, request.signature), request.signature, _packed_examples(request.signature))
    finally:
        packed.release()


class _Graph(torch.nn.Module):
    """A module with tensors in and tensors out, by position, as a graph has them."""

    def __init__(self, module: torch.nn.Module, signature: Signature) -> None:
        super().__init__()
        self.module = module
        self._inputs, self._outputs = signature.input_names, signature.output_names

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Calls the module by name and gives the outputs of the signature in its order."""
        returned = self.module(**dict(zip(self._inputs, tensors, strict=True)))
        if isinstance(returned, Mapping):
            return tuple(returned[name] for name in self._outputs)
        return (returned,) if isinstance(returned, torch.Tensor) else tuple(returned)


def _capture(graph: torch.nn.Module, signature: Signature, given: Mapping[str, Any] | None) -> ModelProto:
    examples = tuple(_example(spec, given) for spec in signature.inputs)
    dynamic = tuple(
        {axis: Dim.AUTO for axis, dim in enumerate(spec.dims) if isinstance(dim, str)} for spec in signature.inputs
    )
    with _quiet(), _explained(), torch.no_grad():
        program = torch.onnx.export(
            graph.eval(),
            examples,
            dynamo=True,
            # Optimising here folds transposed copies of the weights into new constants, which no file holds.
            optimize=False,
            dynamic_shapes=(dynamic,),
            input_names=list(signature.input_names),
            output_names=list(signature.output_names),
            verbose=False,
        )
    if program is None:
        raise LoadError("torch.onnx.export gave no program")
    captured: ModelProto = program.model_proto
    return captured


def _packed_examples(signature: Signature) -> dict[str, Any]:
    """Two rows of 6 and 2 tokens."""
    grid = torch.tensor([[0, 1, 2, 3, 4, 5], [6, 7, -1, -1, -1, -1]])
    tables = {"grid": grid.numpy(), "slots": torch.arange(8).numpy()}
    tokens: Sequence[str] = [name for name in signature.input_names if name not in tables]
    return {**{name: torch.ones(8, dtype=torch.int64).numpy() for name in tokens}, **tables}


def _example(spec: TensorSpec, given: Mapping[str, Any] | None) -> torch.Tensor:
    """An example with at least two of everything that may vary: the exporter takes a 1 for a fixed extent."""
    if given is None:
        shape = [_EXAMPLE_EXTENTS.get(dim, 2) if isinstance(dim, str) else dim for dim in spec.dims]
        return torch.zeros(shape) if spec.dtype.is_floating else torch.ones(shape, dtype=torch.int64)
    tensor = torch.from_numpy(given[spec.name].copy())
    repeats = [
        2 if isinstance(dim, str) and extent == 1 else 1 for dim, extent in zip(spec.dims, tensor.shape, strict=True)
    ]
    return tensor.repeat(repeats) if spec.dims else tensor


@contextmanager
def _explained() -> Iterator[None]:
    """Gives the reason at the end of an exporter's chain of exceptions; the first only says in which step it failed."""
    try:
        yield
    except torch.onnx.OnnxExporterError as error:
        reason: BaseException = error
        while reason.__cause__ is not None:
            reason = reason.__cause__
        text = str(reason).strip().partition("\n")[0]
        raise LoadError(f"the model cannot be captured as an ONNX graph: {type(reason).__name__}: {text}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporter from telling its own developers what it lacks."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
