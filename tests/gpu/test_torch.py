"""The PyTorch backend on an NVIDIA GPU. Skipped, with the reason, if there is none."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch.export import Dim

from inferox.backends.torch.backend import TorchBackend
from inferox.backends.torch.device import TorchDevice, to_torch
from inferox.backends.torch.dtype import to_torch as to_torch_dtype
from inferox.backends.torch.model import TorchModel
from inferox.backends.torch.tensor import TorchTensor
from inferox.core import (
    Artifact,
    BackendUnavailableError,
    DataType,
    DeviceId,
    LoadError,
    LoadOptions,
    OutOfMemoryError,
    Precision,
    Signature,
    TensorSpec,
)
from tests.backends.torch.artifacts import affine_inputs, affine_output, make_affine, make_artifact, run
from tests.sources.checkpoints import make_model, make_texts

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no NVIDIA GPU on this machine"),
]

CUDA = DeviceId.cuda()
TEXTS = ("input_ids", "attention_mask")
SIGNATURE = Signature(
    tuple(TensorSpec(name, DataType.I64, ("batch", "seq")) for name in TEXTS),
    (TensorSpec("last_hidden_state", DataType.F32, ("batch", "seq", 16)),),
)


def load(artifact: Artifact, device: DeviceId = CUDA, **options: Any) -> TorchModel:
    model = TorchBackend().load(artifact, device, LoadOptions("small", **{"trust_code": True, **options}))
    assert isinstance(model, TorchModel)
    return model


@pytest.fixture
def bert(tmp_path: Path) -> Artifact:
    module: transformers.PreTrainedModel = make_model("bert", "Model")
    (tmp_path / "config.json").write_text(json.dumps(module.config.to_dict()))
    save_file(dict(module.state_dict()), tmp_path / "model.safetensors")
    files = {"config": "config.json", "weights": "model.safetensors"}
    return make_artifact(tmp_path, "safetensors", files, signature=SIGNATURE, options={"architecture": "BertModel"})


def test_the_gpu_comes_first() -> None:
    backend = TorchBackend()
    assert backend.default_device() == CUDA
    assert backend.devices()[0] == TorchDevice(CUDA)
    assert len(backend.devices()) == torch.cuda.device_count() + 1
    assert backend.tensor_builder().ones([2], DataType.F32).device == CUDA


def test_its_own_test_passes() -> None:
    for device in TorchBackend().devices():
        TorchBackend.cuda().self_test(device.id)


def test_a_gpu_too_many_is_absent() -> None:
    absent = DeviceId.cuda(torch.cuda.device_count())
    assert not TorchDevice(absent).is_available()
    with pytest.raises(BackendUnavailableError, match=f"no device {absent} here; it has cuda:0"):
        to_torch(absent)


def test_the_driver_tells_the_memory() -> None:
    before = TorchDevice(CUDA).memory_info()
    assert before.total_bytes == torch.cuda.get_device_properties(0).total_memory
    held = torch.empty(256 << 20, dtype=torch.uint8, device="cuda:0")
    after = TorchDevice(CUDA).memory_info()
    assert before.free_bytes - after.free_bytes >= held.numel() - (2 << 20)
    assert 0 < after.free_bytes < before.free_bytes <= before.total_bytes


@pytest.mark.parametrize("dtype", list(DataType))
def test_tensors_go_there_and_come_back(dtype: DataType) -> None:
    bits = torch.from_numpy(np.random.default_rng(0).integers(0, 2, 96, np.uint8))
    tensor = TorchTensor((bits if dtype is DataType.BOOL else bits * 97).to(to_torch_dtype(dtype)).reshape(4, 24))
    there = tensor.to_device(CUDA)
    assert (there.device, there.dtype, there.shape) == (CUDA, dtype, (4, 24))
    assert there.to_device(CUDA) is there
    assert torch.equal(there.to_device(DeviceId.cpu()).torch(), tensor.torch())


def test_nan_and_infinities_keep_their_bits() -> None:
    bits = np.array([0x7FC00001, 0xFFC0BEEF - 2**32, 0x7F800000, 1, -(2**31)], dtype=np.int32)
    there = TorchTensor(torch.from_numpy(bits.view(np.float32))).to_device(CUDA)
    np.testing.assert_array_equal(there.contiguous().numpy().view(np.int32), bits)


def test_seeds_give_the_same_values_as_on_the_cpu() -> None:
    for dtype in (DataType.F64, DataType.F32, DataType.F16, DataType.BF16):
        there = TorchBackend.cuda().tensor_builder().randn([50], dtype, seed=4)
        here = TorchBackend.cpu().tensor_builder().randn([50], dtype, seed=4)
        assert there.device == CUDA
        assert torch.equal(there.torch().cpu(), here.torch())


def test_numpy_gets_a_copy() -> None:
    builder = TorchBackend.cuda().tensor_builder()
    array = np.arange(3, dtype=np.float32)
    tensor = builder.from_numpy(array)
    tensor.numpy()[0] = 9
    array[1] = 9
    assert tensor.numpy().tolist() == [0, 1, 2]
    assert builder.from_slice([1, 2], [2], DataType.I8).numpy().tolist() == [1, 2]


def test_dlpack_shares_the_gpus_memory() -> None:
    tensor = TorchBackend.cuda().tensor_builder().ones([4], DataType.F32)
    assert tensor.__dlpack_device__() == (2, 0)
    taken = torch.utils.dlpack.from_dlpack(tensor)
    assert taken.data_ptr() == tensor.torch().data_ptr()
    assert TorchBackend.cuda().tensor_builder().from_dlpack(taken).torch().data_ptr() == taken.data_ptr()


def test_a_lack_of_memory_says_how_much_was_requested_and_how_much_is_free() -> None:
    builder = TorchBackend.cuda().tensor_builder()
    with pytest.raises(OutOfMemoryError) as caught:
        builder.zeros([2**42], DataType.F32)
    assert caught.value.requested_bytes == 2**44
    free = TorchDevice(CUDA).memory_info().free_bytes
    assert caught.value.free_bytes == pytest.approx(free, rel=0.1)
    assert builder.ones([2], DataType.F32).numpy().tolist() == [1, 1]


@pytest.mark.parametrize(
    ("precision", "tolerance"), [(Precision.FP32, 1e-3), (Precision.BF16, 0.1), (Precision.FP16, 0.02)]
)
def test_a_checkpoint_agrees_with_the_cpu(bert: Artifact, precision: Precision, tolerance: float) -> None:
    here, there = load(bert, DeviceId.cpu()), load(replace(bert, precision=precision))
    for rows, length in ((1, 1), (3, 9), (4, 40)):
        inputs = make_texts(TEXTS, rows=rows, length=length)
        output = there.forward(inputs)["last_hidden_state"]
        assert (output.device, output.dtype) == (CUDA, DataType.F32)
        np.testing.assert_allclose(output.numpy(), run(here, inputs)["last_hidden_state"], atol=tolerance)


def test_inputs_may_lie_on_either_side(bert: Artifact) -> None:
    model = load(bert)
    arrays = make_texts(TEXTS)
    expected = run(model, arrays)["last_hidden_state"]
    for device in (CUDA, DeviceId.cpu()):
        builder = TorchBackend().tensor_builder(device)
        output = model.forward({name: builder.from_numpy(value) for name, value in arrays.items()})
        np.testing.assert_array_equal(output["last_hidden_state"].numpy(), expected)


def test_eight_threads_get_each_their_own_result(bert: Artifact) -> None:
    model = load(bert)
    cases = [make_texts(TEXTS, rows=1 + index % 4, length=2 + index) for index in range(16)]
    expected = [run(model, inputs)["last_hidden_state"] for inputs in cases]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda inputs: run(model, inputs)["last_hidden_state"], cases * 4))
    for output, right in zip(found, expected * 4, strict=True):
        np.testing.assert_allclose(output, right, atol=1e-5)


def test_closing_gives_the_memory_back(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(
        "import torch\ndef create_model(package_dir, backend): return torch.nn.Linear(8192, 8192, bias=False)\n"
    )
    save_file({"weight": torch.zeros(8192, 8192)}, tmp_path / "model.safetensors")
    signature = Signature(
        (TensorSpec("x", DataType.F32, ("batch", 8192)),), (TensorSpec("y", DataType.F32, ("batch", 8192)),)
    )
    artifact = make_artifact(
        tmp_path, "state-dict", {"factory": "model.py", "weights": "model.safetensors"}, signature=signature
    )
    load(artifact).close()  # the CUDA libraries keep a workspace of their own
    before = TorchDevice(CUDA).memory_info().free_bytes
    model = load(artifact)
    assert before - TorchDevice(CUDA).memory_info().free_bytes >= 8192 * 8192 * 4
    model.close()
    assert TorchDevice(CUDA).memory_info().free_bytes >= before - (32 << 20)


@pytest.fixture(params=["torchscript", "torch-export", "aotinductor"])
def program(tmp_path: Path, request: pytest.FixtureRequest) -> Artifact:
    module, inputs = make_affine(), affine_inputs()
    dynamic = {"x": {0: Dim.AUTO}, "scale": {0: Dim.AUTO}}
    path = tmp_path / "model.pt2"
    if request.param == "torchscript":
        torch.jit.save(torch.jit.script(module), path)
    elif request.param == "torch-export":
        examples = {name: torch.from_numpy(value) for name, value in inputs.items()}
        torch.export.save(torch.export.export(module, (), examples, dynamic_shapes=dynamic), path)
    else:
        from torch._inductor import aoti_compile_and_package

        examples = {name: torch.from_numpy(value).cuda() for name, value in inputs.items()}
        captured = torch.export.export(module.cuda(), (), examples, dynamic_shapes=dynamic)
        aoti_compile_and_package(captured, package_path=str(path))
    return make_artifact(tmp_path, str(request.param), {"program": path.name})


@pytest.mark.slow
def test_programs_agree_with_the_cpu(program: Artifact) -> None:
    model = load(program)
    for rows in (1, 2, 7):
        np.testing.assert_allclose(run(model, affine_inputs(rows))["y"], affine_output(rows), atol=1e-3)
    if program.format == "aotinductor":
        with pytest.raises(LoadError, match="was compiled for cuda, and cannot run on cpu"):
            load(program, DeviceId.cpu())


@pytest.mark.slow
def test_a_compiled_checkpoint_agrees_with_the_cpu(bert: Artifact) -> None:
    here, there = load(bert, DeviceId.cpu()), load(bert, compile=True)
    for rows, length in ((2, 9), (1, 5), (4, 30)):
        inputs = make_texts(TEXTS, rows=rows, length=length)
        np.testing.assert_allclose(
            run(there, inputs)["last_hidden_state"], run(here, inputs)["last_hidden_state"], atol=1e-3
        )
