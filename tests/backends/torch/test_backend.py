"""The backend: its devices, its answers when PyTorch is missing, and what it loads."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
import torch

from inferox.backends.registry import get_backend
from inferox.backends.torch import TorchBackend, TorchDevice
from inferox.backends.torch.device import from_torch
from inferox.core import BackendUnavailableError, DeviceId, ExecutionError


def test_it_is_registered() -> None:
    assert get_backend("torch") == TorchBackend()
    assert TorchBackend().name == "torch"


def test_it_is_a_value() -> None:
    assert TorchBackend.cpu() == TorchBackend(DeviceId.cpu()) != TorchBackend.cuda(1)
    assert len({TorchBackend.cpu(), TorchBackend.cpu(), TorchBackend.cuda(), TorchBackend()}) == 3
    assert pickle.loads(pickle.dumps(TorchBackend.cuda(2))) == TorchBackend.cuda(2)  # noqa: S301 - made here


def test_the_default_is_the_fastest_kind_that_is_there() -> None:
    expected = (
        DeviceId.cuda()
        if torch.cuda.is_available()
        else DeviceId.metal()
        if torch.mps.is_available()
        else DeviceId.cpu()
    )
    assert TorchBackend().default_device() == expected
    assert TorchBackend.cpu().default_device() == DeviceId.cpu()
    devices = TorchBackend().devices()
    assert devices[0].id == expected
    assert devices[-1].id == DeviceId.cpu()
    assert all(device.is_available() for device in devices)


def test_the_cpu_has_the_machines_memory() -> None:
    memory = TorchDevice(DeviceId.cpu()).memory_info()
    assert memory.total_bytes > memory.free_bytes > 0
    assert memory.used_bytes == memory.total_bytes - memory.free_bytes


def test_devices_that_are_not_there() -> None:
    assert not TorchDevice(DeviceId.cuda(93)).is_available()
    assert not TorchDevice(DeviceId("npu")).is_available()
    with pytest.raises(BackendUnavailableError):
        TorchBackend.cuda(93).tensor_builder()


@pytest.mark.parametrize(
    ("device", "expected"),
    [("cpu", "cpu"), ("mps", "metal:0"), ("vulkan", "cpu"), ("cuda:3", "cuda:3")],
)
def test_pytorchs_devices_by_our_names(device: str, expected: str) -> None:
    assert str(from_torch(torch.device(device))) == expected


def test_probe_and_self_test() -> None:
    assert TorchBackend().probe().version == torch.__version__
    TorchBackend().self_test(DeviceId.cpu())
    with pytest.raises(BackendUnavailableError):
        TorchBackend().self_test(DeviceId.cuda(93))


def test_a_processor_that_multiplies_wrongly_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda left, right: left * 0 + right)
    with pytest.raises(ExecutionError, match="multiplies wrongly"):
        TorchBackend().self_test(DeviceId.cpu())


MISSING = """
import sys
sys.modules["torch"] = None
from inferox.backends.torch.backend import TorchBackend
availability = TorchBackend().probe()
assert not availability.available
print(availability.reason, "|", availability.hint)
try:
    TorchBackend().devices()
except Exception as error:
    print(type(error).__name__)
"""


def test_without_pytorch_it_says_what_to_install() -> None:
    done = subprocess.run([sys.executable, "-c", MISSING], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout == "torch is not installed | pip install 'inferox[torch]'\nBackendUnavailableError\n"
