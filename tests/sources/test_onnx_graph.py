"""ONNX files as sources."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import inferox
from inferox.core import ConfigError, DataType, LoadError, PackageError, TensorSpec
from inferox.parity import ParityClass
from inferox.sources import open_source
from tests.packing.test_kinds import TEXTS
from tests.sources.graphs import WIDE_BIAS, WIDE_WEIGHT, make_affine, save_affine


def inputs(rows: int) -> np.ndarray:
    return np.linspace(-1, 1, 4 * rows, dtype=np.float32).reshape(rows, 4)


@pytest.mark.parametrize("beside", [None, "weights.bin"])
def test_it_becomes_a_package_for_both_runtimes_with_one_copy_of_the_weights(
    tmp_path: Path, beside: str | None
) -> None:
    path = save_affine(tmp_path / "affine.onnx", beside=beside, weight=WIDE_WEIGHT)
    report = inferox.pack(path, tmp_path / "package", backends=("onnxruntime", "openvino"), precisions=("fp32",))
    assert [item.parity_class for item in report.evidence] == [ParityClass.EXACT] * 2
    assert report.name == "affine"
    graph = onnx.load(tmp_path / "package" / "model.onnx", load_external_data=False)
    assert {item.name: item.data_location for item in graph.graph.initializer} == {
        "weight": TensorProto.EXTERNAL,
        "bias": TensorProto.EXTERNAL,
    }
    opened = inferox.open_package(tmp_path / "package")
    assert opened.info.num_parameters == 1500
    assert opened.info.signature.inputs == (TensorSpec("x", DataType.F32, ("batch", 4)),)
    assert opened.info.signature.outputs == (TensorSpec("y", DataType.F32, ("batch", 300)),)
    for backend in ("onnxruntime", "openvino"):
        with inferox.load(tmp_path / "package", backend=backend) as model:
            for rows in (1, 5):
                found = model.forward(inputs(rows))["y"].numpy()
                np.testing.assert_allclose(found, inputs(rows) @ WIDE_WEIGHT + WIDE_BIAS, atol=1e-5)


def test_its_own_runtime_is_the_default_and_pytorch_refuses_it(tmp_path: Path) -> None:
    path = save_affine(tmp_path / "affine.onnx")
    report = inferox.pack(path, tmp_path / "package", samples=save_samples(tmp_path))
    assert [item.artifact for item in report.evidence] == ["onnxruntime/onnx/fp32/padded"]
    with pytest.raises(PackageError, match="torch does not run graphs in the format onnx"):
        inferox.pack(path, tmp_path / "other", backends=("torch", "candle"))
    with pytest.raises(LoadError, match="not a PyTorch module"):
        _ = open_source(path).module


def save_samples(folder: Path) -> Path:
    np.savez(folder / "samples.npz", x=inputs(3))
    return folder / "samples.npz"


NO_TORCH = """
import sys
for name in ("torch", "transformers"):
    sys.modules[name] = None
from inferox.cli.main import main
main(sys.argv[1:])
"""


def call_without_torch(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", NO_TORCH, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


def test_it_needs_no_pytorch(tmp_path: Path) -> None:
    path, package = str(save_affine(tmp_path / "affine.onnx")), str(tmp_path / "p.mlpkg")
    done = call_without_torch("pack", path, "-o", package, "--backends", "onnxruntime,openvino", "--json")
    assert done.returncode == 0, done.stderr
    assert '"refused": {}' in done.stdout
    done = call_without_torch("verify", package)
    assert done.returncode == 0, done.stdout + done.stderr
    for backend in ("onnxruntime", "openvino"):
        done = call_without_torch(
            "run", package, "--backend", backend, "--input", str(save_samples(tmp_path)), "--json"
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_missing_file_does_not_require_pytorch(tmp_path: Path) -> None:
    for name in ("absent.onnx", "absent.xml"):
        done = call_without_torch("pack", str(tmp_path / name), "-o", str(tmp_path / "p.mlpkg"))
        assert done.returncode != 0
        assert f"there is no file {tmp_path / name}" in " ".join(done.stderr.split())
        assert "torch" not in done.stderr


@pytest.mark.parametrize(
    ("upper_bound", "output"),
    [pytest.param(".", "last_hidden_state", marks=pytest.mark.slow), ("onnx", "token_embeddings")],
)
def test_a_directory_with_a_tokenizer_is_an_encoder(
    tmp_path: Path, bert_package: Path, upper_bound: str, output: str
) -> None:
    opened = inferox.open_package(bert_package)
    exported = opened.root
    folder = tmp_path / "encoder"
    (folder / upper_bound).mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(exported / name, folder / name)
    shutil.copytree(exported / "weights", folder / upper_bound / "weights")
    graph = onnx.load(exported / "model.onnx", load_external_data=False)
    graph.graph.node.append(helper.make_node("Identity", [graph.graph.output[0].name], ["token_embeddings"]))
    graph.graph.output[0].name = output
    onnx.save(graph, folder / upper_bound / "model.onnx")
    report = inferox.pack(
        folder / upper_bound / "model.onnx", tmp_path / "package", backends=("onnxruntime", "openvino")
    )
    assert (report.name, report.task, report.refused) == ("encoder", "embed", {})
    with inferox.load(tmp_path / "package") as model, inferox.load(bert_package) as expected:
        assert model.metadata.backend == "openvino"
        np.testing.assert_allclose(model.embed(TEXTS), expected.embed(TEXTS), atol=1e-5)


def test_fixed_rows_stay_fixed(tmp_path: Path) -> None:
    onnx.save(make_affine(rows=2), tmp_path / "two.onnx")
    assert open_source(tmp_path / "two.onnx").signature.inputs[0].dims == (2, 4)


def test_a_negative_extent_is_a_free_one(tmp_path: Path) -> None:
    onnx.save(make_affine(rows=-1), tmp_path / "affine.onnx")
    inferox.pack(
        tmp_path / "affine.onnx", tmp_path / "package", backends=("onnxruntime", "openvino"), precisions=("fp32",)
    )
    assert inferox.open_package(tmp_path / "package").info.signature.inputs[0].dims == ("batch", 4)


@pytest.mark.parametrize(
    "weight",
    [
        numpy_helper.from_array(np.array(["a", "b"], dtype=object), "more"),
        numpy_helper.from_array(np.array([1j, 2], np.complex64), "more"),
        helper.make_tensor("more", TensorProto.BFLOAT16, [2], [1.5, 2]),
        helper.make_tensor("more", TensorProto.INT4, [2], [1, 2]),
    ],
    ids=["texts", "complex", "bf16", "int4"],
)
def test_weights_that_safetensors_lacks_stay_in_the_graph(tmp_path: Path, weight: TensorProto) -> None:
    graph = make_affine(weight=WIDE_WEIGHT)
    graph.graph.initializer.append(weight)
    graph.ir_version, graph.opset_import[0].version = 10, 21
    onnx.save(graph, tmp_path / "affine.onnx")
    inferox.pack(tmp_path / "affine.onnx", tmp_path / "package", backends=("onnxruntime",))
    written = onnx.load(tmp_path / "package" / "model.onnx", load_external_data=False)
    assert {item.name: item.data_location == TensorProto.EXTERNAL for item in written.graph.initializer} == {
        "weight": True,
        "bias": True,
        "more": False,
    }
    np.testing.assert_array_equal(numpy_helper.to_array(written.graph.initializer[2]), numpy_helper.to_array(weight))


def test_images_keep_the_names_of_their_dims(tmp_path: Path) -> None:
    sides = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, "H", "W"])
        for name, channels in (("pixels", 3), ("y", 2))
    ]
    kernel = numpy_helper.from_array(np.linspace(-1, 1, 54, dtype=np.float32).reshape(2, 3, 3, 3), "kernel")
    node = helper.make_node("Conv", ["pixels", "kernel"], ["y"], pads=[1, 1, 1, 1])
    graph = helper.make_graph([node], "image", [sides[0]], [sides[1]], [kernel])
    opsets = [helper.make_opsetid("", 11)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=6), tmp_path / "image.onnx")
    report = inferox.pack(
        tmp_path / "image.onnx", tmp_path / "package", backends=("onnxruntime", "openvino"), precisions=("fp32",)
    )
    assert [item.parity_class for item in report.evidence] == [ParityClass.EXACT] * 2
    signature = inferox.open_package(tmp_path / "package").info.signature
    assert signature.inputs[0].dims == ("batch", 3, "H", "W")
    assert signature.outputs[0].dims == ("batch", 2, "H", "W")


def test_dims_and_samples_that_do_not_fit(tmp_path: Path) -> None:
    path = save_affine(tmp_path / "affine.onnx")
    assert open_source(path, dims={"x": ("time", 4)}).signature.inputs[0].dims == ("time", 4)
    with pytest.raises(ConfigError, match="dims are given for z"):
        open_source(path, dims={"z": ("batch",)})
    with pytest.raises(ConfigError, match="it has 2 axes"):
        open_source(path, dims={"x": ("batch",)})
    np.savez(tmp_path / "wrong.npz", z=inputs(2))
    with pytest.raises(PackageError, match="the model takes x, but the samples are of z"):
        open_source(path, samples=tmp_path / "wrong.npz")


def test_it_is_quantised_too(tmp_path: Path) -> None:
    weight = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    onnx.save(make_affine(weight=weight), tmp_path / "affine.onnx")
    np.savez(tmp_path / "samples.npz", x=np.random.default_rng(1).standard_normal((64, 4)).astype(np.float32))
    report = inferox.pack(
        tmp_path / "affine.onnx",
        tmp_path / "package",
        backends=("openvino",),
        precisions=("fp32", "int8"),
        samples=tmp_path / "samples.npz",
    )
    assert [item.artifact for item in report.evidence] == [
        "openvino/onnx/fp32/padded",
        "openvino/openvino-ir/int8/padded",
    ]


def test_custom_operators_are_named(tmp_path: Path) -> None:
    node = helper.make_node("Frobnicate", ["sum"], ["y"], domain="org.example")
    onnx.save(make_affine(node), tmp_path / "custom.onnx")
    with pytest.raises(PackageError, match=r"custom operators.*org\.example\.Frobnicate"):
        open_source(tmp_path / "custom.onnx")
