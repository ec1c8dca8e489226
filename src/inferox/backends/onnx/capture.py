"""The capture of a module as an ONNX graph, with ``torch.export``."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from onnx import ModelProto
from torch.export import Dim, ExportedProgram

from inferox.backends.onnx.attention import TRANSLATIONS
from inferox.backends.onnx.exporter import quick_exports
from inferox.backends.onnx.safetensors_layout import Place
from inferox.backends.onnx.shared_weights import share_weights_of_program
from inferox.backends.torch.captured import (
    capturing,
    check_limit,
    check_other_limits,
    check_rows,
    examples_to_capture,
    honest_signature,
    root_cause,
)
from inferox.core import BATCH, SEQUENCE, ExportRequest, Layout, LoadError, Signature, SourceModel, TensorSpec

_EXAMPLE_EXTENTS = {BATCH: 2, SEQUENCE: 6}


def capture(source: SourceModel, request: ExportRequest, places: Mapping[str, Place]) -> ModelProto:
    """Captures a source's module as a graph whose inputs state the extents that it takes.

    Args:
        source: The model.
        request: The layout and signature in which to capture it.
        places: The place of each tensor in the package's weights file, to which the graph refers.

    Raises:
        LoadError: If the module cannot be packed, or cannot be captured for every number of rows.
        Exception: Whatever the exporter raises, to be translated by the caller.
    """
    signature = request.signature
    if request.layout is Layout.PACKED:
        from inferox.backends.torch.packed import PackedModule  # which imports transformers

        packed = PackedModule(source.module, signature)
        try:
            captured = _export(_Graph(packed, signature), _packed_examples(signature), signature, places)
            return _state_extents(captured, signature)
        finally:
            packed.release()
    graph, examples = _Graph(source.module, signature), _examples(source.example_inputs, signature)
    captured = _export(graph, examples, signature, places)

    def reference(inputs: Mapping[str, torch.Tensor]) -> Any:
        return graph(*inputs.values())

    with _quiet(), torch.no_grad():
        check_rows(lambda inputs: captured.program.module()(*inputs.values()), reference, examples, signature)
        if source.example_inputs is not None:  # otherwise its task knows its limits
            check_other_limits(captured.program, reference, examples, signature)
    return _state_extents(captured, signature)


@dataclass(frozen=True)
class _Captured:
    program: ExportedProgram
    graph: ModelProto


class _Graph(torch.nn.Module):
    """A module with positional input and output tensors, as in a graph."""

    def __init__(self, module: torch.nn.Module, signature: Signature) -> None:
        super().__init__()
        self.module = module
        self._inputs, self._outputs = signature.input_names, signature.output_names

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Calls the module with named inputs, and returns the outputs in the order of the signature."""
        returned = self.module(**dict(zip(self._inputs, tensors, strict=True)))
        if isinstance(returned, Mapping):
            return tuple(returned[name] for name in self._outputs)
        return (returned,) if isinstance(returned, torch.Tensor) else tuple(returned)


def _forget_unrolling() -> None:
    """Lets the exporter write recurrent layers as its own loops.

    PyTorch remembers how an earlier capture of its own handled them, which was to unroll them for one length.
    """
    for operator in (torch.ops.aten.lstm.input, torch.ops.aten.gru.input):
        operator._dispatch_cache.clear()  # noqa: SLF001 - there is no public way


def _export(
    graph: torch.nn.Module, examples: Mapping[str, torch.Tensor], signature: Signature, places: Mapping[str, Place]
) -> _Captured:
    dynamic = tuple(
        {axis: Dim.AUTO for axis, dim in enumerate(spec.dims) if isinstance(dim, str)} for spec in signature.inputs
    )
    _forget_unrolling()
    with _quiet(), _explained(), capturing(), torch.no_grad(), quick_exports():
        program = torch.onnx.export(
            graph.eval(),
            tuple(examples[name] for name in signature.input_names),
            dynamo=True,
            custom_translation_table=TRANSLATIONS,
            # Optimising here would fold transposed copies of the weights into new constants, which are in no file.
            optimize=False,
            dynamic_shapes=(dynamic,),
            input_names=list(signature.input_names),
            output_names=list(signature.output_names),
            verbose=False,
        )
    if program is None or program.exported_program is None:
        raise LoadError("torch.onnx.export gave no program")
    share_weights_of_program(program.model, places)
    return _Captured(program.exported_program, program.model_proto)


def _state_extents(captured: _Captured, signature: Signature) -> ModelProto:
    """Sets fixed extents of the graph's inputs to numbers, since the exporter leaves them as names."""
    check_limit(captured.program, signature)
    shapes = {item.name: item.type.tensor_type.shape.dim for item in captured.graph.graph.input}
    for spec in honest_signature(captured.program, signature).inputs:
        for dim, extent in zip(spec.dims, shapes[spec.name], strict=True):
            if isinstance(dim, int):
                extent.dim_value = dim
    return captured.graph


def _packed_examples(signature: Signature) -> dict[str, torch.Tensor]:
    """Makes examples of two rows with 6 and 2 tokens."""
    tables = {
        "pad_indices": torch.tensor([[0, 1, 2, 3, 4, 5], [6, 7, -1, -1, -1, -1]]),
        "unpad_indices": torch.arange(8),
    }
    return {name: tables.get(name, torch.ones(8, dtype=torch.int64)) for name in signature.input_names}


def _examples(given: Mapping[str, Any] | None, signature: Signature) -> dict[str, torch.Tensor]:
    if given is None:
        return {spec.name: _example(spec) for spec in signature.inputs}
    tensors = {name: torch.from_numpy(given[name].copy()) for name in signature.input_names}
    return examples_to_capture(tensors, signature)


def _example(spec: TensorSpec) -> torch.Tensor:
    shape = [_EXAMPLE_EXTENTS.get(dim, 2) if isinstance(dim, str) else dim for dim in spec.dims]
    return torch.zeros(shape) if spec.dtype.is_floating else torch.ones(shape, dtype=torch.int64)


@contextmanager
def _explained() -> Iterator[None]:
    """Raises the root cause of an exporter's exceptions."""
    try:
        yield
    except torch.onnx.OnnxExporterError as error:
        reason = root_cause(error)
        text = str(reason).strip().partition("\n")[0]
        raise LoadError(f"the model cannot be captured as an ONNX graph: {type(reason).__name__}: {text}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the exporter's messages for its own developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
