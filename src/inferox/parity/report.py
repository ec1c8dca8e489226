"""The evidence of a whole package, as ``parity.json`` stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inferox.core.fields import Fields
from inferox.parity.evidence import PARITY_FILE, ArtifactEvidence
from inferox.parity.proof import InputProof


@dataclass(frozen=True)
class ParityReport:
    """The evidence of a package.

    Attributes:
        artifacts: The evidence of each artifact.
        from_input: The extent to which answers are proven from text or image; ``None`` if that was not recorded.
        unmeasured: The reason for each artifact that could not be measured at pack time, by name.
    """

    artifacts: tuple[ArtifactEvidence, ...]
    from_input: InputProof | None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns the report as ``parity.json`` stores it."""
        proof = {} if self.from_input is None else {"from_input": self.from_input.to_json()}
        unmeasured = {"unmeasured": dict(self.unmeasured)} if self.unmeasured else {}
        return {"artifacts": [item.to_json() for item in self.artifacts], **unmeasured, **proof}

    @classmethod
    def from_json(cls, data: Any) -> ParityReport:
        """Reads a report.

        Raises:
            ManifestError: If a field is missing or malformed.
        """
        fields = Fields(data, PARITY_FILE)
        return cls(
            fields.map("artifacts", ArtifactEvidence.from_json),
            None if data.get("from_input") is None else InputProof.from_json(data["from_input"]),
            fields.text_by_name("unmeasured") if "unmeasured" in data else {},
        )
