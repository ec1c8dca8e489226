"""ONNX graphs: from one weights file, equal to the reference, and without PyTorch."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import transformers
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

import inferox
from inferox.backends.onnx.safetensors_layout import read_places
from inferox.backends.onnxruntime import OnnxRuntimeBackend
from inferox.backends.onnxruntime.probe_graph import MATMUL_GRAPH
from inferox.backends.onnxruntime.session import open_session
from inferox.core import (
    BackendNotFoundError,
    BackendUnavailableError,
    ConfigError,
    DeviceId,
    ExecutionError,
    Layout,
    LoadError,
    Model,
    NoUsableBackendError,
    ShapeMismatchError,
    TrustTier,
)
from inferox.parity import ParityClass
from tests.packing.modules import make_cnn, make_lstm, make_stepping, make_tied
from tests.packing.test_kinds import TEXTS, one_layer, save_text_model
from tests.sources.checkpoints import make_model, save_model

BOTH = ("torch", "onnxruntime")
OTHERS = ("torch/safetensors", "openvino/onnx")


@pytest.fixture(scope="module")
def package(bert_package: Path) -> Path:
    return bert_package


# One that counts positions in every run (packing/test_runtimes.py has DistilBERT and MPNet, which see them otherwise),
# and each encoder with each head among the slow tests: an export takes seconds, however small the model.
KINDS = [("roberta", "Model")]


@pytest.mark.parametrize(
    ("model_type", "head"),
    [
        pytest.param(*pair, marks=[] if pair in KINDS else pytest.mark.slow)
        for pair in product(
            ("bert", "roberta", "distilbert", "xlm-roberta", "mpnet", "modernbert", "electra"),
            ("Model", "ForSequenceClassification", "ForTokenClassification"),
        )
    ],
)
def test_text_models_agree(tmp_path: Path, minilm_directory: Path, model_type: str, head: str) -> None:
    labels = {} if head == "Model" else {"num_labels": 3}
    save_text_model(tmp_path / "source", minilm_directory, model_type, head, **one_layer(model_type), **labels)
    report = inferox.pack(tmp_path / "source", tmp_path / "p", backends=BOTH)
    layouts = ("padded",) if model_type == "mpnet" else ("packed", "padded")
    formats = ("torch/safetensors", "onnxruntime/onnx")
    assert [item.artifact for item in report.evidence] == [
        f"{each}/fp32/{layout}" for each in formats for layout in layouts
    ]
    assert {item.parity_class for item in report.evidence} == {ParityClass.EXACT}
    refused = {f"{backend}/fp32/packed" for backend in BOTH} if model_type == "mpnet" else set()
    assert report.refused.keys() == refused
    assert all("the attention of a MPNet" in reason for reason in report.refused.values())


def assert_takes_padding(package: Path, model: torch.nn.Module) -> None:
    with inferox.load(package, backend="onnxruntime", task="raw") as loaded:
        assert loaded.metadata.layout is Layout.PACKED
        for mask in ([[1, 1, 1], [1, 1, 0], [1, 0, 0]], [[1, 1, 1, 1], [1, 1, 0, 0]], [[1]]):
            kept = np.array(mask)
            inputs = {"input_ids": (np.arange(kept.size).reshape(kept.shape) + 5) * kept, "attention_mask": kept}
            if "token_type_ids" in loaded.signature.input_names:
                inputs["token_type_ids"] = np.zeros_like(kept)
            with torch.inference_mode():
                expected = model(**{name: torch.from_numpy(each) for name, each in inputs.items()})
            np.testing.assert_allclose(
                loaded.forward(inputs)["last_hidden_state"].numpy(),
                expected.last_hidden_state.numpy() * kept[..., None],
                atol=1e-5,
            )


def test_a_packed_graph_takes_padding_behind_its_rows(package: Path) -> None:
    assert_takes_padding(package, transformers.AutoModel.from_pretrained(package.parent / "source").eval())


@pytest.mark.slow
def test_a_packed_graph_that_counts_positions_takes_padding_behind_its_rows(
    tmp_path: Path, minilm_directory: Path
) -> None:
    model = save_text_model(tmp_path / "source", minilm_directory, "roberta", "Model")
    inferox.pack(tmp_path / "source", tmp_path / "p", backends=["onnxruntime"])
    assert_takes_padding(tmp_path / "p", model)


def test_a_convolutional_network_agrees(tmp_path: Path) -> None:
    # packing/test_runtimes.py has a ViT.
    source = save_model(make_model("resnet", "ForImageClassification", num_labels=4), tmp_path / "source")
    report = inferox.pack(source, tmp_path / "p", task="raw", backends=["onnxruntime"])
    assert [item.parity_class for item in report.evidence] == [ParityClass.EXACT]


def test_hand_written_modules_agree_and_are_data_now(tmp_path: Path) -> None:
    for make in (make_cnn, make_tied):
        inferox.pack(make, tmp_path / make.__name__, backends=["onnxruntime"])
        assert inferox.open_package(tmp_path / make.__name__).trust_tier is TrustTier.DATA
        module, inputs = make()
        rows = {name: np.concatenate([np.asarray(value)] * 3)[:5] for name, value in inputs.items()}
        with inferox.load(tmp_path / make.__name__) as model, torch.inference_mode():
            found = model.forward(rows)["output"].numpy()
            expected = module.eval()(**{name: torch.from_numpy(value) for name, value in rows.items()})
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)


def test_a_recurrent_network_takes_every_length(recurrent_package: Path) -> None:
    module, _ = make_lstm()
    with inferox.load(recurrent_package) as model:
        assert model.metadata.backend == "onnxruntime"
        assert model.signature.inputs[0].dims == ("batch", "seq", 4)
        for rows, length in ((3, 7), (1, 1), (2, 12)):
            assert_computes(model.model, module, random_array(rows, length, 4))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("steps", [3, 1])
def test_a_fixed_length_is_stated(tmp_path: Path, backend: str, steps: int) -> None:
    inferox.pack(lambda: make_stepping(steps), tmp_path / "p", backends=[backend], dims={"x": ("batch", "steps", 4)})
    module, _ = make_stepping(steps)
    captured = max(steps, 2)  # the exporter treats a 1 as a fixed extent
    with inferox.load(tmp_path / "p") as model:
        assert model.signature.inputs[0].dims == ("batch", captured, 4)
        for rows in (1, 2, 5):
            assert_computes(model.model, module, random_array(rows, captured, 4))
        with pytest.raises(ShapeMismatchError, match=rf"\[batch, {captured}, 4\]"):
            model.forward(random_array(2, captured + 2, 4))


def random_array(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def assert_computes(model: Model, module: torch.nn.Module, array: np.ndarray) -> None:
    found = {name: value.numpy() for name, value in model.forward(array).items()}
    with torch.inference_mode():
        expected = module.eval()(torch.from_numpy(array))
    for name, value in (expected if isinstance(expected, dict) else {"output": expected}).items():
        np.testing.assert_allclose(found[name], value, atol=1e-5)


def test_the_weights_lie_in_the_package_once(package: Path) -> None:
    opened = inferox.open_package(package)
    graph = onnx.load(opened.root / "model.onnx", load_external_data=False)
    # Runtimes read small constants to infer shapes, so those stay in the graph.
    inside = [tensor for tensor in graph.graph.initializer if tensor.data_location != TensorProto.EXTERNAL]
    assert len(inside) < len(graph.graph.initializer)
    assert all(tensor.ByteSize() < 2048 for tensor in inside)
    for tensor in graph.graph.initializer:
        for fact in tensor.external_data:
            assert fact.key != "location" or fact.value == "weights/model.safetensors"
    assert (opened.root / "model.onnx").stat().st_size < 200_000


def test_embeddings_agree_between_the_backends(package: Path) -> None:
    with inferox.load(package, backend="torch") as one, inferox.load(package, backend="onnxruntime") as other:
        np.testing.assert_allclose(one.embed(TEXTS), other.embed(TEXTS), atol=1e-5)
        assert other.metadata.backend == "onnxruntime"
        later = "it comes after onnxruntime/onnx/fp32/packed in the default order, as nothing was measured"
        asked = "the backend onnxruntime was requested"
        assert other.metadata.rejected == {
            "onnxruntime/onnx/fp32/padded": later,
            **{f"{each}/fp32/{layout}": asked for each in OTHERS for layout in ("packed", "padded")},
        }


NO_TORCH = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
import inferox
from inferox.core import NoUsableBackendError
with inferox.load(sys.argv[1], backend="onnxruntime") as model:
    print(model.metadata.backend, model.embed(["hello"]).shape)
try:
    inferox.load(sys.argv[1], backend="torch")
except NoUsableBackendError as error:
    print(error.reasons["torch/safetensors/fp32/padded"])
assert "onnx" not in sys.modules
"""


def test_it_needs_no_pytorch(package: Path) -> None:
    done = subprocess.run([sys.executable, "-c", NO_TORCH, package], capture_output=True, text=True, check=True)  # noqa: S603
    ran, refused = done.stdout.splitlines()
    assert ran == "onnxruntime (1, 16)"
    assert "torch is not installed" in refused


def test_eight_threads_at_once(package: Path) -> None:
    with inferox.load(package, backend="onnxruntime", threads=1) as model, ThreadPoolExecutor(8) as pool:
        expected = model.embed(TEXTS)
        for found in pool.map(lambda _: model.embed(TEXTS), range(16)):
            np.testing.assert_array_equal(found, expected)


def test_batched_equals_single(package: Path) -> None:
    with inferox.load(package, backend="onnxruntime") as model:
        together = model.embed(TEXTS)
        np.testing.assert_allclose(together, np.concatenate([model.embed([text]) for text in TEXTS]), atol=1e-6)


def test_what_it_refuses(package: Path) -> None:
    with pytest.raises(NoUsableBackendError, match="no device cuda:0"):
        inferox.load(package, backend="onnxruntime", device="cuda:0")
    with pytest.raises(NoUsableBackendError, match="just in time"):
        inferox.load(package, backend="onnxruntime", compile=True)
    model = inferox.load(package, backend="onnxruntime")
    model.close()
    with pytest.raises(ExecutionError, match="closed"):
        model.embed(["x"])


def test_a_graph_that_is_none(tmp_path: Path, package: Path) -> None:
    from dataclasses import replace

    from inferox.core import LoadOptions

    artifact = next(a for a in inferox.open_package(package).artifacts if a.backend == "onnxruntime")
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    (tmp_path / "weights").mkdir()
    with pytest.raises(LoadError, match="onnxruntime failed while loading"):
        OnnxRuntimeBackend().load(replace(artifact, root=tmp_path), None, LoadOptions("p"))


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/passwd", "link.bin"])
def test_external_data_outside_the_package(tmp_path: Path, package: Path, location: str) -> None:
    from dataclasses import replace

    from inferox.core import LoadOptions

    folder = tmp_path / "package"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, text in {"location": location, "offset": "0", "length": "16"}.items():
        weight.external_data.add(key=key, value=text)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "attack",
        [value("x", TensorProto.FLOAT, [4])],
        [value("y", TensorProto.FLOAT, [4])],
        [weight],
    )
    (folder / "model.onnx").write_bytes(helper.make_model(graph, ir_version=8).SerializeToString())
    artifact = next(a for a in inferox.open_package(package).artifacts if a.backend == "onnxruntime")
    with pytest.raises(LoadError):
        OnnxRuntimeBackend().load(replace(artifact, root=folder, files={"graph": "model.onnx"}), None, LoadOptions("p"))


def test_the_probe_graph_is_what_it_says() -> None:
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "matmul",
        [value(name, TensorProto.FLOAT, ["m", "m"]) for name in ("left", "right")],
        [value("product", TensorProto.FLOAT, ["m", "m"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="")
    assert model.SerializeToString() == MATMUL_GRAPH


def test_places_of_tensors(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([1, 2], np.int64),
        "c": np.array(3.0, np.float32),
    }
    save_file(arrays, tmp_path / "w.safetensors", metadata={"d": "a"})
    places = read_places(tmp_path / "w.safetensors")
    assert all(places[name].holds(array.tobytes()) for name, array in arrays.items())
    assert places["d"] == places["a"]
    assert places["a"].shape == (2, 3)
    assert set(load_file(tmp_path / "w.safetensors")) == {"a", "b", "c"}


def test_the_backend_itself() -> None:
    backend = OnnxRuntimeBackend()
    assert backend.probe().available
    backend.self_test(DeviceId.cpu())
    with pytest.raises(BackendUnavailableError):
        backend.self_test(DeviceId.cuda(0))
    memory = backend.devices()[0].memory_info()
    assert memory is not None
    assert memory.total_bytes > 0


@pytest.mark.parametrize(("backends", "error"), [(["nope"], BackendNotFoundError), ([], ConfigError)])
def test_backends_that_cannot_be_packed_for(tmp_path: Path, backends: list[str], error: type[Exception]) -> None:
    with pytest.raises(error):
        inferox.pack(make_cnn, tmp_path / "p", backends=backends)
    assert list(tmp_path.iterdir()) == []


def test_without_what_exporting_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("inferox.backends.onnxruntime.export", "inferox.backends.onnx.graph", "inferox.backends.onnx.capture"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendUnavailableError, match="onnx-export"):
        inferox.pack(make_cnn, tmp_path / "p", backends=["onnxruntime"])


def test_threads_do_not_spin_once_a_run_is_over() -> None:
    options = open_session(MATMUL_GRAPH, threads=2).get_session_options()
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
