"""Hostile and damaged graphs, as sources and within packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import openvino
import pytest
from onnx import ModelProto, TensorProto, helper

import inferox
from inferox.backends.onnxruntime import OnnxRuntimeBackend
from inferox.backends.openvino import OpenVinoBackend
from inferox.core import (
    Artifact,
    Backend,
    DataType,
    InferoxError,
    IntegrityError,
    Layout,
    LoadError,
    LoadOptions,
    NoUsableBackendError,
    OutOfMemoryError,
    PackageError,
    Precision,
    Signature,
    TensorSpec,
    UnsafePathError,
)
from inferox.package.writer import hash_file
from inferox.sources import open_source
from tests.attacks.test_folders import edit_metadata
from tests.sources.graphs import make_affine, save_affine

BACKENDS: list[Backend] = [OnnxRuntimeBackend(), OpenVinoBackend()]

AFFINE = Signature((TensorSpec("x", DataType.F32, ("batch", 4)),), (TensorSpec("y", DataType.F32, ("batch", 3)),))


def load(backend: Backend, graph: Path, format_: str = "onnx") -> None:
    files = {"graph": graph.name}
    artifact = Artifact(backend.name, format_, Precision.FP32, Layout.PADDED, files, AFFINE, graph.parent)
    backend.load(artifact, None, LoadOptions("hostile")).close()


def point(graph: ModelProto, **facts: str) -> ModelProto:
    """Points the first weight elsewhere."""
    weight = graph.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in facts.items():
        weight.external_data.add(key=key, value=value)
    return graph


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret.bin", "sub/../../secret.bin", "C:\\secret.bin"])
def test_weights_outside_the_folder(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    onnx.save(point(make_affine(), location=location, offset="0", length="48"), folder / "model.onnx")
    with pytest.raises(UnsafePathError, match="outside the folder"):
        open_source(folder / "model.onnx")
    for backend in BACKENDS:
        with pytest.raises(LoadError):
            load(backend, folder / "model.onnx")


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="there are no links here")
def test_weights_behind_a_link(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    (folder / "weights.bin").symlink_to(tmp_path / "secret.bin")
    onnx.save(point(make_affine(), location="weights.bin", offset="0", length="48"), folder / "model.onnx")
    with pytest.raises(UnsafePathError, match="link"):
        open_source(folder / "model.onnx")
    for backend in BACKENDS:
        with pytest.raises(LoadError):
            load(backend, folder / "model.onnx")


@pytest.mark.parametrize(("offset", "length"), [("0", "48"), ("40", "48"), (str(2**62), "48"), ("16", str(2**62))])
def test_weights_past_the_end_of_their_file(tmp_path: Path, offset: str, length: str) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(47))
    onnx.save(point(make_affine(), location="weights.bin", offset=offset, length=length), tmp_path / "model.onnx")
    with pytest.raises(IntegrityError, match="which has 47"):
        open_source(tmp_path / "model.onnx")
    for backend in BACKENDS:
        with pytest.raises(LoadError):
            load(backend, tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"location": "weights.bin", "offset": "many", "length": "48"}, "no range of bytes"),
        ({"location": "weights.bin", "offset": "-4", "length": "48"}, "no range of bytes"),
        ({"location": "weights.bin", "offset": "0", "length": "-48"}, "no range of bytes"),
        ({"location": "w" * 5000, "offset": "0", "length": "48"}, "cannot be read"),
        ({"location": "weights\0.bin", "offset": "0", "length": "48"}, "missing"),
    ],
    ids=["word", "negative-offset", "negative-length", "long-name", "zero-byte"],
)
def test_weights_in_no_place_at_all(tmp_path: Path, facts: dict[str, str], reason: str) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(48))
    (tmp_path / "model.onnx").write_bytes(point(make_affine(), **facts).SerializeToString())
    with pytest.raises(IntegrityError, match=reason):
        open_source(tmp_path / "model.onnx")
    for backend in BACKENDS:
        with pytest.raises(LoadError):
            load(backend, tmp_path / "model.onnx")


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret.bin"])
@pytest.mark.parametrize("depth", [0, 1], ids=["node", "branch"])
def test_weights_outside_the_folder_that_are_no_initializers(tmp_path: Path, location: str, depth: int) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    graph = point(make_affine(), location=location, offset="0", length="48")
    constant(graph)
    if depth:
        branches = [
            helper.make_graph([graph.graph.node[0]], name, [], [helper.make_tensor_value_info("weight", 1, [4, 3])])
            for name in ("then", "else")
        ]
        graph.graph.node[0].CopyFrom(
            helper.make_node("If", ["yes"], ["weight"], then_branch=branches[0], else_branch=branches[1])
        )
        graph.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(PackageError, match="not a valid ONNX graph"):
        open_source(folder / "model.onnx")
    for backend in BACKENDS:
        with pytest.raises(LoadError, match=r"outside|escapes|[Aa]bsolute"):
            load(backend, folder / "model.onnx")


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    onnx.save(point(make_affine(), location="weights.bin", offset="0", length="48"), tmp_path / "model.onnx")
    with pytest.raises(IntegrityError, match="missing"):
        open_source(tmp_path / "model.onnx")


MEMORY = """
import sys
from pathlib import Path
from inferox.core import LoadError
from tests.attacks.test_graphs import BACKENDS, load
for backend in BACKENDS:
    try:
        load(backend, Path(sys.argv[1]))
    except LoadError as error:
        print(backend.name, error)
"""


def constant(graph: ModelProto) -> None:
    """Moves the first weight into a node."""
    weight = graph.graph.initializer.pop(0)
    graph.graph.node.insert(0, helper.make_node("Constant", [], ["weight"], value=weight))


@pytest.mark.parametrize("move", [None, constant], ids=["weight", "constant"])
@pytest.mark.parametrize("there", [False, True], ids=["no-file", "a-file"])
def test_weights_at_an_address_in_memory(
    tmp_path: Path, move: Callable[[ModelProto], None] | None, there: bool
) -> None:
    graph = point(make_affine(), location="*/_ORT_MEM_ADDR_/*", offset="4096", length="48")
    if move is not None:
        move(graph)
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    if there:
        if os.name == "nt":
            pytest.skip("no file can have this name here")
        folder = tmp_path / "*" / "_ORT_MEM_ADDR_"
        folder.mkdir(parents=True)
        (folder / "*").write_bytes(bytes(8192))
    with pytest.raises((PackageError, LoadError)):
        open_source(tmp_path / "model.onnx")
    # In a separate process, as a runtime that follows the address crashes.
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", MEMORY, str(tmp_path / "model.onnx")],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()
    assert [line.partition(" ")[0] for line in told] == ["onnxruntime", "openvino"]
    assert "onnxruntime_src" not in told[0]
    assert "takes weights from an address in memory" in told[1]


def cycle(graph: ModelProto) -> None:
    graph.graph.node[0].input[0] = "y"


def nameless(graph: ModelProto) -> None:
    graph.graph.node[1].input[0] = "nobody"


def unknown(graph: ModelProto) -> None:
    graph.graph.node[1].op_type = "NoSuchOperator"


def custom(graph: ModelProto) -> None:
    graph.graph.node[1].op_type, graph.graph.node[1].domain = "Steal", "org.example"
    graph.opset_import.append(helper.make_opsetid("org.example", 1))


def test_outputs_that_are_no_tensors(tmp_path: Path) -> None:
    graph = make_affine(helper.make_node("SequenceConstruct", ["sum"], ["y"]))
    graph.graph.output[0].CopyFrom(helper.make_tensor_sequence_value_info("y", TensorProto.FLOAT, None))
    onnx.save(graph, tmp_path / "model.onnx")
    with pytest.raises(PackageError, match="'y', a sequence, not a tensor"):
        open_source(tmp_path / "model.onnx")


@pytest.mark.parametrize("extents", [[2**31], [10**15], [2**40, 2**40]])
def test_an_example_is_not_made_of_absurd_extents(tmp_path: Path, extents: list[int]) -> None:
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, extents) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "large", [sides[0]], [sides[1]])
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "model.onnx")
    with pytest.raises(PackageError, match="too many elements"):
        open_source(tmp_path / "model.onnx")


@pytest.mark.parametrize("extent", [10**12, 10**15, 2**62 + 5])
def test_constants_of_absurd_extents(tmp_path: Path, extent: int) -> None:
    graph = make_affine(
        helper.make_node("ConstantOfShape", ["extent"], ["ones"]),
        helper.make_node("ReduceSum", ["ones"], ["total"], keepdims=0),
        helper.make_node("Add", ["sum", "total"], ["y"]),
    )
    graph.graph.initializer.append(helper.make_tensor("extent", TensorProto.INT64, [1], [extent]))
    onnx.save(graph, tmp_path / "model.onnx")
    with pytest.raises((PackageError, LoadError, OutOfMemoryError)):
        open_source(tmp_path / "model.onnx")
    with pytest.raises((LoadError, OutOfMemoryError)):
        load(OpenVinoBackend(), tmp_path / "model.onnx")


def test_a_version_that_does_not_exist_yet(tmp_path: Path) -> None:
    graph = make_affine()
    graph.opset_import[0].version = 9999
    onnx.save(graph, tmp_path / "model.onnx")
    with pytest.raises((PackageError, LoadError)):
        open_source(tmp_path / "model.onnx")
    with pytest.raises(LoadError):
        load(OnnxRuntimeBackend(), tmp_path / "model.onnx")


@pytest.mark.parametrize("break_", [cycle, nameless, unknown, custom])
def test_invalid_graphs(tmp_path: Path, break_: Callable[[ModelProto], None]) -> None:
    graph = make_affine()
    break_(graph)
    onnx.save(graph, tmp_path / "model.onnx")
    with pytest.raises((PackageError, LoadError)):
        open_source(tmp_path / "model.onnx")
    for backend in BACKENDS:
        with pytest.raises(LoadError) as caught:
            load(backend, tmp_path / "model.onnx")
        if break_ is custom:
            assert "Steal" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x00" * 64, b"not a graph at all", b"\x08\x07\x12\xff\xff\xff\xff\x0f"])
def test_files_that_are_no_graphs(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises((PackageError, LoadError)):
        open_source(path)
    for backend in BACKENDS:
        with pytest.raises(LoadError):
            load(backend, path)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    whole = make_affine().SerializeToString()
    # The first mention is the node's, which then names a weight that does not exist.
    (tmp_path / "model.onnx").write_bytes(whole.replace(b"weight", b"w\x80ight", 1))
    with pytest.raises(PackageError, match=r"not a valid ONNX graph|not an ONNX file"):
        open_source(tmp_path / "model.onnx")
    for backend in BACKENDS:
        with pytest.raises(LoadError):
            load(backend, tmp_path / "model.onnx")


def test_truncated_graphs(tmp_path: Path) -> None:
    whole = make_affine().SerializeToString()
    for end in (1, len(whole) // 3, len(whole) - 5):
        (tmp_path / "model.onnx").write_bytes(whole[:end])
        with pytest.raises((PackageError, LoadError)):
            open_source(tmp_path / "model.onnx")
        for backend in BACKENDS:
            with pytest.raises(LoadError):
                load(backend, tmp_path / "model.onnx")


def forge(package: Path, name: str, content: bytes) -> None:
    """Replaces a file, and lists the new one with its true size and digest."""
    path = package / name
    path.write_bytes(content)

    def relist(data: Any) -> None:
        for entry in data["files"]:
            if entry["path"] == name:
                entry.update(size=path.stat().st_size, sha256=hash_file(path))

    edit_metadata(package, relist)


def outside(graph: ModelProto) -> None:
    point(graph, location="../secret.bin", offset="0", length="48")


def past_the_end(graph: ModelProto) -> None:
    point(graph, location="weights/model.safetensors", offset="1000000", length="48")


@pytest.mark.parametrize("break_", [outside, past_the_end, cycle, nameless, unknown, custom])
def test_packages_with_hostile_graphs(tmp_path: Path, break_: Callable[[ModelProto], object]) -> None:
    package = tmp_path / "package"
    inferox.pack(
        save_affine(tmp_path / "affine.onnx"), package, backends=("onnxruntime", "openvino"), precisions=("fp32",)
    )
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    graph = make_affine()
    break_(graph)
    forge(package, "model.onnx", graph.SerializeToString())
    with pytest.raises(NoUsableBackendError) as caught:
        inferox.load(package)
    assert len(caught.value.reasons) == 2
    if break_ is custom:
        assert all("Steal" in reason for reason in caught.value.reasons.values())


def test_packages_with_a_hostile_ir(tmp_path: Path, ir: Path) -> None:
    package, relative = tmp_path / "package", "backends/openvino/model.xml"
    inferox.pack(ir, package)
    text = (package / relative).read_text()
    for changed in (
        text.replace('shape="4, 3"', 'shape="1000000, 1000000"'),
        text.replace('size="48"', 'size="4800000000000"'),
        text.replace('type="MatMul"', 'type="NoSuchLayer"'),
        BOMB,
    ):
        assert changed != text
        forge(package, relative, changed.encode())
        with pytest.raises(NoUsableBackendError):
            inferox.load(package)
    forge(package, relative, text.encode())
    forge(package, "backends/openvino/model.bin", b"")
    with pytest.raises(NoUsableBackendError):
        inferox.load(package)


@pytest.fixture
def ir(tmp_path: Path) -> Path:
    model = openvino.Core().read_model(save_affine(tmp_path / "affine.onnx"))
    folder = tmp_path / "ir"
    folder.mkdir()
    openvino.save_model(model, folder / "model.xml", compress_to_fp16=False)
    return folder / "model.xml"


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a "aaaaaaaaaa">'
    + "".join(f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True))
    + ']><net name="&j;" version="11"></net>'
)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace('shape="4, 3"', 'shape="1000000, 1000000"'),
        lambda text: text.replace('size="48"', 'size="4800000000000"'),
        lambda text: text.replace('offset="0"', 'offset="99999999999"'),
        lambda text: text.replace('type="MatMul"', 'type="NoSuchLayer"'),
        lambda text: text.replace('offset="0"', 'offset="-16"'),
        lambda text: text.replace('shape="4, 3"', 'shape="4294967296, 4294967296"'),
        lambda text: text.replace('from-port="', 'from-port="99'),
        lambda text: text[: len(text) // 2],
        lambda _: "",
        lambda _: "<net>" * 20_000,
        lambda _: BOMB,
    ],
    ids=[
        "absurd-dims",
        "absurd-size",
        "absurd-offset",
        "unknown-layer",
        "negative-offset",
        "overflowing-dims",
        "unknown-port",
        "truncated",
        "empty",
        "deep",
        "bomb",
    ],
)
def test_hostile_ir(ir: Path, change: Callable[[str], str]) -> None:
    text = ir.read_text()
    changed = change(text)
    assert changed != text
    ir.write_text(changed)
    with pytest.raises((PackageError, LoadError, OutOfMemoryError)):
        open_source(ir)
    with pytest.raises((LoadError, OutOfMemoryError)):
        load(OpenVinoBackend(), ir, "openvino-ir")


def test_weights_of_an_ir_that_are_too_short(ir: Path) -> None:
    ir.with_suffix(".bin").write_bytes(b"\x00" * 10)
    with pytest.raises(LoadError):
        load(OpenVinoBackend(), ir, "openvino-ir")
    with pytest.raises(InferoxError):
        open_source(ir)


def test_inputs_of_absurd_extents(ir: Path) -> None:
    text = ir.read_text()
    changed = text.replace('shape="?,4"', f'shape="?,{10**15}"').replace("<dim>4</dim>", f"<dim>{10**15}</dim>")
    assert changed.count(str(10**15)) > 1
    ir.write_text(changed)
    with pytest.raises(InferoxError):
        open_source(ir)


def test_a_graph_by_another_name(tmp_path: Path) -> None:
    shutil.copyfile(save_affine(tmp_path / "affine.onnx"), tmp_path / "model.pb")
    with pytest.raises(LoadError, match=r"is not an \.onnx file"):
        load(OpenVinoBackend(), tmp_path / "model.pb")
