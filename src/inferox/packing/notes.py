"""Notes: facts that whoever packs a model should know besides the evidence, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from inferox.core import Precision, SourceModel, can_be_packed, counted
from inferox.packing.artifacts import Calls, Exported, finds_last_token
from inferox.parity import ArtifactEvidence, ParityClass
from inferox.tasks import TaskChoice

_FEW_TEXTS = 64
"""The number of texts below which calibration counts as weak: ranges learned from fewer miss many that occur in use.
With 2 texts, the smallest cosine of a sentence encoder was 0.87; with a few hundred, 0.99."""


def list_notes(
    source: SourceModel, choice: TaskChoice, exported: Exported, calls: Calls, *, asked: bool, calibrated: bool
) -> Iterator[str]:
    """Lists the facts that whoever packs a model should know about the package.

    Args:
        source: The model.
        choice: The task for which it was packed.
        exported: The artifacts and their evidence.
        calls: The calls on which int8 or the ranges of vectors were calibrated.
        asked: Whether the task was requested by name.
        calibrated: Whether those calls were given, rather than made up.
    """
    if choice.name == "raw" and not asked and source.facts.kind == "huggingface" and can_be_packed(source.signature):
        yield "no tokenizer was found beside the model, so the package takes token ids (task raw), not texts"
    if finds_last_token(source):
        yield (
            f"there is no packed layout: {source.facts.architecture} looks for the last token of each row by its "
            "padding, and so needs padded rows"
        )
    texts = sum(len(next(iter(call.values()))) for call in calls)
    if calibrated and texts < _FEW_TEXTS:
        number = counted(texts, "text")
        yield f"the calibration had only {number}: give {_FEW_TEXTS} or more different texts"
    for reason, names in _weak_artifacts(exported.evidence).items():
        yield (
            f"the evidence for {', '.join(names)} is weak: {reason}; give real inputs with --samples, or treat the "
            "agreement as unproven"
        )
    for item in exported.evidence:
        if item.batch is not None and not item.batch.holds:
            # Items of the task raw are whole calls.
            effect = "each call is computed as it is" if choice.name == "raw" else "its rows are computed one by one"
            yield f"{item.artifact} {item.batch}: {effect}"
    for name, reason in exported.free.left_out.items():
        yield f"{name}, which would take no extra space, is left out: {reason}"
    for artifact, reason in exported.free.unmeasured:
        yield f"{artifact.name} is in the package but not measured: {reason}; 'inferox tune' measures it where it runs"
    if {item.parity_class for item in exported.evidence} == {ParityClass.QUANTIZED}:
        found = {artifact.precision for artifact in exported.artifacts}
        precisions = " or ".join(f"--precision {item.value}" for item in Precision if item in found)
        yield f"nothing in it meets the default quality: run it with --quality quantized or {precisions}"


def _weak_artifacts(evidence: Sequence[ArtifactEvidence]) -> dict[str, list[str]]:
    """Groups the artifacts with weak evidence by the reason. The one that computed the reference needs no evidence."""
    found: dict[str, list[str]] = {}
    for item in evidence:
        if item.weak is not None and not item.is_reference:
            found.setdefault(item.weak, []).append(item.artifact)
    return found
