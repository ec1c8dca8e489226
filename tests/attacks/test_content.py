"""Files whose content does not match their name, and every place in a graph where weights can point outside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import AttributeProto, ModelProto, TensorProto, helper, numpy_helper

import inferox
from inferox.backends.onnxruntime import OnnxRuntimeBackend
from inferox.backends.openvino import OpenVinoBackend
from inferox.core import Backend, LoadError, NoUsableBackendError
from tests.attacks.test_graphs import BACKENDS, forge, load
from tests.sources.graphs import make_affine, save_affine

MEMORY = "*/_ORT_MEM_ADDR_/*"
LOCATIONS = [MEMORY, "/etc/passwd", "../secret.bin", "C:\\secret.bin", "link.bin", ""]


def foreign(location: str) -> TensorProto:
    tensor = TensorProto(name="foreign", data_type=TensorProto.FLOAT, dims=[12])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "4096", "length": "48"}.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def as_initializer(model: ModelProto, tensor: TensorProto) -> None:
    model.graph.initializer.append(tensor)


def as_constant(model: ModelProto, tensor: TensorProto) -> None:
    model.graph.node.insert(0, helper.make_node("Constant", [], ["foreign"], value=tensor))


def as_list(model: ModelProto, tensor: TensorProto) -> None:
    attribute = model.graph.node[0].attribute.add(name="many", type=AttributeProto.TENSORS)
    attribute.tensors.append(tensor)


def as_sparse_values(model: ModelProto, tensor: TensorProto) -> None:
    model.graph.sparse_initializer.add(dims=[100]).values.CopyFrom(tensor)


def as_sparse_indices(model: ModelProto, tensor: TensorProto) -> None:
    model.graph.sparse_initializer.add(dims=[100]).indices.CopyFrom(tensor)


def as_sparse_attribute(model: ModelProto, tensor: TensorProto) -> None:
    attribute = model.graph.node[0].attribute.add(name="sparse", type=AttributeProto.SPARSE_TENSOR)
    attribute.sparse_tensor.values.CopyFrom(tensor)


def in_a_branch(model: ModelProto, tensor: TensorProto) -> None:
    branch = helper.make_graph([], "then", [], [], [tensor])
    model.graph.node[0].attribute.append(helper.make_attribute("then_branch", branch))


def in_a_branch_of_a_branch(model: ModelProto, tensor: TensorProto) -> None:
    inner = helper.make_graph([], "inner", [], [], [tensor])
    node = helper.make_node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner)
    outer = helper.make_graph([node], "outer", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("else_branch", outer))


def in_a_function(model: ModelProto, tensor: TensorProto) -> None:
    node = helper.make_node("Constant", [], ["z"], value=tensor)
    model.functions.append(helper.make_function("local", "f", [], ["z"], [node], [helper.make_opsetid("", 17)]))


def in_a_default_of_a_function(model: ModelProto, tensor: TensorProto) -> None:
    in_a_function(model, numpy_helper.from_array(np.zeros(2, np.float32)))
    model.functions[0].attribute_proto.append(helper.make_attribute("value", tensor))


def for_training(model: ModelProto, tensor: TensorProto) -> None:
    model.training_info.add().algorithm.initializer.append(tensor)


def without_saying_so(model: ModelProto, tensor: TensorProto) -> None:
    tensor.ClearField("data_location")
    as_initializer(model, tensor)


PLACES = [
    as_initializer,
    as_constant,
    as_list,
    as_sparse_values,
    as_sparse_indices,
    as_sparse_attribute,
    in_a_branch,
    in_a_branch_of_a_branch,
    in_a_function,
    in_a_default_of_a_function,
    for_training,
    without_saying_so,
]


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("location", LOCATIONS, ids=["memory", "absolute", "climbing", "drive", "link", "nowhere"])
def test_no_tensor_of_a_graph_lies_outside_its_folder(
    tmp_path: Path, backend: Backend, place: Callable[[ModelProto, TensorProto], None], location: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(8192))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    model = make_affine()
    place(model, foreign(location))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    expected = "training" if place is for_training else "an address in memory" if location == MEMORY else "outside its"
    with pytest.raises(LoadError, match=expected):
        load(backend, folder / "model.onnx")


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
def test_places_that_onnx_does_not_know(tmp_path: Path, backend: Backend) -> None:
    tensor = foreign("weights.bin")
    tensor.external_data.add(key="basepath", value="/etc")
    (tmp_path / "weights.bin").write_bytes(bytes(8192))
    model = make_affine()
    as_initializer(model, tensor)
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(LoadError, match="'basepath', which ONNX does not define"):
        load(backend, tmp_path / "model.onnx")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with only an IR."""
    model = openvino.Core().read_model(save_affine(tmp_path / "affine.onnx"))
    (tmp_path / "ir").mkdir()
    openvino.save_model(model, tmp_path / "ir" / "model.xml", compress_to_fp16=False)
    inferox.pack(tmp_path / "ir" / "model.xml", tmp_path / "package")
    return tmp_path / "package"


LOADING = """
import sys, inferox
from inferox.core import NoUsableBackendError
try:
    inferox.load(sys.argv[1])
except NoUsableBackendError as error:
    print(error)
"""


def test_a_graph_within_the_file_of_an_ir_cannot_read_memory(package: Path) -> None:
    graph = make_affine()
    weight = graph.graph.initializer[0]
    weight.CopyFrom(foreign(MEMORY))
    weight.name, weight.dims[:] = "weight", [4, 3]
    forge(package, "backends/openvino/model.xml", graph.SerializeToString())
    # In a separate process, as a runtime that follows the address crashes.
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", LOADING, str(package)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "is not the XML file of an IR" in done.stdout


IR = '<?xml version="1.0"?><net name="m" version="11"><layers/><edges/></net>'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (make_affine().SerializeToString(), "does not begin with '<'"),
        (b" \n" + IR.encode(), "does not begin with '<'"),
        (b"<html></html>", "its root is <html>"),
        (b'<net name="m"><layers/></net>', "its root is <net>"),
        (b'<!DOCTYPE net SYSTEM "file:///etc/passwd">' + IR[21:].encode(), "document type"),
        (b'<!DOCTYPE net [<!ENTITY a SYSTEM "/etc/passwd">]><net version="11">&a;</net>', "document type"),
        (b'<?xml-stylesheet href="http://localhost/"?>' + IR[21:].encode(), "processing instruction"),
        (IR.replace("<edges/>", "<xi:include href='/etc/passwd'/>").encode(), "a section <xi:include>"),
        (IR.replace("<edges/>", "<rt_info><__weights_path value='/etc/passwd'/></rt_info>").encode(), "itself sets"),
        (IR.encode() + make_affine().SerializeToString(), "damaged"),
        (b"<net version='11'>" + b"<layers>" * 1000, "deeper than 128"),
    ],
)
def test_what_is_not_an_ir(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "model.xml").write_bytes(content)
    (tmp_path / "model.bin").write_bytes(bytes(48))
    with pytest.raises(LoadError, match=reason):
        load(OpenVinoBackend(), tmp_path / "model.xml", "openvino-ir")


@pytest.mark.parametrize("backend", BACKENDS, ids=lambda backend: backend.name)
@pytest.mark.parametrize(
    "content",
    [
        IR.encode(),
        b"PK\x03\x04" + bytes(60),
        b"\x18\x00\x00\x00ORTM" + bytes(60),
        b"\x89HDF\r\n\x1a\n" + bytes(60),
        onnx.TensorProto(name="w", data_type=1, dims=[2], raw_data=bytes(8)).SerializeToString(),
        make_affine().SerializeToString() + b"\xfa\x06\x01a",
    ],
    ids=["ir", "zip", "ort", "hdf5", "tensor", "unknown field"],
)
def test_what_is_not_an_onnx_model(tmp_path: Path, backend: Backend, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(LoadError, match="not an ONNX model"):
        load(backend, tmp_path / "model.onnx")


@pytest.mark.parametrize("name", ["model.xml", "model.ort", "model.pb", "model"])
def test_an_onnx_model_by_another_name(tmp_path: Path, name: str) -> None:
    path = save_affine(tmp_path / "affine.onnx").rename(tmp_path / name)
    for backend in BACKENDS:
        with pytest.raises(LoadError):
            load(backend, path)


def test_an_ir_is_not_loaded_as_a_graph(package: Path) -> None:
    shutil.copyfile(package / "backends/openvino/model.xml", package.parent / "model.onnx")
    with pytest.raises(LoadError, match="not an ONNX model"):
        load(OnnxRuntimeBackend(), package.parent / "model.onnx")
    forge(package, "backends/openvino/model.xml", b"")
    with pytest.raises(NoUsableBackendError, match="is not the XML file of an IR"):
        inferox.load(package)
