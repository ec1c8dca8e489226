"""The load plan: the order in which artifacts are tried, and the reasons."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from inferox.core import Artifact
from inferox.loading.profile import Profile
from inferox.loading.profile_store import FoundProfile
from inferox.loading.selection import Requirements, select, weak_artifacts
from inferox.package import Package


@dataclass(frozen=True)
class Plan:
    """The artifacts of a package in the order in which they are tried, and the reasons why others are not.

    Attributes:
        order: The artifacts that may be tried, the best first.
        rejected: The reason why each of the others is not tried, by name.
        untrusted: The names of those that lack only the operator's trust.
        profile: The measurements that decide; ``None`` if nothing was measured.
        ignored: Why other measurements do not count; ``None`` if there are none.
        ratios: For each measured artifact, by name, its time as a multiple of the fastest one's, shape by shape.
        weak: The names of those whose agreement rests on weak evidence.
    """

    order: tuple[Artifact, ...]
    rejected: Mapping[str, str] = field(default_factory=dict)
    untrusted: frozenset[str] = frozenset()
    profile: Profile | None = None
    ignored: str | None = None
    ratios: Mapping[str, Sequence[float]] = field(default_factory=dict)
    weak: frozenset[str] = frozenset()

    def why_taken(self, artifact: Artifact) -> str:
        """Returns the reason why an artifact was taken, as a phrase.

        Args:
            artifact: The artifact.
        """
        if self.profile is None:
            return "the first in the default order, as nothing was measured (inferox tune)"
        if artifact.name not in self.ratios and self.profile.cells.get(artifact.name):
            return "its evidence is weak, but nothing that was measured with stronger evidence can be loaded"
        if artifact.name not in self.ratios:
            return "it was not measured, and nothing that was measured can be loaded"
        here = self.profile.classes.get(artifact.name)
        agrees = "" if here is None else f", and its parity here is {here.value}"
        return f"measured fastest here over calls of all sizes{agrees}"

    def why_not(self, artifact: Artifact, taken: Artifact) -> str:
        """Returns the reason why an artifact that could have been loaded was not.

        Args:
            artifact: The artifact.
            taken: The artifact that was loaded.
        """
        if artifact.name in self.weak:
            return f"the evidence that it agrees with the reference, which {taken.backend} computed, is weak"
        if self.profile is None and artifact.precision is not taken.precision:
            faster = f"'inferox tune' measures whether {artifact.precision.value} is faster here"
            return f"{taken.precision.value} comes first, as nothing was measured; {faster}"
        if self.profile is None:
            return f"it comes after {taken.name} in the default order, as nothing was measured"
        if artifact.name not in self.ratios:
            return "it was not measured when the package was tuned"
        return "it was measured slower over calls of all sizes"


def make_plan(package: Package, requirements: Requirements, found: FoundProfile) -> Plan:
    """Plans which artifacts of a package are tried. Loads nothing, and imports no runtime.

    Beside what it is given, the plan depends on the machine: on the files of NVIDIA's driver, on which backends are
    registered, and on what these say of each artifact: whether they read it, what code it runs, and what the processor
    lacks for it (``Backend.can_load``, ``extra_code`` and ``lacks``).

    Args:
        package: The package.
        requirements: The operator's requirements.
        found: The profile measured on this machine.
    """
    here = {} if found.profile is None else found.profile.classes
    candidates = select(package, requirements, here)
    allowed = [candidate.artifact for candidate in candidates if candidate.rejected is None]
    weak = weak_artifacts(package.parity.artifacts if package.parity else ())
    return replace(
        rank(allowed, found.profile, weak=weak),
        rejected={
            **{item.artifact.name: item.rejected for item in candidates if item.rejected is not None},
            **package.unknown,
        },
        untrusted=frozenset(item.artifact.name for item in candidates if item.needs_trust),
        ignored=found.ignored,
    )


def rank(artifacts: Sequence[Artifact], profile: Profile | None, *, weak: Collection[str] = ()) -> Plan:
    """Decides the order in which artifacts are tried.

    Measured artifacts come first, ordered by their speed over all shapes.

    Args:
        artifacts: The artifacts that may be loaded, in the order that applies without measurements.
        profile: The measurements that apply here; ``None`` if there are none.
        weak: The names of those whose agreement rests on weak evidence. They come last, however fast they are, as
            long as there are others.
    """
    firm = [item for item in artifacts if item.name not in weak] or artifacts
    measured = [] if profile is None else [item for item in firm if profile.cells.get(item.name)]
    if profile is None or not measured:
        return Plan(tuple(artifacts), weak=frozenset(weak))
    ratios = profile.ratios(item.name for item in measured)
    measured.sort(key=lambda item: sum(ratios[item.name]))
    unmeasured = [item for item in artifacts if item.name not in ratios]
    order = (*measured, *unmeasured)
    return Plan(order, profile=profile, ratios=ratios, weak=frozenset(weak))
