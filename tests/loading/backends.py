"""A backend in a few lines of NumPy, whose artifacts can be made to fail."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from inferox.backends.host import HostBackend, HostTensor, HostTensorBuilder
from inferox.core import (
    Array,
    Artifact,
    Availability,
    DataType,
    DeviceId,
    ExecutionError,
    Layout,
    LoadError,
    LoadOptions,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Precision,
    Signature,
    Tensor,
    TensorLike,
    TensorSpec,
)
from inferox.package import Package
from inferox.parity import TOLERANCES, ArtifactEvidence, ParityClass, ParityReport, Tolerance
from inferox.parity.tolerance import DISAGREEMENT
from tests.package.packages import make_info, make_metadata

SPEC = TensorSpec("x", DataType.F32, ("batch", 2))


def make_artifact(
    backend: str,
    format_: str = "safetensors",
    precision: Precision = Precision.FP32,
    layout: Layout = Layout.PADDED,
    signature: Signature = Signature((SPEC,), (SPEC,)),  # noqa: B008 - it is frozen
    **options: Any,
) -> Artifact:
    return Artifact(backend, format_, precision, layout, {}, signature, Path(), options)


def make_package(
    *artifacts: Artifact,
    measured: Mapping[str, ParityClass] | None = None,
    root: Path = Path("/nowhere"),
    tolerance: Tolerance = TOLERANCES[ParityClass.CLOSE],
    **info_fields: Any,
) -> Package:
    """Makes a package of artifacts, some of which were measured."""
    info = replace(make_info(Path()), artifacts=artifacts, **info_fields)
    evidence = tuple(
        ArtifactEvidence(name, DISAGREEMENT, tolerance, parity_class, {}, "a machine")
        for name, parity_class in (measured or {}).items()
    )
    return Package(root, root, make_metadata(), info, ParityReport(evidence), {}, "0" * 64)


class EchoModel(Model):
    """Returns its inputs, and records them. With ``takes``, it fails for rows that are longer."""

    def __init__(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> None:
        metadata, builder = ModelMetadata.of(artifact, device), HostTensorBuilder("numpy")
        super().__init__(options.package, metadata, artifact.signature, MemoryRequirements(0), builder=builder)
        self.options = options
        self.calls: list[dict[str, npt.NDArray[Any]]] = []
        self.closed = False
        self._takes = artifact.options.get("takes", sys.maxsize)

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        arrays = {name: np.asarray(value) for name, value in inputs.items()}
        self.calls.append(arrays)
        if any(array.shape[1] > self._takes for array in arrays.values()):
            raise ExecutionError("index out of range")
        return {name: HostTensor(arrays[name], "echo") for name in self.signature.output_names}

    def close(self) -> None:
        self.closed = True


class EchoBackend(HostBackend):
    """Loads its own artifacts; one whose options say ``fails`` raises the error named by ``raises``."""

    def __init__(self, name: str, *, reason: str | None = None) -> None:
        self._name, self._reason = name, reason
        self.raises: Exception = LoadError("an operator is missing")
        self.models: list[EchoModel] = []

    @property
    def name(self) -> str:
        return self._name

    def probe(self) -> Availability:
        return Availability("1", self._reason, "install it" if self._reason else None)

    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:  # noqa: ARG002 - the contract
        return left @ right

    def can_load(self, artifact: Artifact) -> bool:
        return artifact.backend == self._name and artifact.format != "strange"

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        if artifact.options.get("fails"):
            raise self.raises
        self.models.append(EchoModel(artifact, device, options))
        return self.models[-1]


def use(backend: HostBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces all other backends by this one."""
    monkeypatch.setattr("inferox.loading.context.get_backend", lambda _: backend)
    monkeypatch.setattr("inferox.loading.selection.get_backend", lambda _: backend)
    monkeypatch.setattr("inferox.measuring.tuning.get_backend", lambda _: backend)
    monkeypatch.setattr("inferox.loading.selection.backend_names", lambda: (backend.name,))
