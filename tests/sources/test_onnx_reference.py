"""ONNX files as sources: their reference, their number format, what their integers index, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import ModelProto, TensorProto, helper

import inferox
from inferox.core import PackageError, Precision, RequestError
from inferox.sources import open_source
from tests.sources.graphs import WIDE_WEIGHT, make_affine
from tests.sources.test_onnx_traits import RUNTIMES, check_pack, floats, make

F, INT64 = TensorProto.FLOAT, TensorProto.INT64


def make_lookup(*, shift: int = 0, name: str = "words", kind: int = INT64) -> ModelProto:
    """Makes a graph that looks up rows of a table of 50, by indices to which a number is added."""
    nodes = [
        helper.make_node("Cast", [name], ["wide"], to=INT64),
        helper.make_node("Add", ["wide", "shift"], ["index"]),
        helper.make_node("Unsqueeze", ["index", "axes"], ["column"]),
        helper.make_node("Gather", ["table", "column"], ["y"]),
    ]
    constants = {"table": floats(50, 3), "shift": np.array(shift), "axes": np.array([2])}
    return make(nodes, {name: (kind, ["rows", "time"])}, {"y": (F, ["rows", "time", 1, 3])}, constants)


@pytest.mark.parametrize(("shift", "upper_bound"), [(0, 50), (2, 48)])
@pytest.mark.parametrize("kind", [INT64, TensorProto.INT32])
def test_indices_are_bounded_by_their_table_for_every_runtime(
    tmp_path: Path, shift: int, upper_bound: int, kind: int
) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    package = check_pack(
        make_lookup(shift=shift, kind=kind), tmp_path, None, {"words": np.array([[0, upper_bound - 1]], dtype)}
    )
    for backend in RUNTIMES:
        with inferox.load(package, backend=backend) as model:
            for wrong in (upper_bound, 1_000_000):
                with pytest.raises(RequestError, match=f"from 0 to {upper_bound - 1}, but holds {wrong}"):
                    model.forward({"words": np.array([[1, wrong]], dtype)})


def test_made_up_indices_reach_over_the_whole_table(tmp_path: Path) -> None:
    onnx.save(make_lookup(name="tokens"), tmp_path / "graph.onnx")
    inferox.pack(tmp_path / "graph.onnx", tmp_path / "package")
    samples = inferox.open_package(tmp_path / "package").samples()
    assert samples is not None
    drawn = np.concatenate([batch.inputs["tokens"].ravel() for batch in samples.batches])
    assert (drawn.min(), drawn.max()) == (0, 49)
    assert len(np.unique(drawn)) > 20
    assert len({batch.inputs["tokens"].shape for batch in samples.batches}) > 2


def test_made_up_numbers_have_several_scales(tmp_path: Path) -> None:
    onnx.save(make_affine(), tmp_path / "graph.onnx")
    inferox.pack(tmp_path / "graph.onnx", tmp_path / "package")
    samples = inferox.open_package(tmp_path / "package").samples()
    assert samples is not None
    scales = {float(np.round(np.log10(batch.inputs["x"].std()))) for batch in samples.batches}
    assert scales >= {-1.0, 0.0, 1.0}


def test_made_up_lengths_are_those_of_the_rows(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["time"]),
        helper.make_node("Range", ["zero", "time", "one"], ["places"]),
        helper.make_node("Unsqueeze", ["x_lengths", "axes"], ["column"]),
        helper.make_node("Less", ["places", "column"], ["shown"]),
        helper.make_node("Cast", ["shown"], ["mask"], to=F),
        helper.make_node("Mul", ["x", "mask"], ["y"]),
    ]
    inputs = {"x": (F, ["batch", "time"]), "x_lengths": (INT64, ["batch"])}
    constants = {"zero": np.array(0), "one": np.array(1), "axes": np.array([1])}
    model = make(nodes, inputs, {"y": (F, ["batch", "time"])}, constants)
    package = check_pack(model, tmp_path, None, {"x": floats(2, 5), "x_lengths": np.array([5, 2])})
    samples = inferox.open_package(package).samples()
    assert samples is not None
    assert any((batch.inputs["x_lengths"] == batch.inputs["x"].shape[1]).all() for batch in samples.batches)
    assert all(np.count_nonzero(batch.outputs["y"]) for batch in samples.batches)


@pytest.mark.parametrize("side", [1, 48])
def test_shapes_are_tried_until_one_fits(tmp_path: Path, side: int) -> None:
    """A graph that flattens an image of one size, but leaves its sides free."""
    weight = {"weight": floats(3 * side * side, 2)}
    nodes = [helper.make_node("Flatten", ["pixels"], ["flat"]), helper.make_node("MatMul", ["flat", "weight"], ["y"])]
    model = make(nodes, {"pixels": (F, ["N", "C", "H", "W"])}, {"y": (F, ["N", 2])}, weight)
    package = check_pack(model, tmp_path, None, {"pixels": floats(1, 3, side, side)})
    assert inferox.open_package(package).info.signature.inputs[0].dims[0] == "batch"


def test_numbers_without_a_sign_are_tried_where_others_give_nan(tmp_path: Path) -> None:
    model = make([helper.make_node("Sqrt", ["x"], ["y"])], {"x": (F, ["batch", 4])}, {"y": (F, ["batch", 4])})
    check_pack(model, tmp_path, None, {"x": np.abs(floats(3, 4))})


def test_a_graph_of_nothing_but_nan_needs_real_inputs(tmp_path: Path) -> None:
    nodes = [helper.make_node("Sub", ["zero", "x"], ["less"]), helper.make_node("Sqrt", ["less"], ["y"])]
    constants = {"zero": np.array([-1000], np.float32)}
    onnx.save(make(nodes, {"x": (F, [4])}, {"y": (F, [4])}, constants), tmp_path / "graph.onnx")
    with pytest.raises(PackageError, match=r"it gives NaN.*np\.savez"):
        open_source(tmp_path / "graph.onnx")


def test_where_nothing_fits_the_error_has_a_line_to_start_from(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["y"])]
    onnx.save(
        make(nodes, {"x": (F, ["rows", "width"])}, {"y": (F, ["rows", 2])}, {"weight": floats(917, 2)}),
        tmp_path / "graph.onnx",
    )
    with pytest.raises(PackageError, match="made up for it") as caught:
        open_source(tmp_path / "graph.onnx")
    assert "check that they have the names" not in str(caught.value)
    assert "np.savez('x.npz', x=np.ones((rows, width), np.float32))" in str(caught.value)


@pytest.mark.parametrize(
    ("array", "reason"),
    [(floats(2, 4).astype(np.float64), "type float64"), (floats(2, 5), r"shape \[2, 5\]"), (floats(4), r"shape \[4\]")],
)
def test_examples_that_do_not_fit_are_named(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    onnx.save(make_affine(), tmp_path / "graph.onnx")
    np.savez(tmp_path / "x.npz", x=array)
    with pytest.raises(PackageError, match=rf"the input x: f32\[batch, 4\] has samples of the {reason}"):
        open_source(tmp_path / "graph.onnx", samples=tmp_path / "x.npz")


@pytest.mark.parametrize("inside", [False, True], ids=["", "in a branch"])
@pytest.mark.parametrize("operator", ["RandomNormalLike", "Bernoulli", "RandomUniformLike"])
def test_random_graphs_are_refused_as_such(tmp_path: Path, operator: str, inside: bool) -> None:
    model = make([helper.make_node(operator, ["x"], ["y"])], {"x": (F, ["batch", 4])}, {"y": (F, ["batch", 4])})
    if inside:
        branch = helper.make_graph(
            [helper.make_node(operator, ["x"], ["z"])], "then", [], [helper.make_tensor_value_info("z", F, None)]
        )
        node = helper.make_node("If", ["on"], ["y"], then_branch=branch, else_branch=branch)
        on = {"on": np.array(True)}
        model = make([node], {"x": (F, ["batch", 4])}, {"y": (F, ["batch", 4])}, on)
    onnx.save(model, tmp_path / "graph.onnx")
    with pytest.raises(PackageError, match=f"is random.*{operator}"):
        open_source(tmp_path / "graph.onnx")


def test_chance_that_no_operator_names_is_found_by_running_twice(tmp_path: Path) -> None:
    constants = {"ratio": np.array(0.5, np.float32), "training": np.array(True)}
    node = helper.make_node("Dropout", ["x", "ratio", "training"], ["y"])
    onnx.save(make([node], {"x": (F, ["batch", 64])}, {"y": (F, ["batch", 64])}, constants), tmp_path / "graph.onnx")
    with pytest.raises(PackageError, match="another 'y' each time for the same inputs"):
        open_source(tmp_path / "graph.onnx")


@pytest.mark.parametrize("side", ["input", "output"])
def test_texts_are_refused_as_such(tmp_path: Path, side: str) -> None:
    kinds = (TensorProto.STRING, F) if side == "input" else (F, TensorProto.STRING)
    node = helper.make_node("Cast", ["x"], ["y"], to=kinds[1])
    onnx.save(make([node], {"x": (kinds[0], ["batch"])}, {"y": (kinds[1], ["batch"])}), tmp_path / "graph.onnx")
    with pytest.raises(PackageError, match=f"'{'x' if side == 'input' else 'y'}', a tensor of texts"):
        open_source(tmp_path / "graph.onnx")


@pytest.mark.parametrize("declared", [["batch"], ["batch", 3, 1, 1]])
def test_a_wrong_number_of_declared_axes_is_corrected(tmp_path: Path, declared: list[int | str]) -> None:
    model = make_affine()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", F, declared))
    package = check_pack(model, tmp_path, {"x": floats(2, 4)}, {"x": floats(3, 4)})
    assert inferox.open_package(package).info.signature.outputs[0].dims == ("batch", 3)


def make_bfloat16() -> ModelProto:
    """Makes a matrix product for which ONNX Runtime has no kernel on CPUs."""
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.BFLOAT16),
        helper.make_node("MatMul", ["narrow", "weight"], ["product"]),
        helper.make_node("Cast", ["product"], ["y"], to=F),
    ]
    model = make(nodes, {"x": (F, ["batch", 4])}, {"y": (F, ["batch", 2])})
    numbers = np.array([0.5, -1, 2, 0.25, 3, -0.125, 1, 1.5], np.float32)
    bits = (numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    model.graph.initializer.append(helper.make_tensor("weight", TensorProto.BFLOAT16, [4, 2], bits, raw=True))
    return model


def test_a_graph_that_onnx_runtime_cannot_run_has_another_reference(tmp_path: Path) -> None:
    onnx.save(make_bfloat16(), tmp_path / "graph.onnx")
    report = inferox.pack(tmp_path / "graph.onnx", tmp_path / "package")
    assert [item.artifact for item in report.evidence] == ["openvino/onnx/bf16/padded"]
    assert any("openvino is the reference, because onnxruntime failed" in note for note in report.notes)
    with pytest.raises(PackageError, match="made no artifact that can run it"):
        inferox.pack(tmp_path / "graph.onnx", tmp_path / "other", backends=("onnxruntime",))


def make_half() -> ModelProto:
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["narrow", "weight"], ["product"]),
        helper.make_node("Cast", ["product"], ["y"], to=F),
    ]
    weight = {"weight": WIDE_WEIGHT.astype(np.float16)}
    return make(nodes, {"x": (F, ["batch", 4])}, {"y": (F, ["batch", 300])}, weight)


def make_quantised() -> ModelProto:
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["narrow", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["narrow", "weight", "zero"], ["product"]),
        helper.make_node("Cast", ["product"], ["wide"], to=F),
        helper.make_node("Mul", ["wide", "scale"], ["y"]),
    ]
    weight = {"weight": np.rint(WIDE_WEIGHT * 100).astype(np.int8)}
    return make(nodes, {"x": (F, ["batch", 4])}, {"y": (F, ["batch", 300])}, weight)


@pytest.mark.parametrize(
    ("model", "precision"), [(make_half(), "fp16"), (make_quantised(), "int8"), (make_affine(), "fp32")]
)
def test_graphs_are_labelled_as_what_they_are(tmp_path: Path, model: ModelProto, precision: str) -> None:
    onnx.save(model, tmp_path / "graph.onnx")
    report = inferox.pack(tmp_path / "graph.onnx", tmp_path / "package", backends=RUNTIMES, precisions=("fp32",))
    assert report.refused == {}
    assert [item.artifact for item in report.evidence] == [f"{name}/onnx/{precision}/padded" for name in RUNTIMES]
    for backend in RUNTIMES:
        with inferox.load(tmp_path / "package", backend=backend, precision=precision) as loaded:
            assert loaded.forward(floats(2, 4))["y"].shape[0] == 2
    if precision != "fp32":
        report = inferox.pack(tmp_path / "graph.onnx", tmp_path / "more", precisions=("fp32", "int8"))
        assert [f"already a graph in {precision}" in reason for reason in report.refused.values()] == [True]


def test_losing_its_own_runtime_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(make_affine(), tmp_path / "graph.onnx")
    monkeypatch.setattr("inferox.backends.onnxruntime.export.graph_precision", _refuse)
    with pytest.raises(PackageError, match=r"onnxruntime, the runtime of 'graph' itself.*this build lacks a kernel"):
        inferox.pack(tmp_path / "graph.onnx", tmp_path / "package", backends=RUNTIMES, precisions=("fp32",))
    assert not (tmp_path / "package").exists()
    assert [
        item.artifact
        for item in inferox.pack(
            tmp_path / "graph.onnx", tmp_path / "package", backends=("openvino",), precisions=("fp32",)
        ).evidence
    ] == ["openvino/onnx/fp32/padded"]


def _refuse(*_: object) -> Precision:
    raise RuntimeError("this build lacks a kernel")


def test_samples_do_not_outgrow_the_model(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["pixels", "kernel"], ["y"], pads=[1, 1, 1, 1])
    model = make(
        [node], {"pixels": (F, ["N", 3, "H", "W"])}, {"y": (F, ["N", 8, "H", "W"])}, {"kernel": floats(8, 3, 3, 3)}
    )
    check_pack(model, tmp_path, None)
    size = (tmp_path / "package" / "samples.safetensors").stat().st_size
    assert size < 2**19  # without a budget, it would be 3 MB


def test_indices_of_an_ir_are_bounded_too(tmp_path: Path) -> None:
    words = openvino.opset15.parameter([-1, -1], np.int32, "words")
    words.output(0).set_names({"words"})
    table = openvino.opset15.constant(floats(50, 3))
    index = openvino.opset15.convert(words, "i64")
    found = openvino.opset15.gather(table, index, openvino.opset15.constant(0))
    found.output(0).set_names({"y"})
    openvino.save_model(openvino.Model([found], [words]), tmp_path / "lookup.xml", compress_to_fp16=False)
    inferox.pack(tmp_path / "lookup.xml", tmp_path / "package")
    with inferox.load(tmp_path / "package") as model:
        assert model.forward({"words": np.array([[0, 49]], np.int32)})["y"].shape == (1, 2, 3)
        with pytest.raises(RequestError, match="from 0 to 49, but holds 1000000"):
            model.forward({"words": np.array([[1, 1_000_000]], np.int32)})


def test_indices_are_bounded_within_functions_of_the_graph(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    body = [helper.make_node("Gather", ["table", "index"], ["found"])]
    function = helper.make_function("local", "lookup", ["table", "index"], ["found"], body, opsets[:1])
    node = helper.make_node("lookup", ["table", "words"], ["y"], domain="local")
    graph = make([node], {"words": (INT64, ["batch"])}, {"y": (F, ["batch", 3])}, {"table": floats(20, 3)}).graph
    model = helper.make_model(graph, opset_imports=opsets, functions=[function], ir_version=8)
    onnx.save(model, tmp_path / "graph.onnx")
    assert open_source(tmp_path / "graph.onnx").signature.inputs[0].upper_bound == 20


def make_cubic() -> ModelProto:
    """A cubic resize of images without a channel dim to computed sizes, which ONNX Runtime loads and does not run."""
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Mul", ["shape", "factors"], ["sizes"]),
        helper.make_node("Resize", ["x", "", "", "sizes"], ["y"], mode="cubic"),
    ]
    return make(
        nodes, {"x": (F, ["batch", 4, 6])}, {"y": (F, ["batch", 8, 12])}, {"factors": np.array([1, 2, 2], np.int64)}
    )


def test_a_graph_that_onnx_runtime_loads_and_does_not_run_falls_to_openvino(tmp_path: Path) -> None:
    onnx.save(make_cubic(), tmp_path / "graph.onnx")
    np.savez(tmp_path / "x.npz", x=floats(3, 4, 6))
    with pytest.raises(PackageError, match="real ones are needed"):
        inferox.pack(tmp_path / "graph.onnx", tmp_path / "package")
    report = inferox.pack(tmp_path / "graph.onnx", tmp_path / "package", samples=tmp_path / "x.npz")
    assert [item.artifact for item in report.evidence] == ["openvino/onnx/fp32/padded"]
    assert report.notes[0].startswith("openvino is the reference, because ")
    assert "Resize" in report.notes[0]


def test_examples_that_no_runtime_takes_are_to_blame(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Gather", ["shape", "one"], ["width"]),
        helper.make_node("Reshape", ["weight", "width"], ["vector"]),
        helper.make_node("Mul", ["x", "vector"], ["y"]),
    ]
    constants = {"one": np.array([1]), "weight": floats(4)}
    onnx.save(make(nodes, {"x": (F, ["n", "m"])}, {"y": (F, ["n", "m"])}, constants), tmp_path / "graph.onnx")
    np.savez(tmp_path / "x.npz", x=floats(2, 5))
    with pytest.raises(PackageError, match="fails on its example inputs") as caught:
        open_source(tmp_path / "graph.onnx", samples=tmp_path / "x.npz")
    assert "check that they have the names" in str(caught.value)


def test_a_graph_of_nothing_but_infinities_is_compared_as_it_is_and_weak(tmp_path: Path) -> None:
    nodes = [helper.make_node("Where", ["never", "x", "infinity"], ["y"])]
    constants = {"never": np.array([False] * 4), "infinity": np.array(-np.inf, np.float32)}
    onnx.save(make(nodes, {"x": (F, ["batch", 4])}, {"y": (F, ["batch", 4])}, constants), tmp_path / "graph.onnx")
    np.savez(tmp_path / "x.npz", x=floats(3, 4))
    report = inferox.pack(
        tmp_path / "graph.onnx",
        tmp_path / "package",
        samples=tmp_path / "x.npz",
        backends=RUNTIMES,
        precisions=("fp32",),
    )
    assert [item.weak for item in report.evidence] == ["every number of the output 'y' is -inf in the samples"] * 2
    assert inferox.load(tmp_path / "package").metadata.backend == "onnxruntime"


@pytest.mark.parametrize("kind", [TensorProto.BOOL, TensorProto.UINT8, TensorProto.INT8])
def test_a_cast_that_changes_indices_bounds_nothing(tmp_path: Path, kind: int) -> None:
    """``ids != 0`` picks one of two rows, but ids are not indices of two rows."""
    nodes = [
        helper.make_node("Cast", ["ids"], ["narrow"], to=kind),
        helper.make_node("Cast", ["narrow"], ["index"], to=INT64),
        helper.make_node("Gather", ["table", "index"], ["y"]),
    ]
    rows = 2 if kind == TensorProto.BOOL else 60
    onnx.save(
        make(nodes, {"ids": (INT64, ["n"])}, {"y": (F, ["n", 3])}, {"table": floats(rows, 3)}), tmp_path / "graph.onnx"
    )
    np.savez(tmp_path / "x.npz", ids=np.array([0, 1, 5, 50]))
    inferox.pack(
        tmp_path / "graph.onnx",
        tmp_path / "package",
        samples=tmp_path / "x.npz",
        backends=RUNTIMES,
        precisions=("fp32",),
    )
    for backend in RUNTIMES:
        with inferox.load(tmp_path / "package", backend=backend) as model:
            model.forward({"ids": np.array([0, 5, 65536])})


def test_the_table_of_a_branch_bounds_nothing(tmp_path: Path) -> None:
    def branch(table: str) -> onnx.GraphProto:
        node = helper.make_node("Gather", [table, "ids"], [f"{table}_rows"])
        return helper.make_graph([node], table, [], [helper.make_tensor_value_info(f"{table}_rows", F, None)])

    nodes = [
        helper.make_node("ReduceMax", ["ids"], ["largest"], keepdims=0),
        helper.make_node("Less", ["largest", "four"], ["is_small"]),
        helper.make_node("If", ["is_small"], ["y"], then_branch=branch("small"), else_branch=branch("large")),
    ]
    constants = {"four": np.array(4), "small": floats(4, 3), "large": floats(100, 3)}
    onnx.save(make(nodes, {"ids": (INT64, ["n"])}, {"y": (F, ["n", 3])}, constants), tmp_path / "graph.onnx")
    np.savez(tmp_path / "x.npz", ids=np.array([0, 50, 99]))
    inferox.pack(tmp_path / "graph.onnx", tmp_path / "package", samples=tmp_path / "x.npz")
    with inferox.load(tmp_path / "package") as model:
        for ids in ([1, 3], [1, 99]):
            model.forward({"ids": np.array(ids)})
