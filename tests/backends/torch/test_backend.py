from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

import inferox.backends.torch as package
from inferox.backends.registry import get_backend
from inferox.backends.torch.backend import FORMATS, TorchBackend
from inferox.backends.torch.loaders.formats import LOADERS
from inferox.core import (
    Artifact,
    BackendUnavailableError,
    DataType,
    DeviceId,
    ExecutionError,
    Layout,
    LoadError,
    LoadOptions,
    Precision,
    Signature,
    UntrustedCodeError,
)


def make_artifact(format_: str, backend: str = "torch") -> Artifact:
    return Artifact(backend, format_, Precision.FP32, Layout.PADDED, {}, Signature((), ()), Path())


def test_the_cpu() -> None:
    backend = TorchBackend.cpu()
    assert backend.name == "torch"
    assert backend.default_device() == DeviceId.cpu()
    assert backend.tensor_builder().device == DeviceId.cpu()


def test_a_gpu_is_named_before_it_is_used() -> None:
    assert TorchBackend.cuda(1).default_device() == DeviceId.cuda(1)
    if not torch.cuda.is_available():
        with pytest.raises(BackendUnavailableError, match="no device cuda:1"):
            TorchBackend.cuda(1).tensor_builder()


def test_the_device_is_found_by_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = TorchBackend()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert backend.default_device() == DeviceId.cpu()
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert backend.default_device() == DeviceId.metal()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert backend.default_device() == DeviceId.cuda(0)
    assert [device.id for device in backend.devices()] == [
        DeviceId.cuda(0),
        DeviceId.cuda(1),
        DeviceId.metal(),
        DeviceId.cpu(),
    ]


def test_devices_are_those_that_are_there() -> None:
    devices = TorchBackend().devices()
    assert devices[-1].id == DeviceId.cpu()
    assert all(device.is_available() for device in devices)


def test_builders_are_for_the_device_asked_for() -> None:
    tensor = TorchBackend().tensor_builder(DeviceId.cpu()).ones([2], DataType.F32)
    assert tensor.device == DeviceId.cpu()


def test_backends_are_values() -> None:
    backend = TorchBackend.cuda(1)
    assert backend == TorchBackend(DeviceId.cuda(1)) != TorchBackend.cpu()
    assert len({backend, TorchBackend.cuda(1), TorchBackend()}) == 2
    assert pickle.loads(pickle.dumps(backend)) == copy.deepcopy(backend) == backend  # noqa: S301 - our own bytes
    assert len(pickle.dumps(backend)) < 300


def test_its_types_are_found_in_the_package() -> None:
    assert package.TorchBackend is TorchBackend
    assert all(getattr(package, name).__name__ == name for name in package.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'TorchScript'"):
        _ = package.TorchScript


def test_it_is_registered() -> None:
    assert isinstance(get_backend("torch"), TorchBackend)


def test_threads_share_one_backend() -> None:
    backend = TorchBackend.cpu()

    def work(seed: int) -> bool:
        left, right = (backend.tensor_builder().randn([8, 8], DataType.F32, seed=seed) for _ in range(2))
        return torch.equal(left.torch(), right.torch())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))


def test_it_reads_its_formats_alone() -> None:
    backend = TorchBackend()
    assert frozenset(LOADERS) == FORMATS
    assert all(backend.can_load(make_artifact(format_)) for format_ in FORMATS)
    assert not backend.can_load(make_artifact("onnx"))
    assert not backend.can_load(make_artifact("safetensors", backend="candle"))
    with pytest.raises(LoadError, match="does not read candle/safetensors"):
        backend.load(make_artifact("safetensors", backend="candle"), None, LoadOptions("p"))


@pytest.mark.parametrize("format_", sorted(FORMATS - {"safetensors"}))
def test_code_needs_trust(format_: str) -> None:
    with pytest.raises(UntrustedCodeError, match="trust_code"):
        TorchBackend.cpu().load(make_artifact(format_), None, LoadOptions("p"))


def test_its_own_test_passes_on_every_device() -> None:
    for device in TorchBackend().devices():
        TorchBackend().self_test(device.id)


def test_its_own_test_fails_where_the_product_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda left, right: left * right)
    with pytest.raises(ExecutionError, match="multiplies wrongly on cpu"):
        TorchBackend.cpu().self_test(DeviceId.cpu())


def test_its_own_test_fails_where_pytorch_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(torch.Tensor, "__matmul__", fail)
    with pytest.raises(ExecutionError, match="no kernel image"):
        TorchBackend.cpu().self_test(DeviceId.cpu())
    with pytest.raises(BackendUnavailableError):
        TorchBackend.cpu().self_test(DeviceId.cuda(99))


def test_an_available_pytorch_states_its_version() -> None:
    availability = TorchBackend().probe()
    assert availability.available
    assert availability.version == torch.__version__


def test_a_missing_pytorch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    availability = TorchBackend().probe()
    assert not availability.available
    assert availability.reason == "torch is not installed"
    assert availability.hint == "pip install 'inferox[torch]'"
    backend = TorchBackend()
    for use in (
        backend.devices,
        backend.default_device,
        backend.tensor_builder,
        backend.exporter,
        lambda: backend.self_test(DeviceId.cpu()),
        lambda: backend.load(make_artifact("safetensors"), None, LoadOptions("p")),
    ):
        with pytest.raises(BackendUnavailableError, match="inferox\\[torch\\]"):
            use()


def run_python(script: str, cwd: Path | None = None) -> list[str]:
    ran = subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, text=True, check=False)  # noqa: S603 - our own lines
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_a_broken_pytorch_says_why(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise OSError('libtorch_cpu.so: cannot open shared object file')")
    told = run_python(
        "from inferox.backends.torch.backend import TorchBackend;"
        "answer = TorchBackend().probe(); print(answer.reason); print(answer.hint)",
        cwd=tmp_path,
    )
    assert told == [
        "torch is installed but cannot be imported: libtorch_cpu.so: cannot open shared object file",
        "pip install --force-reinstall 'inferox[torch]'",
    ]


def test_asking_for_the_backend_does_not_import_pytorch() -> None:
    run_python(
        "import sys; from inferox.backends.torch.backend import TorchBackend;"
        "backend = TorchBackend.cuda(); hash(backend); backend.name; assert 'torch' not in sys.modules"
    )


def test_torchscript_waits_for_neither_transformers_nor_the_compiler() -> None:
    run_python(
        "import sys, inferox.backends.torch.loaders.formats;"
        "assert not {'transformers', 'torchao', 'torch._inductor', 'torch._dynamo'} & set(sys.modules)"
    )
