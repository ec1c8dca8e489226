"""A third-party backend whose artifacts double their input, or fail in the way that their names say.

A test puts the folder of its distribution on the path, so that workers find it as they find any other.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferox.backends import registry
from inferox.backends.host import HostBackend, HostTensor, HostTensorBuilder
from inferox.core import (
    Array,
    Artifact,
    Availability,
    BackendUnavailableError,
    DeviceId,
    ExecutionError,
    LoadError,
    LoadOptions,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Precision,
    RequestError,
    Tensor,
    TensorLike,
)
from inferox.package import PackageWriter
from inferox.parity import ArtifactEvidence, ParityReport, Samples
from tests.package.packages import make_info, make_metadata, make_samples

NAME = "faulty"

SAMPLES = make_samples()

_FEW, _MANY = 20, 1000
"""The numbers of calls after which late failures and late hangs happen."""

ROOT = Path(__file__).parents[3]


class FaultyModel(Model):
    """Doubles numbers, unless it is told to fail."""

    def __init__(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> None:
        metadata, builder = ModelMetadata.of(artifact, device), HostTensorBuilder("numpy")
        super().__init__(options.package, metadata, artifact.signature, MemoryRequirements(0), builder=builder)
        self._fault = artifact.options.get("fault")
        self._calls = 0

    def _compute(self, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
        self._calls += 1
        fail(self._fault, computing=True, calls=self._calls)
        value = np.asarray(inputs["x"])
        return {"x": HostTensor(value * (2.5 if self._fault == "wrong" else 2), NAME)}

    def close(self) -> None:
        pass


class FaultyBackend(HostBackend):
    """Loads its own artifacts."""

    @property
    def name(self) -> str:
        return NAME

    def probe(self) -> Availability:
        return Availability("1.2.3")

    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:  # noqa: ARG002 - the contract
        return left @ right

    def can_load(self, artifact: Artifact) -> bool:
        return artifact.backend == NAME

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        fault = artifact.options.get("fault")
        if fault == "starts another":  # a process that stays
            subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        if fault == "starts once":
            try:
                Path(os.environ["FAULTY_STARTED"]).touch(exist_ok=False)
            except FileExistsError as error:
                raise LoadError("the licence is in use") from error
        fail(fault, computing=False, calls=0)
        return FaultyModel(artifact, device, options)


def fail(fault: Any, *, computing: bool, calls: int) -> None:
    """Causes the fault that a name says, at its time."""
    print("a runtime that talks")  # noqa: T201 - as some do, on the stream that answers use
    if fault == "refuses" and not computing:
        raise LoadError("an operator is missing")
    if fault == "absent" and not computing:
        raise BackendUnavailableError("there is no such device here")
    if fault == "fails" and computing:
        raise ExecutionError("the device is gone")
    if fault == "picky" and computing:
        raise RequestError("it takes other rows")
    if (fault == "hangs" and not computing) or (fault == "hangs late" and calls > _MANY):
        time.sleep(600)
    if fault == "exits" and not computing:
        print("the licence has run out", file=sys.stderr)  # noqa: T201 - a runtime's last words
        os._exit(7)
    if fault == "crashes" and calls == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if fault == "fails late" and calls > _FEW:
        raise ExecutionError("the device is gone")
    if fault == "stumbles" and calls == 1:
        raise ZeroDivisionError("division by zero")


@contextmanager
def registered(folder: Path) -> Iterator[None]:
    """Registers the backend as a distribution in a folder, for this process and for those that it starts."""
    info = folder / "faulty-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[inferox.backends]\n{NAME} = {__name__}:FaultyBackend\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        paths = (str(ROOT), str(folder), os.environ.get("PYTHONPATH", ""))
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
        _forget_backends()
        yield
    _forget_backends()


def _forget_backends() -> None:
    registry._registered.cache_clear()
    registry.get_backend.cache_clear()


def write_faulty_package(
    output: Path,
    faults: Sequence[str | None],
    *,
    samples: Samples | None = SAMPLES,
    evidence: Sequence[ArtifactEvidence] = (),
) -> Path:
    """Writes a package with one artifact for each fault, or ``None`` for none; at most four."""
    with PackageWriter(output) as writer:
        (writer.root / "weights").mkdir()
        (writer.root / "weights" / "model.safetensors").write_bytes(b"weights " * 1000)
        info = make_info(writer.root)
        (base,) = info.artifacts
        artifacts = []
        for precision, fault in zip(Precision, faults, strict=False):
            own = f"backends/{precision.value}.json"
            (writer.root / own).parent.mkdir(exist_ok=True)
            (writer.root / own).write_text("{}")
            artifacts.append(
                replace(
                    base,
                    backend=NAME,
                    precision=precision,
                    files={**base.files, "graph": own},
                    options={} if fault is None else {"fault": fault},
                )
            )
        info = replace(info, supported_backends=(NAME,), artifacts=tuple(artifacts), task_options={})
        return writer.commit(make_metadata(), info, ParityReport(tuple(evidence)), samples)
