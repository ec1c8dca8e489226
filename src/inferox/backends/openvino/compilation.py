"""The compilation of a graph to a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import openvino

from inferox.backends.onnx.content import check_onnx
from inferox.backends.openvino.errors import CHECK_PREFIX
from inferox.backends.openvino.guards import add_guards
from inferox.backends.openvino.ir_content import check_ir
from inferox.core import DataType, GraphPort, LoadError, Precision, UnsupportedDTypeError

_CHECKS: Mapping[str, Callable[[Path], object]] = {".onnx": check_onnx, ".xml": check_ir}
"""The checks of a file's content, by the suffix of its name. OpenVINO itself only considers the content."""

_PREPARED_KEPT, _MOST_PREPARED = "CPU_RUNTIME_CACHE_CAPACITY", 256
"""The number of shape-specific kernels that each stream caches. OpenVINO's default is 5,000, and batches of texts keep
having new shapes. Measured with all-MiniLM-L6-v2 from the first 50 texts to 3,000, before sizes were rounded (see
``round_tokens``): int8 grew by 387 MiB with 5,000, by 281 with 256, and by 254 with 64, which was 11% slower; bf16 grew
by about 90 with any of them."""

_HINTS = {Precision.FP32: "f32", Precision.FP16: "f16", Precision.BF16: "bf16", Precision.INT8: "f32"}
"""The type in which a device computes what is not quantised. By default, OpenVINO would round to its fastest."""

_CAPABILITIES = {Precision.FP16: ("FP16", DataType.F16), Precision.BF16: ("BF16", DataType.BF16)}
"""The capability that a device must report to compute in half precision."""

_DTYPES = {dtype.value: dtype for dtype in DataType if dtype is not DataType.BOOL} | {"boolean": DataType.BOOL}
"""Inferox's data types by OpenVINO's names for them."""


def compile_model(
    path: Path,
    device: str,
    precision: Precision,
    *,
    threads: int,
    streams: int = 1,
    bounds: Mapping[str, int] | None = None,
) -> openvino.CompiledModel:
    """Compiles a graph for a device.

    Args:
        path: An ONNX file, whose weights may lie in files below its folder, or the ``.xml`` of an IR.
        device: OpenVINO's name for the device.
        precision: The number format in which it is to compute.
        threads: The number of CPU threads that it may use.
        streams: The number of concurrent calls that share the threads: with 1, each call gets all threads.
        bounds: The exclusive upper bound of inputs whose elements are checked beforehand to be non-negative and below
            it.

    Raises:
        UnsupportedDTypeError: If the device does not compute in the precision.
        LoadError: If the content of the file does not match its name, or it takes weights from anywhere but files in
            its folder, keeps a state, has operators whose indices cannot be checked, or fails whatever its inputs are.
        Exception: Whatever OpenVINO raises, to be translated by the caller.
    """
    check = _CHECKS.get(path.suffix)
    if check is None:
        # With any other suffix, OpenVINO would let each of its readers guess.
        raise LoadError(f"{path.name} is neither an .onnx file nor the .xml file of an IR")
    check(path)
    core = openvino.Core()
    model = core.read_model(path)
    if precision in _CAPABILITIES and _is_held_in(model, _HINTS[precision]):
        # A graph that is itself in half precision does not become more accurate by computing in a wider type.
        precision = Precision.FP32
    _check_precision(core, device, precision)
    if model.get_variables():
        raise LoadError(
            f"{path.name} keeps a state from call to call, so that an answer would depend on those before it",
            hint="export the model without its state",
        )
    if device == "CPU":
        add_guards(model, bounds or {}, path.name)
    goal = "LATENCY" if streams == 1 else "THROUGHPUT"
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "PERFORMANCE_HINT": goal}
    if device == "CPU":
        # Threads pinned to cores would compete for them with those of other runtimes in the process.
        settings |= {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": streams, "ENABLE_CPU_PINNING": False}
        try:
            return core.compile_model(model, device, settings | {_PREPARED_KEPT: _MOST_PREPARED})
        except RuntimeError as error:
            if _PREPARED_KEPT not in str(error):  # OpenVINO does not list it: another version may lack it
                raise
    return core.compile_model(model, device, settings)


def list_ports(outputs: Sequence[openvino.ConstOutput]) -> list[GraphPort]:
    """Lists the inputs or outputs of a compiled model, without those that are only for checks.

    Args:
        outputs: Its inputs or outputs.
    """
    return [
        GraphPort(
            frozenset(port.names),
            _DTYPES.get(port.element_type.get_type_name()),
            port.partial_shape.rank.get_length() if port.partial_shape.rank.is_static else None,
        )
        for port in outputs
        if CHECK_PREFIX not in port.names
    ]


def _is_held_in(model: openvino.Model, kind: str) -> bool:
    """Returns whether most of a model's floating-point constants have a type."""
    sizes: dict[str, int] = {}
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and node.get_output_element_type(0).is_real():
            name = node.get_output_element_type(0).get_type_name()
            sizes[name] = sizes.get(name, 0) + prod(node.get_output_shape(0))
    return bool(sizes) and max(sizes, key=lambda name: sizes[name]) == kind


def _check_precision(core: openvino.Core, device: str, precision: Precision) -> None:
    needed = _CAPABILITIES.get(precision)
    if needed is None:
        return
    capability, dtype = needed
    stated = core.get_property(device, "OPTIMIZATION_CAPABILITIES")
    if capability not in stated:
        held = [DataType.F32, *(other for name, other in _CAPABILITIES.values() if name in stated)]
        raise UnsupportedDTypeError(dtype, f"openvino on {device}", held, hint="request another precision")
