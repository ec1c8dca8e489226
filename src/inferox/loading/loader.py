"""The loader of artifacts: it loads one, tries it, and falls back to the next if it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from inferox.core import (
    Artifact,
    BackendUnavailableError,
    DeviceId,
    ExecutionError,
    InferoxError,
    LoadOptions,
    Model,
    NoUsableBackendError,
    TrustTier,
    UntrustedCodeError,
    closed_on_failure,
    first_line,
)
from inferox.loading.context import PackageContext, artifact_border
from inferox.loading.plan import Plan
from inferox.loading.task_model import TaskModel
from inferox.machine import limit_rayon
from inferox.parity import LEAST_CLASS, TOLERANCES, ParityClass, SampleBatch, Samples, measure_model

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loader:
    """Loads artifacts of a package.

    Attributes:
        context: The package.
        device: The device to load on; ``None`` for each backend's default device.
        options: The options for loading.
        all_samples: Whether an artifact must agree on all stored samples before it is taken, rather than on one.
        checking: Makes the context in which the given samples are computed.
    """

    context: PackageContext
    device: DeviceId | None
    options: LoadOptions
    all_samples: bool = False
    checking: Callable[[Samples], AbstractContextManager[object]] = nullcontext

    def load(self, plan: Plan, *, verified: str | None = None) -> TaskModel:
        """Loads the first artifact of a plan that works; see ``inferox.load``.

        Args:
            plan: The artifacts to try.
            verified: The name of an artifact that has agreed on all samples on this machine, so that one suffices.
        """
        if plan.ignored:
            _logger.warning("measurements of %s are ignored: %s", self.options.package, plan.ignored)
        self.check_package()
        failures: dict[str, InferoxError] = {}
        for index, artifact in enumerate(plan.order):
            later = {other.name: plan.why_not(other, artifact) for other in plan.order[index + 1 :]}
            reasons = {**plan.rejected, **_texts(failures), **later}
            try:
                loaded = self._open(artifact, reasons, all_samples=self.all_samples and artifact.name != verified)
            except InferoxError as error:
                failures[artifact.name] = error
                continue
            _logger.info("%s runs on %s: %s", self.options.package, artifact.name, plan.why_taken(artifact))
            self._log_reasons(reasons, failures)
            return loaded
        reasons = {**plan.rejected, **_texts(failures)}
        self._log_reasons(reasons, failures)
        raise self._nothing_usable(plan, reasons, failures)

    def _open(self, artifact: Artifact, rejected: Mapping[str, str], *, all_samples: bool) -> TaskModel:
        """Loads an artifact with its task, and checks it on one stored sample or on all of them.

        Raises:
            InferoxError: If anything fails: only a request to stop passes as it is.
        """
        limit_rayon(self.options.threads)
        model = self.context.load(artifact, self.device, self.options)
        with (
            closed_on_failure(model, f"the backend {artifact.backend}"),
            artifact_border(artifact, f"loading {artifact.name}"),
        ):
            self.context.package.keep_for(model)
            self.check(model, artifact, all_samples=all_samples)
            evidence = self.context.evidence.get(artifact.name)
            return TaskModel(
                model,
                self.context.task(model.signature),
                rejected=rejected,
                embedding_space=self.context.embedding_space(artifact),
                parity_class=None if evidence is None else evidence.parity_class.value,
            )

    def open_alone(self, artifact: Artifact) -> TaskModel:
        """Loads one artifact with its task and checks it; see ``load``.

        Args:
            artifact: The artifact.

        Raises:
            InferoxError: If it cannot be loaded, or computes something else than it should.
        """
        return self._open(artifact, {}, all_samples=self.all_samples)

    def check_package(self) -> None:
        """Opens what every artifact needs, so that any later failure is the fault of a single artifact.

        Raises:
            PackageError: If the samples or the task's files are damaged.
            ConfigError: If the requested task does not suit the model.
        """
        limit_rayon(self.options.threads)  # before a tokenizer makes the pool
        _ = self.context.samples
        self.context.task(self.context.package.info.signature)

    def _log_reasons(self, reasons: Mapping[str, str], failures: Mapping[str, InferoxError]) -> None:
        for name, reason in reasons.items():
            # A runtime that is not installed is no cause for concern if another one does the work.
            failed = not isinstance(failures.get(name), BackendUnavailableError | None)
            level = logging.WARNING if failed else logging.INFO
            _logger.log(level, "%s does not run on %s: %s", self.options.package, name, reason)

    def check(self, model: Model, artifact: Artifact, *, all_samples: bool) -> None:
        """Opens the task, computes stored samples, and refuses a model that misses the tolerance met at pack time.

        Args:
            model: The model.
            artifact: The artifact that it was loaded from.
            all_samples: Whether to compute all samples, or only the smallest.

        Raises:
            InferoxError: If it fails, or computes something else than it should.
        """
        with artifact_border(artifact, f"checking {artifact.name}"):
            self._check(model, artifact, all_samples=all_samples)

    def _check(self, model: Model, artifact: Artifact, *, all_samples: bool) -> None:
        task = self.context.task(model.signature)
        samples, evidence = self.context.samples, self.context.evidence.get(artifact.name)
        if samples is None or (evidence is None and artifact.name not in self.context.unmeasured):
            return
        kept = TOLERANCES[LEAST_CLASS[artifact.precision]] if evidence is None else evidence.tolerance
        parity_target = task.parity_target(model.signature)
        chosen, tolerance, scales = samples, kept, parity_target.scales(samples)
        if not all_samples:
            chosen = Samples((min(samples.batches, key=_count_numbers),))
            # A single row has no mean and no meaningful share of agreements: it is held to the limits for the worst
            # of all rows.
            tolerance = replace(kept, cosine_mean=kept.cosine_min, order_min=0.0)
        with self.checking(chosen):
            found = measure_model(model, artifact, chosen, parity_target, tolerance, scales=scales)
        if found.parity_class is ParityClass.FAIL:
            other = "the model" if evidence is None else "when it was packed"
            raise ExecutionError(
                f"{artifact.name} computes something else here than {other}: {found.agreement}",
                hint="'inferox verify' measures the whole package again",
            )

    def _nothing_usable(
        self, plan: Plan, reasons: Mapping[str, str], failures: Mapping[str, InferoxError]
    ) -> InferoxError:
        artifacts = self.context.package.artifacts
        data = [item for item in artifacts if item.trust_tier is TrustTier.DATA and item.name not in plan.untrusted]
        if plan.untrusted and not data and not self.context.package.unknown:
            # If trust is all that is missing, the error says so, rather than listing it as one reason among several.
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
    return {name: first_line(error) for name, error in failures.items()}


def _count_numbers(batch: SampleBatch) -> int:
    return sum(array.size for array in batch.inputs.values())
