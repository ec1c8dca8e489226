"""A backend that has only an accelerator, and makes no tensors on the CPU: packed for, loaded and verified."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.numpy import load_file

import inferox
from inferox.backends import registry
from inferox.backends.host import HostBackend, HostTensor, HostTensorBuilder
from inferox.core import (
    WEIGHTS_FILE,
    Array,
    Artifact,
    Availability,
    BackendUnavailableError,
    DataType,
    Device,
    DeviceId,
    Exporter,
    ExportRequest,
    LoadOptions,
    MemoryInfo,
    MemoryRequirements,
    Model,
    ModelMetadata,
    SourceModel,
    TensorBuilder,
    TensorLike,
)
from inferox.loading import explain
from inferox.measuring import verify

NPU = DeviceId("npu", 0)


def require_npu(device: DeviceId | None) -> None:
    if device not in {None, NPU}:
        raise BackendUnavailableError(f"npu has no tensors on {device}")


class NpuTensor(HostTensor):
    """A tensor that says that it lies on the accelerator."""

    @property
    def device(self) -> DeviceId:
        return NPU


class NpuTensorBuilder(HostTensorBuilder):
    """Makes tensors only on the accelerator."""

    @property
    def device(self) -> DeviceId:
        return NPU

    def with_device(self, device: DeviceId) -> NpuTensorBuilder:
        require_npu(device)
        return self

    def _adopt(self, array: npt.NDArray[Any], dtype: DataType) -> NpuTensor:  # noqa: ARG002 - the contract
        return NpuTensor(array.copy(), "npu")


class Npu(Device):
    """The accelerator."""

    @property
    def id(self) -> DeviceId:
        return NPU

    def is_available(self) -> bool:
        return True

    def memory_info(self) -> MemoryInfo | None:
        return None


class NpuModel(Model):
    """A linear layer on the accelerator."""

    def __init__(self, artifact: Artifact, options: LoadOptions) -> None:
        metadata, builder = ModelMetadata.of(artifact, NPU), NpuTensorBuilder("npu")
        super().__init__(options.package, metadata, artifact.signature, MemoryRequirements(0), builder=builder)
        stored = load_file(artifact.path("weights"))
        self._weight, self._bias = stored["weight"], stored["bias"]

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, TensorLike]:
        (rows,) = inputs.values()
        return {
            self.signature.output_names[0]: self._builder.from_numpy(np.asarray(rows) @ self._weight.T + self._bias)
        }

    def close(self) -> None:
        pass


class NpuExporter(Exporter):
    """Adds nothing to the package's weights."""

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:  # noqa: ARG002 - the contract
        files = {"weights": WEIGHTS_FILE}
        return Artifact("npu", "safetensors", request.precision, request.layout, files, request.signature, root)


@dataclass(frozen=True)
class NpuBackend(HostBackend):
    """Runs a linear layer."""

    @property
    def name(self) -> str:
        return "npu"

    def probe(self) -> Availability:
        return Availability(version="1")

    def devices(self) -> Sequence[Device]:
        return (Npu(),)

    def default_device(self) -> DeviceId:
        return NPU

    def tensor_builder(self, device: DeviceId | None = None) -> TensorBuilder:
        require_npu(device)
        return NpuTensorBuilder("npu")

    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:  # noqa: ARG002 - the contract
        return left @ right

    def can_load(self, artifact: Artifact) -> bool:
        return artifact.backend == self.name

    def exporter(self) -> Exporter:
        return NpuExporter()

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        require_npu(device)
        return NpuModel(artifact, options)


class Registered(EntryPoint):
    """Registers the backend."""

    def load(self) -> Any:
        return NpuBackend


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Registers the backend beside the others, as a distribution does."""
    found = {**registry._registered(), "npu": Registered("npu", "npu:Backend", registry.ENTRY_POINT_GROUP)}
    monkeypatch.setattr(registry, "_registered", lambda: found)
    registry.get_backend.cache_clear()
    yield
    registry.get_backend.cache_clear()


def test_it_is_packed_for_loaded_and_verified(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, example = torch.nn.Linear(4, 3), {"input": torch.ones(2, 4)}
    packed = inferox.pack(
        module,
        tmp_path / "package",
        backends=("npu",),
        precisions=("fp32",),
        example_inputs=example,
    )
    assert packed.refused == {}
    assert [item.artifact for item in packed.evidence] == ["npu/safetensors/fp32/padded"]
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    for device in (None, "npu:0"):
        with inferox.load(tmp_path / "package", device=device) as model:
            assert model.metadata.device == NPU
            (found,) = model.forward(rows).values()
            assert found.device == NPU
            np.testing.assert_allclose(found.numpy(), module(torch.from_numpy(rows)).detach().numpy(), rtol=1e-5)
            (nothing,) = model.forward(rows[:0]).values()
            assert (nothing.shape, nothing.device) == ((0, 3), NPU)
            (answer,) = model.run([{"input": rows[:1]}])
            np.testing.assert_allclose(next(iter(answer.values())), found.numpy()[:1], rtol=1e-5)
    assert verify(tmp_path / "package").passed
    assert explain(tmp_path / "package", device="npu:0").verdicts[0].taken
    assert "has no device cpu here" in explain(tmp_path / "package", device="cpu").verdicts[0].reason
