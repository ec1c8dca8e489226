"""What only an NVIDIA GPU can show. Skipped, with the reason, where there is none."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.dlpack import from_dlpack

import inferox
from inferox.backends.torch import TorchBackend, TorchDevice, TorchTensor
from inferox.core import DataType, DeviceId, OutOfMemoryError
from tests.build.modules import make_cnn
from tests.build.test_kinds import TEXTS, save_text_model

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no NVIDIA GPU on this machine"),
]


def test_cuda_is_the_default() -> None:
    assert TorchBackend().default_device() == DeviceId.cuda(0)
    TorchBackend().self_test(DeviceId.cuda(0))


def test_memory_is_the_devices_own() -> None:
    before = TorchDevice(DeviceId.cuda(0)).memory_info()
    held = torch.zeros(256 << 20, dtype=torch.uint8, device="cuda")
    after = TorchDevice(DeviceId.cuda(0)).memory_info()
    assert before.total_bytes == after.total_bytes
    assert before.free_bytes - after.free_bytes >= held.numel()


def test_too_much_memory_says_how_much() -> None:
    free = TorchDevice(DeviceId.cuda(0)).memory_info().free_bytes
    with pytest.raises(OutOfMemoryError) as caught:
        TorchBackend.cuda().tensor_builder().zeros([2 * free], DataType.U8)
    assert caught.value.requested_bytes is not None
    assert caught.value.requested_bytes >= 1.9 * free
    assert caught.value.free_bytes is not None
    gc.collect()
    TorchBackend().self_test(DeviceId.cuda(0))


@pytest.mark.parametrize("dtype", DataType)
def test_tensors_go_to_the_device_and_back(dtype: DataType) -> None:
    tensor = TorchBackend.cpu().tensor_builder().ones([3, 2], dtype)
    there = tensor.to_device(DeviceId.cuda(0))
    assert (there.device, there.dtype) == (DeviceId.cuda(0), dtype)
    assert torch.equal(there.to_device(DeviceId.cpu()).torch, tensor.torch)


def test_the_same_seed_gives_the_same_numbers_on_every_device() -> None:
    here = TorchBackend.cpu().tensor_builder().randn([100], DataType.F32, seed=5)
    there = TorchBackend.cuda().tensor_builder().randn([100], DataType.F32, seed=5)
    assert np.array_equal(here.numpy(), there.numpy())


def test_dlpack_on_the_device() -> None:
    tensor = TorchTensor(torch.arange(4.0, device="cuda"))
    again = from_dlpack(tensor)
    assert again.data_ptr() == tensor.torch.data_ptr()
    assert tensor.__dlpack_device__() == (2, 0)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 2e-3), ("bf16", 0.1), ("fp16", 0.02)])
def test_a_text_encoder_in_every_precision(
    tmp_path: Path, minilm_directory: Path, precision: str, tolerance: float
) -> None:
    save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    inferox.pack(tmp_path / "bert", tmp_path / "p", precisions=("fp32", "bf16", "fp16"))
    with (
        inferox.load(tmp_path / "p", device="cpu") as here,
        inferox.load(tmp_path / "p", device="cuda:0", precision=precision) as there,
    ):
        assert there.metadata.device == DeviceId.cuda(0)
        np.testing.assert_allclose(there.embed(TEXTS), here.embed(TEXTS), atol=tolerance)


def test_an_exported_program_moves_to_the_device(tmp_path: Path) -> None:
    inferox.pack(make_cnn, tmp_path / "p")
    _, inputs = make_cnn()
    with (
        inferox.load(tmp_path / "p", device="cpu", trust_code=True) as here,
        inferox.load(tmp_path / "p", device="cuda", trust_code=True) as there,
    ):
        expected = here.forward(inputs)["output"].numpy()
        np.testing.assert_allclose(there.forward(inputs)["output"].numpy(), expected, atol=1e-3)


def test_a_closed_model_gives_its_memory_back(tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "bert", minilm_directory, "bert", "Model")
    inferox.pack(tmp_path / "bert", tmp_path / "p")
    inferox.load(tmp_path / "p", device="cuda").close()
    gc.collect()
    before = torch.cuda.memory_allocated()
    for _ in range(3):
        with inferox.load(tmp_path / "p", device="cuda") as model:
            model.embed(["hello"])
        del model
        gc.collect()
    assert torch.cuda.memory_allocated() <= before
