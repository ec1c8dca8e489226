"""Loading of a package: open it, plan, and try artifacts in that order."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from weakref import WeakSet

from inferox.core import Artifact, ConfigError, DeviceId, InferoxError, LoadOptions, first_line
from inferox.loading.context import PackageContext
from inferox.loading.loader import Loader
from inferox.loading.plan import Plan, make_plan
from inferox.loading.profile_store import find_profile
from inferox.loading.selection import AUTO, Requirements
from inferox.loading.task_model import TaskModel
from inferox.machine import resolve_threads
from inferox.package import Store, open_package
from inferox.parity import Samples

_logger = logging.getLogger(__name__)

BEST, FAST = "best", "fast"
"""The artifact to load first: the best one, or the one that loads fastest."""

START_S = {"onnxruntime": 0.4, "candle": 0.4, "openvino": 1.0, "torch": 7.0}
"""The seconds that backends take to load MiniLM, importing the runtime included."""

START_ORDER = tuple(START_S)
"""The order of backends by loading time. Candle loads as fast as ONNX Runtime, but computes more slowly."""


def load(
    path: str | Path,
    backend: str = AUTO,
    device: str | DeviceId | None = None,
    precision: str | None = None,
    *,
    quality: str | None = None,
    task: str | None = None,
    threads: int | None = None,
    compile: bool = False,  # noqa: A002 - PyTorch's own word for it
    trust_code: bool = False,
    require_signature: str | Path | None = None,
) -> TaskModel:
    """Loads a package on the runtime that is fastest here.

    If ``inferox tune`` has measured the package on this machine, its measurements decide; otherwise the order of
    ``inferox.loading.select`` applies. An artifact that cannot be loaded, or whose result for a stored sample is wrong,
    is rejected, and the next is tried.

    Args:
        path: A package: a folder, or an ``.mlpkg`` file.
        backend: A registered backend, or ``auto``.
        device: The device to load on, such as ``cuda:0``; ``None`` for the backend's default device.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``; ``None`` for any that is good enough.
        quality: The worst acceptable agreement with the original: ``exact``, ``close`` or ``quantized``; ``None`` for
            ``close``, or for any if a precision is requested.
        task: The task that overrides the package's own; ``None`` for that.
        threads: The number of CPU threads that the runtime may use; ``None`` for one per core that this process may
            use.
        compile: Whether to compile the model just in time, where the backend can.
        trust_code: Whether code that comes with the package may run. Set it only for packages whose origin you trust.
        require_signature: A PEM file with the public key that the package must be signed with; ``None`` to accept any.

    Returns:
        The model, to be used as a context manager or closed.

    Raises:
        PackageError: If there is no package at the path, or it is damaged, unsafe or too new.
        SignatureError: If it is not signed with the required key.
        UntrustedCodeError: If it can only be run by code that comes with it, and that is not allowed.
        BackendNotFoundError: If the requested backend is not registered.
        NoUsableBackendError: If no artifact can be loaded here; it lists the reason for each.
        ConfigError: If the device, the precision, the quality or the task is not valid.
    """
    return plan_load(
        path,
        backend,
        device,
        precision,
        quality=quality,
        task=task,
        threads=threads,
        compile=compile,
        trust_code=trust_code,
        require_signature=require_signature,
    ).load()


def plan_load(
    path: str | Path,
    backend: str = AUTO,
    device: str | DeviceId | None = None,
    precision: str | None = None,
    *,
    quality: str | None = None,
    task: str | None = None,
    threads: int | None = None,
    compile: bool = False,  # noqa: A002 - as ``load`` has it
    trust_code: bool = False,
    require_signature: str | Path | None = None,
    all_samples: bool = False,
    start: str = BEST,
    verified: str | None = None,
    checking: Callable[[Samples], AbstractContextManager[object]] = nullcontext,
) -> PlannedLoad:
    """Opens a package and decides the order in which its artifacts are tried. Loads nothing, and imports no runtime.

    Takes the arguments of ``load`` and more, and raises the same errors except those of loading an artifact.

    Args:
        path: The package.
        backend: A registered backend, or ``auto``.
        device: The device to load on.
        precision: The number format in which it computes.
        quality: The worst acceptable agreement with the original.
        task: The task that overrides the package's own.
        threads: The number of CPU threads that the runtime may use.
        compile: Whether to compile the model just in time, where the backend can.
        trust_code: Whether code that comes with the package may run.
        require_signature: The public key that the package must be signed with.
        all_samples: Whether an artifact must agree on all stored samples before it is taken, rather than on one.
        start: ``best``, or ``fast`` to load first what loads fastest; see ``PlannedLoad.load``.
        verified: The name of an artifact that has agreed on all samples on this machine: if it is loaded first, one
            sample suffices. Whatever takes over later is checked on all of them.
        checking: Makes the context in which the given stored samples are computed.
    """
    if start not in {BEST, FAST}:
        raise ConfigError(f"start must be {BEST!r} or {FAST!r}, but is {start!r}")
    requirements = Requirements.parse(backend, precision, quality, trust_code=trust_code, device=device)
    wanted = DeviceId.of(device)
    store, budget = Store(), resolve_threads(threads)
    context = PackageContext(open_package(path, store=store, require_signature=require_signature), task)
    options = LoadOptions(context.package.metadata.name, threads=threads, compile=compile, trust_code=trust_code)
    plan = make_plan(context.package, requirements, find_profile(context.package.digest, store, budget, wanted))
    loader = Loader(context, wanted, options, all_samples=all_samples, checking=checking)
    return PlannedLoad(loader, plan, starts_fast=start == FAST, verified=verified)


@dataclass(frozen=True)
class PlannedLoad:
    """An open package, and the order in which its artifacts are tried.

    Attributes:
        loader: Loads its artifacts.
        plan: The order, and the reasons.
        starts_fast: Whether the artifact that loads fastest is loaded first.
        verified: The artifact for which one sample suffices if it is loaded first; ``None`` if there is none.
    """

    loader: Loader
    plan: Plan
    starts_fast: bool = False
    verified: str | None = None
    _makeshifts: WeakSet[TaskModel] = field(default_factory=WeakSet, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name of the package."""
        return self.loader.options.package

    @property
    def digest(self) -> str:
        """The digest of the package."""
        return self.loader.context.package.digest

    @property
    def size_bytes(self) -> int:
        """The size of the files that the first artifact reads, which approximates the memory that it will take."""
        files = {artifact.path(name) for artifact in self.plan.order[:1] for name in artifact.files}
        return sum(path.stat().st_size for path in files)

    def load(self) -> TaskModel:
        """Loads the first artifact that works; see ``load`` of this module.

        With ``starts_fast``, that is the one that loads fastest among those that can replace the best; it is checked
        only on the smallest sample, and not compiled just in time.
        """
        started = self._start_fast() if self.starts_fast else None
        return started or self.loader.load(self.plan, verified=self.verified)

    def is_makeshift(self, loaded: TaskModel) -> bool:
        """Returns whether a model was loaded without the requested just-in-time compilation, to be ready sooner.

        Args:
            loaded: A model that was loaded by this object.
        """
        return loaded in self._makeshifts

    def open(self, artifact: Artifact) -> TaskModel:
        """Loads one artifact; see ``Loader.open_alone``.

        Args:
            artifact: The artifact.
        """
        return self.loader.open_alone(artifact)

    def find_alike(self, name: str) -> tuple[Artifact, ...]:
        """Finds the artifacts that can replace a given one, in the order of the plan.

        They have the same embedding space, and take and return the same tensors.

        Args:
            name: The name of the given artifact, which is among the result.
        """
        context = self.loader.context
        like = next(artifact for artifact in self.plan.order if artifact.name == name)
        return tuple(
            artifact
            for artifact in self.plan.order
            if artifact.padded_signature == like.padded_signature
            and context.embedding_space(artifact) == context.embedding_space(like)
        )

    def _start_fast(self) -> TaskModel | None:
        self.loader.check_package()
        options = self.loader.options
        quick = replace(self.loader, all_samples=False, options=replace(options, compile=False))
        for artifact in self._quickest():
            try:
                started = quick.open_alone(artifact)
            except InferoxError as error:
                _logger.warning("%s does not start on %s: %s", self.name, artifact.name, first_line(error))
                continue
            if options.compile:
                self._makeshifts.add(started)
            return started
        return None

    def _quickest(self) -> list[Artifact]:
        """Returns the artifacts that can replace the best one, the fastest to load first."""
        backends = {artifact.backend: len(START_ORDER) for artifact in self.plan.order}
        backends |= {backend: place for place, backend in enumerate(START_ORDER)}
        alike = [other for best in self.plan.order[:1] for other in self.find_alike(best.name)]
        return sorted(alike, key=lambda artifact: backends[artifact.backend])

    def check(self, loaded: TaskModel) -> None:
        """Computes all stored samples with an artifact.

        Args:
            loaded: A model that was loaded by this object.

        Raises:
            InferoxError: If it fails, or computes something else than it should.
        """
        name = loaded.metadata.artifact
        artifact = next(artifact for artifact in self.plan.order if artifact.name == name)
        self.loader.check(loaded.model, artifact, all_samples=True)
