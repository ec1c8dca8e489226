"""Loading a package: open, choose, load, try, and fall back to the next artifact where one fails."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from inferox.backends.registry import get_backend
from inferox.core import (
    Artifact,
    BackendUnavailableError,
    DeviceId,
    ExecutionError,
    InferoxError,
    LoadOptions,
    Model,
    NoUsableBackendError,
    Signature,
    TrustTier,
    UntrustedCodeError,
)
from inferox.loading.plan import Plan, make_plan
from inferox.loading.profile import find_profile
from inferox.loading.selection import AUTO, Requirements
from inferox.loading.task_model import TaskModel
from inferox.machine import limit_rayon, resolve_threads
from inferox.package import Package, Store, embedding_space, open_package
from inferox.parity import LEAST_CLASS, TOLERANCES, ArtifactEvidence, ParityClass, Samples, measure_model
from inferox.tasks import Task, choose_task, open_task

_logger = logging.getLogger(__name__)


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
) -> TaskModel:
    """Loads a package on the runtime that is fastest here.

    Where ``inferox tune`` has measured the package on this machine, that decides; otherwise the order of
    ``inferox.loading.select``. An artifact that cannot be loaded, or that computes something else for a stored sample
    than it should, is rejected, and the next is tried.

    Args:
        path: A package: a folder, or an ``.mlpkg`` file.
        backend: A registered backend, or ``auto``.
        device: Where to load it, such as ``cuda:0``; ``None`` for the backend's default device.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8``; ``None`` for the best there is.
        quality: How well it must agree with the original: ``exact``, ``close`` or ``quantized``; ``None`` for
            ``close``, or for any where a precision is asked for.
        task: What the numbers mean, where the package's own statement is to be overridden.
        threads: How many CPU threads the runtime may use; ``None`` for one per core that this process may use.
        compile: Whether to compile the model just in time, where the backend can.
        trust_code: Whether code that comes with the package may run. Only say so for a package whose origin you trust.

    Returns:
        The model, to be used as a context manager or closed.

    Raises:
        PackageError: If there is no package at the path, or it is damaged, unsafe or too new.
        UntrustedCodeError: If it can only be run by code that comes with it, and that is not allowed.
        BackendNotFoundError: If the backend that is asked for is not registered.
        NoUsableBackendError: If no artifact can be loaded here; it lists the reason for each.
        ConfigError: If the device, the precision, the quality or the task is not valid.
    """
    requirements = Requirements.parse(backend, precision, quality, trust_code=trust_code, device=device)
    wanted = DeviceId.of(device)
    store, budget = Store(), resolve_threads(threads)
    context = PackageContext(open_package(path, store=store), task)
    options = LoadOptions(context.package.metadata.name, threads=threads, compile=compile, trust_code=trust_code)
    plan = make_plan(context.package, requirements, find_profile(context.package.digest, store, budget, wanted))
    return Loader(context, wanted, options).load(plan)


@dataclass(frozen=True)
class PackageContext:
    """A package with what it takes to run and to measure its artifacts.

    Attributes:
        package: The package.
        wanted_task: What the numbers mean, where the package's own statement is overridden.
    """

    package: Package
    wanted_task: str | None = None
    _tasks: dict[Signature, Task] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def samples(self) -> Samples | None:
        """The sample calls; ``None`` where it has none."""
        return self.package.samples()

    @cached_property
    def evidence(self) -> Mapping[str, ArtifactEvidence]:
        """What was measured when it was packed, by the artifact's name."""
        parity = self.package.parity
        return {item.artifact: item for item in parity.artifacts} if parity else {}

    @property
    def unmeasured(self) -> Mapping[str, str]:
        """Why some artifacts could not be measured when it was packed, by the artifact's name."""
        return self.package.parity.unmeasured if self.package.parity else {}

    def load(self, artifact: Artifact, device: DeviceId | None, options: LoadOptions) -> Model:
        """Loads an artifact, which then knows whether it was measured to depend on the batch.

        Args:
            artifact: The artifact.
            device: Where to load it; ``None`` for the backend's default device.
            options: How to load it.
        """
        known = self.evidence.get(artifact.name)
        invariant = None if known is None or known.batch is None else known.batch.holds
        return get_backend(artifact.backend).load(artifact, device, replace(options, batch_invariant=invariant))

    def task(self, signature: Signature) -> Task:
        """Opens the task; once for each signature, as opening its tokenizer takes time.

        Args:
            signature: The padded signature.
        """
        if signature not in self._tasks:
            self._tasks[signature] = self._open_task(signature)
        return self._tasks[signature]

    def embedding_space(self, artifact: Artifact) -> str:
        """The id of the space in which an artifact's answers to the task lie.

        Args:
            artifact: The artifact.
        """
        return embedding_space(self.package, artifact, *self._settings(artifact.padded_signature))

    def _open_task(self, signature: Signature) -> Task:
        name, options = self._settings(signature)
        return open_task(name, options, self.package.files_root, signature)

    def _settings(self, signature: Signature) -> tuple[str, Mapping[str, Any]]:
        """The name of the task and its options."""
        package, wanted = self.package, self.wanted_task
        if package.info.task and wanted in {None, package.info.task}:
            return package.info.task, package.info.task_options
        choice = choose_task(package.files_root, package.config, signature, task=wanted)
        return choice.name, choice.options


@dataclass(frozen=True)
class Loader:
    """Loads artifacts of a package.

    Attributes:
        context: The package.
        device: Where to load; ``None`` for each backend's default device.
        options: How to load.
    """

    context: PackageContext
    device: DeviceId | None
    options: LoadOptions

    def load(self, plan: Plan) -> TaskModel:
        """Loads the first artifact of a plan that works; see ``load`` of this module.

        Args:
            plan: What is tried.
        """
        if plan.ignored:
            _logger.warning("measurements of %s are ignored: %s", self.options.package, plan.ignored)
        self.check_package()
        failures: dict[str, InferoxError] = {}
        for index, artifact in enumerate(plan.order):
            try:
                model = self.open(artifact)
            except InferoxError as error:
                failures[artifact.name] = error
                continue
            later = {other.name: plan.why_not(other, artifact) for other in plan.order[index + 1 :]}
            reasons = {**plan.rejected, **_texts(failures), **later}
            _logger.info("%s runs on %s: %s", self.options.package, artifact.name, plan.why_taken(artifact))
            self._log_reasons(reasons, failures)
            return self._with_task(artifact, model, reasons)
        reasons = {**plan.rejected, **_texts(failures)}
        self._log_reasons(reasons, failures)
        raise self._nothing_usable(plan, reasons, failures)

    def open(self, artifact: Artifact) -> Model:
        """Loads an artifact and tries it on a stored sample.

        Args:
            artifact: The artifact.

        Returns:
            The model.

        Raises:
            InferoxError: If it cannot be loaded, or computes something else than it should.
        """
        limit_rayon(self.options.threads)
        model = self.context.load(artifact, self.device, self.options)
        self.context.package.keep_for(model)
        try:
            self._try(model, artifact)
        except BaseException:
            model.close()
            raise
        return model

    def open_alone(self, artifact: Artifact) -> TaskModel:
        """Loads one artifact, with its task; see ``open``."""
        return self._with_task(artifact, self.open(artifact), {})

    def _with_task(self, artifact: Artifact, model: Model, reasons: Mapping[str, str]) -> TaskModel:
        try:
            space = self.context.embedding_space(artifact)
            return TaskModel(model, self.context.task(model.signature), rejected=reasons, embedding_space=space)
        except BaseException:
            model.close()
            raise

    def check_package(self) -> None:
        """Opens what every artifact needs, so that what fails afterwards is the fault of a single artifact.

        Raises:
            PackageError: If the samples or the task's files are damaged.
            ConfigError: If the task that was asked for does not suit the model.
        """
        limit_rayon(self.options.threads)  # before a tokenizer makes the pool
        _ = self.context.samples
        self.context.task(self.context.package.info.signature)

    def _log_reasons(self, reasons: Mapping[str, str], failures: Mapping[str, InferoxError]) -> None:
        for name, reason in reasons.items():
            # A runtime that is not installed is nothing to worry about where another one does the work.
            failed = not isinstance(failures.get(name), BackendUnavailableError | None)
            level = logging.WARNING if failed else logging.INFO
            _logger.log(level, "%s does not run on %s: %s", self.options.package, name, reason)

    def _try(self, model: Model, artifact: Artifact) -> None:
        """Opens its task, computes the smallest sample, and refuses a model that misses the tolerance that it kept."""
        task = self.context.task(model.signature)
        samples, evidence = self.context.samples, self.context.evidence.get(artifact.name)
        if samples is None or (evidence is None and artifact.name not in self.context.unmeasured):
            return
        smallest = min(samples.batches, key=lambda batch: sum(array.size for array in batch.inputs.values()))
        parity_target = task.parity_target(model.signature)
        # A single row has no mean, and no share of its order counts: it is held to the limits for the worst of all
        # rows.
        kept = TOLERANCES[LEAST_CLASS[artifact.precision]] if evidence is None else evidence.tolerance
        tolerance = replace(kept, cosine_mean=kept.cosine_min, order_min=0.0)
        one, scales = Samples((smallest,)), parity_target.scales(samples)
        found = measure_model(model, artifact, one, parity_target, tolerance, scales=scales)
        if found.parity_class is ParityClass.FAIL:
            other = "the model" if evidence is None else "when it was packed"
            raise ExecutionError(
                f"{artifact.name} computes something else here than {other}: {found.agreement}",
                hint="'inferox verify' measures the whole package again",
            )

    def _nothing_usable(
        self, plan: Plan, reasons: Mapping[str, str], failures: Mapping[str, InferoxError]
    ) -> InferoxError:
        data = any(artifact.trust_tier is TrustTier.DATA for artifact in self.context.package.artifacts)
        if not data and plan.needs_trust:
            # Said so where trust is all that is missing, rather than as one reason among several.
            return UntrustedCodeError(
                f"{self.options.package!r} can only be run by code that comes with it",
                hint="if you trust where it comes from, pass trust_code=True, or --trust-code on the command line",
            )
        tried = "'inferox doctor' says what each backend lacks"
        hint = tried if failures else "'inferox inspect' says what the package has"
        error = NoUsableBackendError(self.options.package, reasons, hint=hint)
        error.__cause__ = list(failures.values())[-1] if failures else None
        return error


def _texts(failures: Mapping[str, InferoxError]) -> dict[str, str]:
    return {name: str(error) for name, error in failures.items()}
