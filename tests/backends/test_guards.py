"""The checks that runtimes lack while they compute: of indices, axes, steps and integer divisors out of range.

Without the checks, some of these calls crash the process, so those of each backend run in one of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from openvino import opset1, opset8, opset13

from inferox.backends.onnxruntime import OnnxRuntimeBackend
from inferox.backends.openvino import OpenVinoBackend
from inferox.core import (
    Artifact,
    DataType,
    ExecutionError,
    Layout,
    LoadError,
    LoadOptions,
    Precision,
    Signature,
    TensorSpec,
)

Call = dict[str, npt.NDArray[Any]]

BACKENDS = {backend.name: backend for backend in (OnnxRuntimeBackend(), OpenVinoBackend())}
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
THREADS = sorted({1, 2, CORES})

FAR = 10**9
TABLE = np.arange(12, dtype=np.float32).reshape(4, 3)
LEAST = {kind: int(np.iinfo(kind).min) for kind in (np.int32, np.int64)}


@dataclass(frozen=True)
class Case:
    """A graph of two inputs, a call with its answer, and calls on which it must fail.

    The number of rows of the inputs is free, unless it is fixed.
    """

    nodes: list[NodeProto]
    weights: Call
    good: tuple[Call, Any]
    bad: list[Call]
    is_fixed: bool = False


def integers(*values: Any, kind: Any = np.int64) -> npt.NDArray[Any]:
    return np.array(values, kind)


def gathers(operator: str, axis: int | None, good: Any, *bad: Any) -> Case:
    """Computed indices, which no signature bounds."""
    attributes: dict[str, Any] = {} if axis is None else {"axis": axis}
    nodes = [
        helper.make_node("Add", ["i", "j"], ["k"]),
        helper.make_node(operator, ["table", "k"], ["y"], **attributes),
    ]
    good = np.array(good)
    if operator == "Gather":
        expected = np.take(TABLE, good, axis or 0)
    elif operator == "GatherND":
        expected = TABLE[tuple(np.moveaxis(good, -1, 0))]
    else:
        expected = np.take_along_axis(TABLE, good, axis or 0)
    calls = [{"i": np.array(each), "j": np.zeros_like(np.array(each))} for each in bad]
    return Case(nodes, {"table": TABLE}, ({"i": good, "j": np.zeros_like(good)}, expected), calls)


def scatters(operator: str) -> Case:
    wide = operator == "ScatterElements"
    updates = np.full((1, 3), 7, np.float32)
    attributes: dict[str, Any] = {"axis": 0} if wide else {}
    nodes = [
        helper.make_node("Add", ["i", "j"], ["k"]),
        helper.make_node(operator, ["table", "k", "updates"], ["y"], **attributes),
    ]

    def call(index: int) -> Call:
        indices = np.array([[index] * 3] if wide else [[index]])
        return {"i": indices, "j": np.zeros_like(indices)}

    expected = TABLE.copy()
    expected[2] = 7
    return Case(nodes, {"table": TABLE, "updates": updates}, (call(2), expected), [call(n) for n in (4, FAR, -5, -FAR)])


def divides(operator: str, kind: Any) -> Case:
    nodes = [helper.make_node(operator, ["i", "j"], ["y"])]
    good = {"i": integers(9, -7, LEAST[kind], kind=kind), "j": integers(2, 7, 1, kind=kind)}
    expected = [4, -1, LEAST[kind]] if operator == "Div" else [1, 0, 0]
    bad = [{"i": integers(1, 2, kind=kind), "j": integers(1, 0, kind=kind)}]
    if operator == "Div":
        bad.append({"i": integers(3, LEAST[kind], kind=kind), "j": integers(2, -1, kind=kind)})
    if kind is np.int64:  # which OpenVINO computes in 32 bits, and so refuses
        good = {"i": integers(9, -7, 5), "j": integers(2, 7, -1)}
        expected = [4, -1, -5] if operator == "Div" else [1, 0, 0]
    return Case(nodes, {}, (good, expected), bad)


def slices(good: int, bad: int, *, step: bool) -> Case:
    places = ["zero", "two", "axis", "k"] if step else ["zero", "two", "k", "one"]
    nodes = [
        helper.make_node("Add", ["i", "j"], ["k"]),
        helper.make_node("Slice", ["table", *places], ["y"]),
    ]
    weights = {"table": TABLE, "zero": integers(0), "two": integers(2), "one": integers(1), "axis": integers(0)}
    calls = [{"i": integers(number), "j": integers(0)} for number in (good, bad)]
    return Case(nodes, weights, (calls[0], TABLE[:2]), calls[1:])


def reshapes(good: Sequence[int], bad: Sequence[int]) -> Case:
    nodes = [helper.make_node("Add", ["i", "j"], ["k"]), helper.make_node("Reshape", ["table", "k"], ["y"])]
    calls = [{"i": integers(*shape), "j": np.zeros(len(shape), np.int64)} for shape in (good, bad)]
    return Case(nodes, {"table": TABLE}, (calls[0], TABLE.reshape(good)), calls[1:], is_fixed=True)


def ranges() -> Case:
    """Numbers from 0 up to 6, with a step that is an input, added to themselves to keep the other input in use."""
    nodes = [
        helper.make_node("Add", ["i", "j"], ["k"]),
        helper.make_node("ReduceMax", ["k"], ["step"], keepdims=0),
        helper.make_node("Range", ["none", "six", "step"], ["y"]),
    ]
    calls = [{"i": integers(step), "j": integers(0)} for step in (2, 0)]
    return Case(nodes, {"none": np.array(0), "six": np.array(6)}, (calls[0], [0, 2, 4]), calls[1:])


def blocks() -> Case:
    """Columns put back into an image by blocks whose size is an input."""
    nodes = [
        helper.make_node("Add", ["i", "j"], ["k"]),
        helper.make_node("Col2Im", ["table", "extents", "k"], ["y"]),
    ]
    columns = np.arange(36, dtype=np.float32).reshape(1, 4, 9)
    image = np.zeros((1, 1, 4, 4), np.float32)
    for place, column in enumerate(columns[0].T):
        row, left = divmod(place, 3)
        image[0, 0, row : row + 2, left : left + 2] += column.reshape(2, 2)
    calls = [{"i": integers(*size), "j": integers(0, 0)} for size in ((2, 2), (0, 0), (-1, 2))]
    return Case(nodes, {"table": columns, "extents": integers(4, 4)}, (calls[0], image), calls[1:], is_fixed=True)


def broadcasts() -> Case:
    nodes = [helper.make_node("Add", ["i", "j"], ["y"])]
    good = {"i": integers(1, 2, 3), "j": integers(4, 5, 6)}
    return Case(nodes, {}, (good, [5, 7, 9]), [{"i": integers(1, 2, 3), "j": integers(1, 2)}])


def in_a_loop(case: Case) -> Case:
    """The same nodes as the body of a loop that runs once, with the outer values that they use."""
    kind = TensorProto.INT64 if case.nodes[-1].op_type == "Div" else TensorProto.FLOAT
    body = helper.make_graph(
        [*case.nodes, helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [helper.make_tensor_value_info("turn", TensorProto.INT64, []), helper.make_tensor_value_info("go", 9, [])],
        [helper.make_tensor_value_info("on", 9, []), helper.make_tensor_value_info("y", kind, None)],
    )
    outer = [
        helper.make_node("Loop", ["turns", "yes"], ["all"], body=body),
        helper.make_node("Squeeze", ["all", "first"], ["once"]),
        helper.make_node("Identity", ["once"], ["y"]),
    ]
    for node in body.node:
        for names in (node.input, node.output):
            names[:] = ["inner" if name == "y" else name for name in names]
    body.output[1].name = "inner"
    weights = case.weights | {"turns": np.array(1), "yes": np.array(True), "first": integers(0)}
    return Case(outer, weights, case.good, case.bad)


CASES: dict[str, Callable[[], Case]] = {
    "Gather": lambda: gathers("Gather", 0, [3, -4], [0, 4], [FAR], [-5], [-FAR]),
    "Gather along the last axis": lambda: gathers("Gather", 1, [2], [3], [FAR], [-4]),
    "GatherND": lambda: gathers("GatherND", None, [[3], [-4]], [[4]], [[FAR]], [[-5]], [[-FAR]]),
    "GatherND of elements": lambda: gathers("GatherND", None, [[3, 2]], [[3, 3]], [[0, FAR]], [[-5, 0]]),
    "GatherElements": lambda: gathers("GatherElements", 0, [[3, 0, -1]], [[4, 0, 0]], [[-FAR, 0, 0]]),
    "ScatterElements": lambda: scatters("ScatterElements"),
    "ScatterND": lambda: scatters("ScatterND"),
    "Slice step": lambda: slices(1, 0, step=True),
    "Slice axis": lambda: slices(0, 9, step=False),
    "Reshape": lambda: reshapes([3, 4], [5, 7]),
    "broadcast": broadcasts,
    "Range": ranges,
    "Col2Im": blocks,
    "Div int32": lambda: divides("Div", np.int32),
    "Div int64": lambda: divides("Div", np.int64),
    "Mod int32": lambda: divides("Mod", np.int32),
    "Mod int64": lambda: divides("Mod", np.int64),
    "Gather in a loop": lambda: in_a_loop(gathers("Gather", 0, [3, -4], [0, 4], [-5])),
    "GatherND in a loop": lambda: in_a_loop(gathers("GatherND", None, [[3]], [[FAR]], [[-FAR]])),
    "Div in a loop": lambda: in_a_loop(divides("Div", np.int64)),
}


def make_model(case: Case) -> tuple[ModelProto, Signature]:
    call, expected = case.good
    answer = np.asarray(expected, call["i"].dtype if "table" not in case.weights else np.float32)

    def describe(name: str, array: npt.NDArray[Any]) -> tuple[Any, TensorSpec]:
        # OpenVINO needs to know how long each index of GatherND is.
        dims = array.shape if case.is_fixed else (f"{name}0", *array.shape[1:])
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        return helper.make_tensor_value_info(name, kind, dims), TensorSpec(name, DataType.from_numpy(array.dtype), dims)

    pairs = [describe(name, array) for name, array in (*call.items(), ("y", answer))]
    graph = helper.make_graph(
        case.nodes,
        "graph",
        [pairs[0][0], pairs[1][0]],
        [pairs[2][0]],
        [numpy_helper.from_array(array, name) for name, array in case.weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return model, Signature((pairs[0][1], pairs[1][1]), (pairs[2][1],))


def load(backend: str, path: Path, signature: Signature, threads: int) -> Any:
    format_ = "onnx" if path.suffix == ".onnx" else "openvino-ir"
    artifact = Artifact(backend, format_, Precision.FP32, Layout.PADDED, {"graph": path.name}, signature, path.parent)
    return BACKENDS[backend].load(artifact, None, LoadOptions("graph", threads=threads))


def fails(compute: Callable[[], Any]) -> str:
    """Returns the error of a failed computation; other errors pass through."""
    try:
        return f"answered {compute()['y'].numpy().tolist()}"
    except ExecutionError:
        return "raised"


def tell(found: list[Any]) -> None:
    sys.stdout.write(json.dumps(found) + "\n")
    sys.stdout.flush()


def run_all(backend: str, folder: Path) -> None:
    """Prints the outcome of each case, as a line of JSON; a line is missing if the process crashed."""
    for threads in THREADS:
        run_cases(backend, threads, folder)
    for operator in WRONG:
        load_constants(backend, operator, folder / "constants.onnx")
    if backend == "openvino":
        for threads in (1, 2):
            run_ir(threads, folder)


def run_cases(backend: str, threads: int, folder: Path) -> None:
    for name, make in CASES.items():
        case = make()
        proto, signature = make_model(case)
        path = folder / f"{name}.onnx"
        path.write_bytes(proto.SerializeToString())
        call, expected = case.good
        seen = []
        with load(backend, path, signature, threads) as model:
            for bad in case.bad:
                seen.append(fails(lambda bad=bad: model.forward(bad)))  # type: ignore[misc]
                found = model.forward(call)["y"].numpy()
                seen.append("right" if np.array_equal(found, expected) else f"wrong: {found.tolist()}")
        tell([f"{threads} {name}", seen])


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], dict[str, Any]]:
    """Returns the outcomes of a backend's cases of a group: with so many threads, of constants, or of an IR."""

    @cache
    def run(backend: str) -> dict[str, Any]:
        statement = f"run_all({backend!r}, Path({str(tmp_path_factory.mktemp(backend))!r}))"
        code = f"from pathlib import Path\nfrom tests.backends.test_guards import *\n{statement}"
        command, folder = [sys.executable, "-c", code], Path(__file__).parents[2]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False, cwd=folder)  # noqa: S603
        found = dict(json.loads(line) for line in done.stdout.splitlines())
        # What ends the process ends the group that it was in, which lacks the others of its outcomes.
        return found | ({"ended": [done.returncode, done.stderr[-2000:]]} if done.returncode else {})

    def choose(backend: str, group: str) -> dict[str, Any]:
        return {
            name.removeprefix(f"{group} "): outcome
            for name, outcome in run(backend).items()
            if name.startswith(f"{group} ") or name == "ended"
        }

    return choose


Outcomes = Callable[[str, str], dict[str, Any]]


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_fails_is_raised_and_the_next_call_is_right(outcomes: Outcomes, backend: str, threads: int) -> None:
    expected = {name: ["raised", "right"] * len(make().bad) for name, make in CASES.items()}
    assert outcomes(backend, str(threads)) == expected


def value(name: str, shape: Sequence[int], kind: Any) -> Any:
    parameter = opset13.parameter(list(shape), kind, name=name)
    parameter.output(0).set_names({name})
    return parameter


def make_deformable() -> tuple[Any, list[Any], Call, Call]:
    x, offsets = value("x", [1, 1, 4, 4], np.float32), value("i", [1, 2, 4, 4], np.float32)
    kernel = opset13.constant(np.ones((1, 1, 1, 1), np.float32))
    node = opset8.deformable_convolution(x, offsets, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    image, still = np.ones((1, 1, 4, 4), np.float32), np.zeros((1, 2, 4, 4), np.float32)
    return node, [x, offsets], {"x": image, "i": still}, {"x": image, "i": np.full_like(still, np.nan)}


def make_transform() -> tuple[Any, list[Any], Call, Call]:
    x, axes = value("x", [4, 2], np.float32), value("i", [1], np.int64)
    signal = np.ones((4, 2), np.float32)
    return opset13.dft(x, axes), [x, axes], {"x": signal, "i": integers(0)}, {"x": signal, "i": integers(9)}


def make_old_gather() -> tuple[Any, list[Any], Call, Call]:
    x, indices = value("x", [4, 3], np.float32), value("i", [1], np.int64)
    node = opset1.gather(x, indices, opset13.constant(0))
    return node, [x, indices], {"x": TABLE, "i": integers(3)}, {"x": TABLE, "i": integers(FAR)}


IR_CASES = {"deformable": make_deformable, "transform": make_transform, "old gather": make_old_gather}


def run_ir(threads: int, folder: Path) -> None:
    for name, make in IR_CASES.items():
        node, parameters, good, bad = make()
        node.output(0).set_names({"y"})
        openvino.save_model(openvino.Model([opset13.result(node)], parameters), folder / f"{name}.xml", False)
        inputs = [TensorSpec(key, DataType.from_numpy(array.dtype), array.shape) for key, array in good.items()]
        shape = tuple(node.get_output_shape(0))
        signature = Signature(tuple(inputs), (TensorSpec("y", DataType.F32, shape),))
        with load("openvino", folder / f"{name}.xml", signature, threads) as model:
            before = model.forward(good)["y"].numpy()
            seen = [fails(lambda: model.forward(bad))]  # noqa: B023
            seen.append("right" if np.array_equal(model.forward(good)["y"].numpy(), before) else "wrong")
        tell([f"IR {threads} {name}", seen])


@pytest.mark.parametrize("threads", [1, 2])
def test_operators_of_an_ir(outcomes: Outcomes, threads: int) -> None:
    assert outcomes("openvino", f"IR {threads}") == {name: ["raised", "right"] for name in IR_CASES}


WRONG = ("Div", "Gather", "GatherND")


def load_constants(backend: str, operator: str, path: Path) -> None:
    """A graph that divides or gathers wrongly whatever its inputs are: it fails when it is loaded, or on each call."""
    first = integers(LEAST[np.int64]) if operator == "Div" else TABLE
    second = {"Div": integers(-1), "GatherND": np.array([[FAR]]), "Gather": integers(FAR)}[operator]
    last = [helper.make_node("Cast", ["k"], ["f"], to=1), helper.make_node("Add", ["x", "f"], ["y"])]
    graph = helper.make_graph(
        [helper.make_node(operator, ["first", "second"], ["k"]), *last],
        "graph",
        [helper.make_tensor_value_info("x", 1, ["n", 3])],
        [helper.make_tensor_value_info("y", 1, ["n", 3])],
        [numpy_helper.from_array(first, "first"), numpy_helper.from_array(second, "second")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    specs = [TensorSpec(name, DataType.F32, ("n", 3)) for name in "xy"]
    try:
        with load(backend, path, Signature((specs[0],), (specs[1],)), 1) as loaded:
            tell([f"constant {operator}", fails(lambda: loaded.forward({"x": np.ones((1, 3), np.float32)}))])
    except LoadError:
        tell([f"constant {operator}", "raised"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_constants_that_are_wrong(outcomes: Outcomes, backend: str) -> None:
    assert outcomes(backend, "constant") == dict.fromkeys(WRONG, "raised")


def test_the_error_says_what_is_wrong(tmp_path: Path) -> None:
    case = gathers("GatherND", None, [[3]], [[4]])
    proto, signature = make_model(case)
    (tmp_path / "graph.onnx").write_bytes(proto.SerializeToString())
    told = r"computing 'graph': an index is out of range in GatherND 'y'"
    with (
        load("openvino", tmp_path / "graph.onnx", signature, 1) as model,
        pytest.raises(ExecutionError, match=told),
    ):
        model.forward(case.bad[0])


@pytest.mark.parametrize("number", [2**32 + 1, 2**31, -(2**31) - 1, 2**63 - 1])
def test_integers_that_do_not_fit_32_bits(number: int, tmp_path: Path) -> None:
    case = gathers("Gather", 0, [1], [1])
    proto, signature = make_model(case)
    (tmp_path / "graph.onnx").write_bytes(proto.SerializeToString())
    told = f"holds {number}, but openvino computes 64-bit integers in 32 bits"
    with (
        load("openvino", tmp_path / "graph.onnx", signature, 1) as model,
        pytest.raises(ExecutionError, match=told),
    ):
        model.forward({"i": integers(number), "j": integers(0)})


def test_checks_keep_weights_outside_the_graph(tmp_path: Path) -> None:
    """ONNX Runtime gets the bytes of a graph with checks, and still finds the files beside it."""
    import onnx

    case = divides("Div", np.int64)
    proto, signature = make_model(case)
    proto.graph.node.insert(0, helper.make_node("Add", ["i", "more"], ["sum"]))
    proto.graph.node[1].input[0] = "sum"
    more = numpy_helper.from_array(np.full(3, 100), "more")
    proto.graph.initializer.append(more)
    onnx.save_model(proto, tmp_path / "graph.onnx", save_as_external_data=True, location="more.bin", size_threshold=0)
    with load("onnxruntime", tmp_path / "graph.onnx", signature, 1) as model:
        found = model.forward({"i": integers(1, 2, 3), "j": integers(2, -1, 5)})["y"].numpy()
    np.testing.assert_array_equal(found, [50, -102, 20])


def test_a_quotient_of_one_is_not_multiplied_out(tmp_path: Path) -> None:
    """ONNX Runtime (1.32) turns (1 / 2) * 7 into 7 / 2, for integers too."""
    nodes = [helper.make_node("Div", ["one", "j"], ["part"]), helper.make_node("Mul", ["part", "i"], ["y"])]
    case = Case(nodes, {"one": integers(1)}, ({"i": integers(7), "j": integers(2)}, [0]), [])
    proto, signature = make_model(case)
    (tmp_path / "graph.onnx").write_bytes(proto.SerializeToString())
    with load("onnxruntime", tmp_path / "graph.onnx", signature, 1) as model:
        assert model.forward(case.good[0])["y"].numpy().tolist() == [0]


def chooses(condition: list[NodeProto], yes: list[NodeProto], no: list[NodeProto]) -> list[NodeProto]:
    """The nodes of a condition, and one that computes the nodes of either branch; the last node gives the result."""
    then, otherwise = (
        helper.make_graph(nodes, "branch", [], [helper.make_tensor_value_info(nodes[-1].output[0], 7, None)])
        for nodes in (yes, no)
    )
    result = f"{condition[-1].output[0]} chosen"
    node = helper.make_node("If", [condition[-1].output[0]], [result], then_branch=then, else_branch=otherwise)
    return [*condition, node]


def test_branches_within_branches_of_constant_conditions(tmp_path: Path) -> None:
    """ONNX Runtime (1.32) gives the sum another name twice, and its last users look for the first."""

    def constant(name: str) -> list[NodeProto]:
        return [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(True)))]

    def one(operator: str, source: str, name: str) -> list[NodeProto]:
        return [helper.make_node(operator, [source], [name])]

    largest = helper.make_node("ReduceMax", ["i"], ["largest"], keepdims=0)
    least = helper.make_node("ReduceMin", ["i"], ["least"], keepdims=0)
    varies = helper.make_node("Greater", ["largest", "least"], ["varies"])
    total = helper.make_node("Add", ["i", "j"], ["total"])
    innermost = chooses([total, largest, least, varies], one("Neg", "total", "a"), one("Abs", "total", "b"))
    middle = chooses(constant("always"), innermost, one("Abs", "i", "c"))
    outermost = chooses(constant("surely"), middle, one("Neg", "j", "d"))
    nodes = [*outermost, helper.make_node("Identity", [outermost[-1].output[0]], ["y"])]
    proto, signature = make_model(Case(nodes, {}, ({"i": integers(1, 2), "j": integers(3, 5)}, [-4, -7]), []))
    (tmp_path / "graph.onnx").write_bytes(proto.SerializeToString())

    with load("onnxruntime", tmp_path / "graph.onnx", signature, 1) as model:
        found = model.forward({"i": integers(1, 2), "j": integers(3, 5)})["y"].numpy()

    assert found.tolist() == [-4, -7]
