from __future__ import annotations

import pickle

import psutil
import pytest
import torch

from inferox.backends.torch.device import TorchDevice, available_devices, from_torch, to_torch
from inferox.core import BackendUnavailableError, DeviceId

ABSENT = [DeviceId.cuda(99), DeviceId.metal(7), DeviceId("npu"), DeviceId("cpu", 3), DeviceId("xpu", 0)]


def test_the_cpu_is_always_there() -> None:
    assert TorchDevice(DeviceId.cpu()).is_available()
    assert available_devices()[-1] == TorchDevice(DeviceId.cpu())


def test_the_answers_are_pytorchs_own() -> None:
    assert TorchDevice(DeviceId.cuda()).is_available() == torch.cuda.is_available()
    assert TorchDevice(DeviceId.metal()).is_available() == torch.backends.mps.is_available()
    assert all(device.is_available() for device in available_devices())


def test_cuda_is_asked_for_anew_at_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    device = TorchDevice(DeviceId.cuda(1))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.is_available()
    assert available_devices()[:2] == (TorchDevice(DeviceId.cuda(0)), TorchDevice(DeviceId.cuda(1)))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert not device.is_available()


def test_a_gpu_that_the_driver_cannot_start_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not TorchDevice(DeviceId.cuda()).is_available()
    assert DeviceId.cuda() not in [device.id for device in available_devices()]


@pytest.mark.parametrize("device", ABSENT)
def test_an_absent_device_is_named_with_those_that_are_there(device: DeviceId) -> None:
    assert not TorchDevice(device).is_available()
    with pytest.raises(BackendUnavailableError, match=f"torch has no device {device} here; it has .*cpu"):
        to_torch(device)
    with pytest.raises(BackendUnavailableError):
        TorchDevice(device).memory_info()


@pytest.mark.skipif(torch.version.cuda is not None, reason="this build of PyTorch has CUDA")
def test_a_build_without_cuda_says_so() -> None:
    with pytest.raises(BackendUnavailableError, match="this build of torch has no CUDA"):
        to_torch(DeviceId.cuda())


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has an NVIDIA GPU")
def test_a_build_with_cuda_but_no_gpu_points_to_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(BackendUnavailableError, match="nvidia-smi"):
        to_torch(DeviceId.cuda())


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (torch.device("cpu"), DeviceId.cpu()),
        (torch.device("vulkan"), DeviceId.cpu()),
        (torch.device("mps"), DeviceId.metal(0)),
        (torch.device("cuda", 1), DeviceId.cuda(1)),
        (torch.device("xpu", 2), DeviceId("xpu", 2)),
    ],
)
def test_names_are_mapped(theirs: torch.device, ours: DeviceId) -> None:
    assert from_torch(theirs) == ours


def test_cuda_without_an_index_is_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert from_torch(torch.device("cuda")) == DeviceId.cuda(3)


def test_metal_is_pytorchs_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert to_torch(DeviceId.metal()) == torch.device("mps")
    assert to_torch(DeviceId.cpu()) == torch.device("cpu")


def test_the_cpus_memory_is_the_machines() -> None:
    info = TorchDevice(DeviceId.cpu()).memory_info()
    assert info.total_bytes == psutil.virtual_memory().total
    assert 0 < info.free_bytes <= info.total_bytes
    assert info.used_bytes == info.total_bytes - info.free_bytes


def test_metals_memory_is_what_the_system_recommends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 1000)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 400)
    info = TorchDevice(DeviceId.metal()).memory_info()
    assert (info.total_bytes, info.free_bytes) == (1000, 600)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 1400)
    assert TorchDevice(DeviceId.metal()).memory_info().free_bytes == 0


def test_devices_are_values() -> None:
    device = TorchDevice(DeviceId.cuda(1))
    assert device == TorchDevice(DeviceId.cuda(1)) != TorchDevice(DeviceId.cuda(0))
    assert device != DeviceId.cuda(1)
    assert len({device, TorchDevice(DeviceId.cuda(1))}) == 1
    assert pickle.loads(pickle.dumps(device)) == device  # noqa: S301 - our own bytes
    assert repr(device) == "TorchDevice(cuda:1)"
