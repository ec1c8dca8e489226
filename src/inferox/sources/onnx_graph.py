"""An ONNX file as a source; ONNX Runtime computes the reference, or OpenVINO if ONNX Runtime cannot run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, ValueInfoProto, helper, numpy_helper

from inferox.backends.onnx.shared_weights import INLINE_BYTES
from inferox.backends.onnxruntime.errors import translated
from inferox.backends.onnxruntime.operators import describe, find_plug_ins, locate_library
from inferox.backends.onnxruntime.session import open_session
from inferox.core import (
    DataType,
    Dim,
    ExecutionError,
    LoadError,
    PackageError,
    SourceFacts,
    TensorSpec,
    UnsupportedDTypeError,
    UntrustedCodeError,
)
from inferox.machine import resolve_threads
from inferox.sources.array_files import read_arrays
from inferox.sources.graph_dims import name_dims
from inferox.sources.graph_source import GraphSource, check_examples
from inferox.sources.measure import Arrays, Run
from inferox.sources.model_directory import find_directory, read_config
from inferox.sources.onnx_file import find_loose_axes, find_precision, read_onnx
from inferox.sources.onnx_indices import find_index_bounds

_NUMBERS = "biuf"
"""NumPy's kinds of data types that safetensors supports too: neither texts nor complex numbers."""


def open_onnx(
    path: Path, *, samples: Path | None, dims: Mapping[str, Sequence[Dim]] | None, trust_code: bool = False
) -> GraphSource:
    """Opens an ONNX file.

    Args:
        path: The file. Weights may lie beside it, as external data.
        samples: Example inputs by name.
        dims: The dims of inputs by name, if the file's own do not fit.
        trust_code: Whether operator libraries may be loaded that the graph calls and installed distributions register.

    Raises:
        PackageError: If it is not a valid graph, has custom operators that nobody registers, is random, or fails on its
            examples. Its subclasses: ``UnsafePathError``, if it names weights outside its folder;
            ``UntrustedCodeError``, if it calls such a library and ``trust_code`` is not set.
        LoadError: If no installed runtime can run it.
        ConfigError: If dims do not fit.
    """
    plug_ins = find_plug_ins(path)
    if plug_ins and not trust_code:
        raise UntrustedCodeError(
            f"computing {path.name} runs {' and '.join(map(describe, plug_ins))}",
            hint="if you trust both, pass trust_code=True, or --trust-code on the command line",
        )
    model = read_onnx(path, known=[plug_in.name for plug_in in plug_ins])
    libraries = list(map(locate_library, plug_ins))
    weights = {item.name: item for item in model.graph.initializer}
    examples = None if samples is None else read_arrays(samples)
    inputs = _inputs(model, set(weights), dims, examples)
    if examples is not None:
        check_examples(examples, inputs)
    directory = find_directory(path)
    config = read_config(directory)
    facts = SourceFacts(
        kind="onnx",
        name=directory.name if directory else path.stem,
        model_type=config.get("model_type", "onnx"),
        config=config,
        directory=directory,
        program=path,
        notes=tuple(_notes(model, weights)),
    )

    def make(backend: str, run: Run, *notes: str) -> GraphSource:
        return GraphSource(
            replace(facts, notes=(*notes, *facts.notes)),
            run,
            inputs,
            backend=backend,
            precision=find_precision(model),
            loose_axes=find_loose_axes(model),
            examples=examples,
            stated=frozenset(dim for each in (dims or {}).values() for dim in each if isinstance(dim, str)),
            weights=_to_arrays(weights, path.parent),
            num_parameters=sum(int(np.prod(item.dims)) for item in weights.values() if _is_floating(item)),
        )

    outputs = [item.name for item in model.graph.output]
    try:
        return make("onnxruntime", _open_onnxruntime(path, inputs, outputs, libraries))
    except (LoadError, PackageError) as error:
        failure = _runtime_failure(error)
        # Made-up inputs prove nothing against a runtime: OpenVINO accepts some that do not fit.
        made_up = isinstance(error, PackageError) and examples is None
        if failure is None or made_up or find_spec("openvino") is None:
            raise
        return _make_with_openvino(make, partial(_open_openvino, path, inputs, outputs), error, failure)


def _runtime_failure(error: LoadError | PackageError) -> str | None:
    """Returns why ONNX Runtime does not run a graph; ``None`` if something else is wrong with it or its examples."""
    if isinstance(error, LoadError):
        return error.message
    cause = error.__cause__
    return cause.message if isinstance(cause, ExecutionError) else None


def _make_with_openvino(
    make: Callable[..., GraphSource], open_other: Callable[[], Run], error: LoadError | PackageError, failure: str
) -> GraphSource:
    """Makes OpenVINO the reference of a graph that ONNX Runtime does not run.

    Args:
        make: Makes the source from a backend, a function that computes the graph, and a note.
        open_other: Opens the graph with OpenVINO.
        error: The error with ONNX Runtime. If OpenVINO loads the graph but does not run it either, the examples are to
            blame, and the error is raised again.
        failure: The description of ONNX Runtime's failure.
    """
    try:
        return make("openvino", open_other(), f"openvino is the reference, because {failure}")
    except LoadError as other:
        raise type(error)(f"{error.message}; {other.message}", hint=error.hint) from error
    except PackageError:
        raise error from error.__cause__


def _open_openvino(path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[str]) -> Run:
    from inferox.sources.openvino_run import open_openvino

    return open_openvino(path, inputs, outputs)


def _open_onnxruntime(
    path: Path, inputs: Sequence[TensorSpec], outputs: Sequence[str], libraries: Sequence[Path]
) -> Run:
    with translated(f"loading {path.name}", default=LoadError):
        session = open_session(path, threads=resolve_threads(None), libraries=libraries)

    def run(arrays: Arrays) -> dict[str, npt.NDArray[Any]]:
        with translated(f"computing {path.stem}", default=ExecutionError):
            feeds = {spec.name: arrays[spec.name] for spec in inputs}
            return dict(zip(outputs, session.run(list(outputs), feeds), strict=True))

    return run


def _notes(model: ModelProto, weights: Mapping[str, TensorProto]) -> Iterator[str]:
    defaults = [item.name for item in model.graph.input if item.name in weights]
    # Before version 4, graphs list all of their weights as inputs as well.
    if defaults and model.ir_version >= 4:  # noqa: PLR2004
        yield f"inputs with a default keep it, and are not inputs of the package: {', '.join(defaults)}"


def _inputs(
    model: ModelProto, weights: set[str], stated: Mapping[str, Sequence[Dim]] | None, examples: Arrays | None
) -> tuple[TensorSpec, ...]:
    items = [item for item in model.graph.input if item.name not in weights]
    named = name_dims({item.name: _shape(item, examples) for item in items}, stated)
    bounds = find_index_bounds(model)
    specs = []
    for item in items:
        dtype = _data_type(item.type.tensor_type.elem_type)
        upper_bound = None if dtype.is_floating or dtype is DataType.BOOL else bounds.get(item.name)
        specs.append(TensorSpec(item.name, dtype, named[item.name], upper_bound))
    return tuple(specs)


def _shape(item: ValueInfoProto, examples: Arrays | None) -> list[Dim | None]:
    """Returns the dims as the graph declares them; if it declares none, one free dim per axis of the example."""
    if not item.type.tensor_type.HasField("shape"):
        if examples is None or item.name not in examples:
            raise PackageError(
                f"the graph does not say how many axes its input {item.name!r} has",
                hint="give example inputs with --samples, an .npz file with an array for each input",
            )
        return [None] * examples[item.name].ndim
    return [
        # A negative number is how some exporters write a free dim.
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else dim.dim_param or None
        for dim in item.type.tensor_type.shape.dim
    ]


def _data_type(kind: int) -> DataType:
    try:
        return DataType.from_numpy(np.dtype(helper.tensor_dtype_to_np_dtype(kind)))
    except (KeyError, TypeError) as error:
        raise UnsupportedDTypeError(TensorProto.DataType.Name(kind).lower(), "inferox", list(DataType)) from error


def _to_arrays(weights: Mapping[str, TensorProto], folder: Path) -> dict[str, npt.NDArray[Any]]:
    """Converts the large weights whose types NumPy and safetensors support; the others stay in the graph."""
    arrays = {}
    for name, item in weights.items():
        array = numpy_helper.to_array(item, str(folder))
        if array.dtype.isbuiltin == 1 and array.dtype.kind in _NUMBERS and array.nbytes > INLINE_BYTES:
            arrays[name] = array
    return arrays


def _is_floating(item: TensorProto) -> bool:
    return item.data_type in {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
