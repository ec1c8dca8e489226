"""The measurement, on this machine, of an artifact's agreement with the reference outputs from pack time."""

from __future__ import annotations

from dataclasses import replace

from inferox.backends.registry import get_backend
from inferox.core import Artifact, ExecutionError, Model
from inferox.loading.context import PackageContext
from inferox.parity import ArtifactEvidence, Limits, ParityClass, Samples, Tolerance, measure_model


def measure_again(
    context: PackageContext,
    artifact: Artifact,
    model: Model,
    samples: Samples,
    tolerance: Tolerance | Limits | None = None,
) -> ArtifactEvidence:
    """Measures an artifact on the stored samples, in batches and alone.

    Args:
        context: Its package.
        artifact: The artifact.
        model: The loaded artifact, with the padded signature of its package.
        samples: The stored calls, with the reference's outputs.
        tolerance: The tolerance that it must meet; limits that are not stated are those from pack time.

    Raises:
        BackendError: If the runtime fails, or the artifact does not take a sample.
        ConfigError: If the tolerance names an unknown limit.
    """
    known = context.evidence.get(artifact.name)
    parity_target = context.task(model.signature).parity_target(model.signature)
    required = known.tolerance.with_limits(tolerance) if known else tolerance
    found = measure_model(
        model,
        artifact,
        samples,
        parity_target,
        required,
        beside_others=True,
        distributions=get_backend(artifact.backend).distributions,
    )
    found = replace(found, is_reference=known is not None and known.is_reference)
    if found.batch is None or known is None or known.batch is None:
        return found
    # The model itself is not available here to check whether it depends on the batch as well; packing found that out.
    return replace(found, batch=replace(found.batch, inherent=known.batch.inherent))


def why_batches_fail(found: ArtifactEvidence, known: ArtifactEvidence | None) -> str | None:
    """Explains why an artifact that was batch invariant when packed no longer is; ``None`` if it still is.

    Args:
        found: The evidence measured now.
        known: The evidence from pack time; ``None`` if there is none.
    """
    if found.batch is None or found.batch.holds or known is None or known.batch is None or not known.batch.holds:
        return None
    return f"it {found.batch}, but was batch invariant when it was packed"


def class_here(context: PackageContext, artifact: Artifact, model: Model, samples: Samples) -> ParityClass:
    """Measures the parity class that an artifact reaches on this machine.

    Args:
        context: Its package.
        artifact: The artifact.
        model: The loaded artifact, with the padded signature of its package.
        samples: The stored calls, with the reference's outputs.

    Raises:
        ExecutionError: If it misses the tolerance from pack time, or its rows depend on the batch only here.
        BackendError: If the runtime fails.
    """
    found, known = measure_again(context, artifact, model, samples), context.evidence.get(artifact.name)
    if found.parity_class is ParityClass.FAIL:
        raise ExecutionError(f"it misses its tolerance on this machine: {found.agreement}")
    if artifact.name in context.unmeasured and found.batch is not None and not found.batch.holds:
        raise ExecutionError(f"it {found.batch}")
    if reason := why_batches_fail(found, known):
        raise ExecutionError(reason)
    return found.parity_class
