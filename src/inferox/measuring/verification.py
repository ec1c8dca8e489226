"""The verification of a package on the machine where it is to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inferox.core import (
    Artifact,
    BackendUnavailableError,
    DeviceId,
    InferoxError,
    LoadOptions,
    NoUsableBackendError,
    PackageError,
    UnsupportedDTypeError,
)
from inferox.loading.context import PackageContext
from inferox.loading.selection import AUTO, Requirements, select
from inferox.measuring.agreement import measure_again, why_batches_fail
from inferox.measuring.input_proof import RepeatedProof, repeat_proof
from inferox.measuring.time_budget import Ending, TimeBudget
from inferox.package import open_package
from inferox.parity import (
    ArtifactEvidence,
    InputProof,
    Limits,
    ParityClass,
    ProofCase,
    Samples,
    Tolerance,
)

Progress = Callable[[str, int, int], None]
"""A callback that takes the current step, the number of artifacts done, and their total number."""


@dataclass(frozen=True)
class Verification:
    """The result of ``verify()``.

    Attributes:
        name: The package's name.
        evidence: The agreement of each artifact that could run with the stored outputs of the reference.
        not_run: The reason for each artifact that is not for this machine, or was not allowed or requested.
        failed: The reason for each artifact that its available runtime could not load or compute.
        proof: The extent to which the package was proven from text or image at pack time; ``None`` if that was not
            recorded.
        repeated: The result of repeating that proof, by the artifact's name; empty if it was not proven.
        ending: Whether everything planned was measured.
        unreached: The artifacts that were not measured to the end, because the time was over or the user stopped it.
    """

    name: str
    evidence: tuple[ArtifactEvidence, ...]
    not_run: Mapping[str, str]
    failed: Mapping[str, str]
    proof: InputProof | None = None
    repeated: Mapping[str, RepeatedProof] = field(default_factory=dict)
    ending: Ending = Ending.COMPLETE
    unreached: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """True if every artifact for this machine computes, keeps its tolerance, and repeats the proof."""
        repeats = all(item.difference is None for item in self.repeated.values())
        if self.unreached:
            return False
        return repeats and not self.failed and all(item.parity_class is not ParityClass.FAIL for item in self.evidence)


def verify(
    path: str | Path,
    backend: str = AUTO,
    device: str | DeviceId | None = None,
    precision: str | None = None,
    *,
    tolerance: Tolerance | Limits | None = None,
    threads: int | None = None,
    trust_code: bool = False,
    require_signature: str | Path | None = None,
    seconds: float | TimeBudget | None = None,
    progress: Progress = lambda _what, _done, _all: None,
) -> Verification:
    """Runs every artifact of a package that can run here on the package's samples, and measures the outputs.

    If the time is over or the user interrupts it (``KeyboardInterrupt``), what was not reached is listed and does not
    pass. An interruption before the first artifact is done is raised.

    Args:
        path: A package: a folder, or an ``.mlpkg`` file.
        backend: The only backend to measure, or ``auto`` for all.
        device: The device to run on, such as ``cuda:0``; ``None`` for each backend's default device.
        precision: The only precision to measure; ``None`` for all.
        tolerance: The tolerance that every artifact must meet: some limits by name, such as ``{"cosine_min": 0.97}``,
            or all. Limits that are not stated are those from pack time.
        threads: The number of CPU threads that each runtime may use; ``None`` for one per core that this process may
            use.
        trust_code: Whether code that comes with the package may run.
        require_signature: A PEM file with the public key that the package must be signed with; ``None`` to accept any.
        seconds: The time limit for everything; ``None`` for no limit. An artifact that would exceed the time left is
            left out, judged by the last of its backend, or by the slowest if there was none, but one is measured in any
            case. A ``TimeBudget`` may have begun before.
        progress: Called with the current step, the number of artifacts done, and their total number.

    Raises:
        PackageError: If there is no package, it is damaged or unsafe, or it carries no samples.
        BackendNotFoundError: If the requested backend is not registered.
        NoUsableBackendError: If no artifact is for this machine; it lists the reason for each.
        ConfigError: If the device, the precision or the time is not valid, or the tolerance names an unknown limit.
    """
    budget = TimeBudget.of(seconds)
    requirements = Requirements.parse(backend, precision, trust_code=trust_code, to_measure=True, device=device)
    context = PackageContext(open_package(path, require_signature=require_signature))
    name, samples = context.package.metadata.name, context.samples
    if samples is None:
        raise PackageError(f"{name!r} carries no samples to be measured with", hint="pack the model again")
    repetition = _Repetition(context, samples, context.package.proof_cases() or (), tolerance, progress)
    wanted, options = DeviceId.of(device), LoadOptions(name, threads=threads, trust_code=trust_code)
    waiting = []
    repetition.not_run.update(context.package.unknown)
    for candidate in select(context.package, requirements):
        if candidate.rejected is not None:
            repetition.not_run[candidate.artifact.name] = candidate.rejected
        else:
            waiting.append(candidate.artifact)
    ending = repetition.run_all(waiting, wanted, options, budget)
    if not repetition.has_measured:
        raise NoUsableBackendError(name, repetition.not_run, hint="'inferox doctor' says what each backend lacks")
    parity = context.package.parity
    return Verification(
        name,
        tuple(repetition.evidence),
        repetition.not_run,
        repetition.failed,
        None if parity is None else parity.from_input,
        repetition.repeated,
        ending,
        tuple(repetition.unreached),
    )


@dataclass
class _Repetition:
    """Measures artifacts one by one, and collects the results."""

    context: PackageContext
    samples: Samples
    cases: tuple[ProofCase, ...]
    tolerance: Tolerance | Limits | None
    progress: Progress
    evidence: list[ArtifactEvidence] = field(default_factory=list)
    not_run: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    repeated: dict[str, RepeatedProof] = field(default_factory=dict)
    unreached: list[str] = field(default_factory=list)

    @property
    def has_measured(self) -> bool:
        """True if anything was measured of any artifact for this machine."""
        return bool(self.evidence or self.failed)

    def run_all(
        self, artifacts: Sequence[Artifact], device: DeviceId | None, options: LoadOptions, budget: TimeBudget
    ) -> Ending:
        """Runs one artifact after the other within a time budget; those for which there is no time are unreached."""
        last_s: dict[str, float] = {}  # by backend: its first artifact also imports the runtime, which may take longest
        for index, artifact in enumerate(artifacts):
            began_s = budget.used_s
            expected_s = last_s.get(artifact.backend, max(last_s.values(), default=0.0))
            if self.has_measured and not budget.fits(expected_s):
                self.unreached.append(artifact.name)
                continue
            try:
                self.progress(f"measuring {artifact.name}", index, len(artifacts))
                self.run(artifact, device, options)
            except KeyboardInterrupt:
                if not self.has_measured:
                    raise
                self.unreached += [item.name for item in artifacts[index:]]
                return Ending.INTERRUPTED
            last_s[artifact.backend] = budget.used_s - began_s
        return Ending.OUT_OF_TIME if self.unreached else Ending.COMPLETE

    def run(self, artifact: Artifact, device: DeviceId | None, options: LoadOptions) -> None:
        """Loads an artifact, measures it on the samples, and repeats the proof with it."""
        try:
            loaded = self.context.load(artifact, device, options)
        except (BackendUnavailableError, UnsupportedDTypeError) as error:
            self.not_run[artifact.name] = str(error)
            return
        except InferoxError as error:
            self.failed[artifact.name] = str(error)
            return
        try:
            with loaded as model:
                found = measure_again(self.context, artifact, model, self.samples, self.tolerance)
                self.evidence.append(found)
                if self.cases:
                    task = self.context.task(model.signature)
                    self.repeated[artifact.name] = repeat_proof(task, model, self.cases, found.tolerance)
        except InferoxError as error:
            self.failed[artifact.name] = str(error)
            return
        if reason := why_batches_fail(found, self.context.evidence.get(artifact.name)):
            self.failed[artifact.name] = reason
