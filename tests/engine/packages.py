"""Packages of the doubling model, whose artifacts can be broken after they are loaded."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest

from inferox.backends.host import HostBackend
from inferox.core import (
    Array,
    Artifact,
    Availability,
    DeviceId,
    Layout,
    LoadError,
    LoadOptions,
    MemoryRequirements,
    Model,
    ModelMetadata,
    Precision,
    Signature,
)
from inferox.loading import PlannedLoad, Requirements
from inferox.loading.context import PackageContext
from inferox.loading.loader import Loader
from inferox.loading.plan import make_plan
from inferox.loading.planned_load import FAST
from inferox.loading.profile_store import FoundProfile
from inferox.loading.selection import AUTO
from inferox.package import Package
from inferox.parity import ParityClass, SampleBatch, Samples
from inferox.parity.samples import SAMPLES_FILE
from inferox.tasks import Task
from tests.engine.models import SIGNATURE, DoublingModel, SumTask
from tests.loading.backends import make_package, use

SHORT = 3
"""The numbers of the short sample."""


class DoublingBackend(HostBackend):
    """Loads doubling models, and breaks them.

    Attributes:
        broken: The fault of each artifact, by its format: it "raises", computes something "wrong", does so only for
            "long" rows, or is "lost", and cannot even be loaded.
        marks: The number that each artifact adds to those from 100 on, which are in no sample, by its format.
        models: The models that it has loaded.
    """

    def __init__(self) -> None:
        self.marks: dict[str, int] = {}
        self.broken: dict[str, str] = {}
        self.models: list[BreakableModel] = []

    @property
    def name(self) -> str:
        return "doubling"

    def probe(self) -> Availability:
        return Availability("1")

    def _multiply(self, left: Array, right: Array, device: DeviceId) -> Array:  # noqa: ARG002 - the contract
        return left @ right

    def can_load(self, artifact: Artifact) -> bool:  # noqa: ARG002 - it loads whatever it is given
        return True

    def find(self, format_: str) -> BreakableModel:
        """Returns the most recently loaded model of an artifact."""
        return next(model for model in reversed(self.models) if model.metadata.format == format_)

    def _open(self, artifact: Artifact, device: DeviceId, options: LoadOptions) -> Model:
        if self.broken.get(artifact.format) == "lost":
            raise LoadError(f"{artifact.format} is lost")
        self.models.append(BreakableModel(self, artifact, device, options))
        return self.models[-1]


class BreakableModel(DoublingModel):
    """Doubles numbers, unless its backend says that it is broken."""

    lanes: ClassVar[int] = 1
    """The number of calls that compute at once."""

    batch_invariant: ClassVar[bool | None] = None
    """Whether a row has the same outputs in any batch as alone."""

    def __init__(self, backend: DoublingBackend, artifact: Artifact, device: DeviceId, options: LoadOptions) -> None:
        super().__init__(name=options.package, metadata=ModelMetadata.of(artifact, device), max_concurrency=self.lanes)
        self._memory = MemoryRequirements(artifact.path("weights").stat().st_size)
        self.is_compiled = options.compile
        self._backend = backend

    def note_invariance(self, batch_invariant: bool | None) -> None:  # noqa: ARG002 - no evidence tells
        super().note_invariance(self.batch_invariant)

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        outputs = super()._compute(inputs)
        how = self._backend.broken.get(self.metadata.format)
        if how in {"raises", "lost"}:
            raise RuntimeError(f"{self.metadata.format} is broken")
        marked = (inputs["input_ids"] >= 100) * self._backend.marks.get(self.metadata.format, 0)
        is_wrong = how == "wrong" or (how == "long" and inputs["input_ids"].shape[1] > SHORT)
        return {name: array * (3 if is_wrong else 1) + marked for name, array in outputs.items()}


class SumContext(PackageContext):
    """A package of numbers that are summed up, for which no package on disk has a task."""

    def task(self, signature: Signature) -> Task:
        return self._tasks.setdefault(signature, SumTask())

    def _settings(self, signature: Signature) -> tuple[str, Mapping[str, Any]]:  # noqa: ARG002 - they are all alike
        return "sum", {}


class Shelf:
    """Packages that an engine loads by their paths.

    Attributes:
        backend: The backend of their artifacts.
        opened: The opened packages that are still in use.
    """

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.backend = DoublingBackend()
        self.opened: list[weakref.ref[PlannedLoad]] = []
        self._root = root
        self._packages: dict[str, Package] = {}
        use(self.backend, monkeypatch)
        names = (self.backend.name, "onnxruntime", "openvino")
        monkeypatch.setattr("inferox.loading.selection.backend_names", lambda: names)
        monkeypatch.setattr("inferox.engine.local.plan_load", self._plan)

    def put(
        self,
        path: str,
        formats: Mapping[str, ParityClass] | Sequence[str],
        *,
        samples: Samples | None = None,
        weights_bytes: int = 0,
        backends: Mapping[str, str] | None = None,
    ) -> None:
        """Writes a package with an artifact of each format, the best first; those of one class share a space.

        All run on ``backend``, under the names that ``backends`` gives it for each format.
        """
        classes = formats if isinstance(formats, Mapping) else dict.fromkeys(formats, ParityClass.EXACT)
        root = self._root / path
        root.mkdir()
        (samples or make_samples()).save(root / SAMPLES_FILE)
        (root / "weights").write_bytes(bytes(weights_bytes))
        artifacts = [
            Artifact(
                (backends or {}).get(format_, self.backend.name),
                format_,
                Precision.FP32,
                Layout.PADDED,
                {"weights": "weights"},
                SIGNATURE,
                root,
            )
            for format_ in classes
        ]
        measured = {item.name: classes[item.format] for item in artifacts}
        package = make_package(*artifacts, measured=measured, root=root, signature=SIGNATURE)
        # Costs learned of one package must not apply to another.
        self._packages[path] = replace(package, digest=sha256(str(root).encode()).hexdigest())

    def _plan(
        self,
        path: str,
        *_: object,
        all_samples: bool,
        start: str,
        checking: Callable[[Samples], AbstractContextManager[object]],
        verified: str | None = None,
        backend: str = AUTO,
        compile: bool = False,  # noqa: A002 - as ``load`` has it
        **__: object,
    ) -> PlannedLoad:
        package = self._packages[path]
        plan = make_plan(package, Requirements(backend, trust_code=True, to_measure=True), FoundProfile(None))
        options = LoadOptions(path, threads=1, trust_code=True, compile=compile)
        loader = Loader(SumContext(package), None, options, all_samples=all_samples, checking=checking)
        planned = PlannedLoad(loader, plan, starts_fast=start == FAST, verified=verified)
        self.opened.append(weakref.ref(planned))
        return planned


def make_samples(double: Callable[[Array], Array] = lambda numbers: numbers * 2) -> Samples:
    """Makes a short call and a longer one, with the expected outputs."""
    calls = [np.array([[1, 2, 3]]), np.array([[5, 6, 7, 8, 9]] * 4)]
    return Samples(
        tuple(
            SampleBatch({"input_ids": ids, "attention_mask": np.ones_like(ids)}, {"doubled": double(ids)})
            for ids in calls
        )
    )
