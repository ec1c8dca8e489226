"""The facts about a loaded model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferox.core.artifact import Artifact, Layout, Precision, name_artifact
from inferox.core.device import DeviceId


@dataclass(frozen=True)
class ModelMetadata:
    """The facts about a loaded model, and why it was chosen.

    Attributes:
        backend: The backend that runs it.
        format: The format of the artifact.
        precision: The number format in which it computes.
        layout: How it takes rows of different lengths.
        device: The device that it runs on.
        rejected: The reason for each artifact that was tried or considered first and not taken.
        batch_invariant: Whether a row has the same outputs in any batch as alone, except for rounding; ``None`` if that
            was not measured. If ``False``, rows are computed one by one, and must not share a batch.
        embedding_space: The id of the embedding space of its answers: vectors of the same space may share an index.
            ``None`` for an artifact that is loaded outside a package.
        parity_class: Its agreement with the original when it was packed; ``None`` if that is not known.
    """

    backend: str
    format: str
    precision: Precision
    layout: Layout
    device: DeviceId
    rejected: Mapping[str, str] = field(default_factory=dict)
    batch_invariant: bool | None = None
    embedding_space: str | None = None
    parity_class: str | None = None

    @property
    def artifact(self) -> str:
        """The name of the artifact, as ``Artifact.name`` gives it."""
        return name_artifact(self.backend, self.format, self.precision, self.layout)

    @classmethod
    def of(cls, artifact: Artifact, device: DeviceId) -> ModelMetadata:
        """Returns the metadata of an artifact that is loaded on a device."""
        return cls(artifact.backend, artifact.format, artifact.precision, artifact.layout, device)
