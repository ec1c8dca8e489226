"""A package with everything needed to run and measure its artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from inferox.backends.registry import get_backend
from inferox.core import Artifact, DeviceId, ErrorBorder, LoadError, LoadOptions, Model, Signature, check_model
from inferox.package import Package, embedding_space
from inferox.parity import ArtifactEvidence, Samples
from inferox.tasks import Task, choose_task, open_task


def artifact_border(artifact: Artifact, action: str) -> AbstractContextManager[None]:
    """Translates whatever an artifact's backend raises, so that every failure is a reason to try the next artifact.

    Args:
        artifact: The artifact.
        action: What the backend does, for the error.
    """
    return ErrorBorder(f"the backend {artifact.backend}")(action, default=LoadError)


@dataclass(frozen=True)
class PackageContext:
    """A package with everything needed to run and measure its artifacts.

    Attributes:
        package: The package.
        wanted_task: The task that overrides the package's own; ``None`` for that.
    """

    package: Package
    wanted_task: str | None = None
    _tasks: dict[Signature, Task] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def samples(self) -> Samples | None:
        """The sample calls; ``None`` if the package has none."""
        return self.package.samples()

    @cached_property
    def evidence(self) -> Mapping[str, ArtifactEvidence]:
        """The evidence from pack time, by the artifact's name."""
        parity = self.package.parity
        return {item.artifact: item for item in parity.artifacts} if parity else {}

    @property
    def unmeasured(self) -> Mapping[str, str]:
        """The reasons why artifacts could not be measured at pack time, by the artifact's name."""
        return self.package.parity.unmeasured if self.package.parity else {}

    def load(self, artifact: Artifact, device: DeviceId | None, options: LoadOptions) -> Model:
        """Loads an artifact, with the measured batch invariance in its metadata.

        Args:
            artifact: The artifact.
            device: The device to load on; ``None`` for the backend's default device.
            options: The options for loading.

        Raises:
            InferoxError: If it cannot be loaded, whatever its backend raises or returns.
        """
        known = self.evidence.get(artifact.name)
        invariant = None if known is None or known.batch is None else known.batch.holds
        options = replace(options, batch_invariant=invariant)
        with artifact_border(artifact, f"loading {artifact.name}"):
            return check_model(get_backend(artifact.backend).load(artifact, device, options), artifact)

    def task(self, signature: Signature) -> Task:
        """Opens the task; it is cached per signature, as opening its tokenizer takes time.

        Args:
            signature: The padded signature.
        """
        if signature not in self._tasks:
            self._tasks[signature] = self._open_task(signature)
        return self._tasks[signature]

    def embedding_space(self, artifact: Artifact) -> str:
        """Returns the id of the embedding space of an artifact's answers.

        Args:
            artifact: The artifact.
        """
        return embedding_space(self.package, artifact, *self._settings(artifact.padded_signature))

    def _open_task(self, signature: Signature) -> Task:
        name, options = self._settings(signature)
        return open_task(name, options, self.package.files_root, signature)

    def _settings(self, signature: Signature) -> tuple[str, Mapping[str, Any]]:
        """Returns the name of the task and its options."""
        package, wanted = self.package, self.wanted_task
        if package.info.task and wanted in {None, package.info.task}:
            return package.info.task, package.info.task_options
        choice = choose_task(package.files_root, package.config, signature, task=wanted)
        return choice.name, choice.options
