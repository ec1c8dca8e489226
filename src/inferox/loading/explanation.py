"""The explanation of a package's choice of runtime, as facts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from inferox.backends.registry import get_backend, probe_backend
from inferox.core import Artifact, DeviceId, ErrorBorder, InferoxError, LoadError, first_line
from inferox.loading.plan import make_plan
from inferox.loading.profile_store import FoundProfile, find_profile
from inferox.loading.selection import AUTO, Requirements, find_extra_code
from inferox.machine import resolve_threads
from inferox.package import Store, open_package
from inferox.parity import ParityClass


@dataclass(frozen=True)
class Verdict:
    """The verdict on one artifact.

    Attributes:
        artifact: Its name.
        parity_class: Its parity class from pack time; ``None`` if that was not recorded.
        taken: Whether ``load`` tries it first, among those whose backends can run here.
        reason: Why it is taken, or why not.
    """

    artifact: str
    parity_class: ParityClass | None
    taken: bool
    reason: str


@dataclass(frozen=True)
class Explanation:
    """The reasons for the choice of a package's artifact.

    Attributes:
        name: The package's name.
        verdicts: Every artifact, in the order in which they were considered.
        found: The profile measured on this machine.
    """

    name: str
    verdicts: tuple[Verdict, ...]
    found: FoundProfile


def explain(
    path: str | Path,
    backend: str = AUTO,
    device: str | DeviceId | None = None,
    precision: str | None = None,
    *,
    quality: str | None = None,
    threads: int | None = None,
    trust_code: bool = False,
) -> Explanation:
    """Explains for every artifact why ``load`` would take or reject it.

    No artifact is loaded: the plan tells what is tried first, and each runtime whether it can run here. Whether an
    artifact fails while it is loaded, so that the next is tried, only ``load`` can tell.

    The arguments and errors are those of ``load``, except for ``NoUsableBackendError`` and ``UntrustedCodeError``: if
    nothing can be loaded, no verdict is ``taken``.
    """
    requirements = Requirements.parse(backend, precision, quality, trust_code=trust_code, device=device)
    wanted = DeviceId.of(device)
    store, budget = Store(), resolve_threads(threads)
    package = open_package(path, store=store)
    found = find_profile(package.digest, store, budget, wanted)
    plan = make_plan(package, requirements, found)
    reasons, unavailable = dict(plan.rejected), cache(partial(_why_unavailable, device=wanted))
    taken: Artifact | None = None
    for artifact in plan.order:
        if reason := unavailable(artifact.backend):
            reasons[artifact.name] = reason
        elif taken is not None:
            reasons[artifact.name] = plan.why_not(artifact, taken)
        else:
            taken, code = artifact, find_extra_code(artifact)
            reasons[artifact.name] = plan.why_taken(artifact) + (f"; loading it runs {code}" if code else "")
    parity = {item.artifact: item.parity_class for item in package.parity.artifacts} if package.parity else {}
    names = [artifact.name for artifact in plan.order] + list(plan.rejected)
    verdicts = [
        Verdict(name, parity.get(name), taken is not None and name == taken.name, reasons[name]) for name in names
    ]
    return Explanation(package.metadata.name, tuple(verdicts), found)


def _why_unavailable(backend: str, device: DeviceId | None) -> str | None:
    """Explains why a backend cannot run here, or not on a device; ``None`` if it can."""
    availability = probe_backend(backend)
    if not availability.available:
        return f"the backend {backend} cannot run here: {availability.reason}"
    if device is None:
        return None
    try:
        with ErrorBorder(f"the backend {backend}")("listing its devices", default=LoadError):
            is_there = any(found.id == device for found in get_backend(backend).devices())
    except InferoxError as error:
        return first_line(error)
    return None if is_there else f"the backend {backend} has no device {device} here"
