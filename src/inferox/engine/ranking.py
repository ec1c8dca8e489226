"""The order in which artifacts are tried, and the reasons: what was measured fastest here comes first."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from inferox.core import Artifact
from inferox.engine.profile import Profile


@dataclass(frozen=True)
class Ranking:
    """The artifacts of a package in the order in which they are tried.

    Attributes:
        order: The artifacts, the best first.
        profile: The measurements that decide; ``None`` where nothing was measured.
        ratios: For each artifact that was measured, by name, its time as a multiple of the fastest's, shape by shape.
        weak: The names of those whose agreement is shown by weak evidence.
    """

    order: tuple[Artifact, ...]
    profile: Profile | None = None
    ratios: Mapping[str, Sequence[float]] = field(default_factory=dict)
    weak: frozenset[str] = frozenset()

    def why_taken(self, artifact: Artifact) -> str:
        """The reason why an artifact was taken, as a phrase.

        Args:
            artifact: The artifact.
        """
        if self.profile is None:
            return "the first in the order that holds where nothing was measured (inferox tune)"
        if artifact.name not in self.ratios:
            return "it was not measured, and nothing that was measured can be loaded"
        return "measured fastest here over all shapes of batches"

    def why_not(self, artifact: Artifact, taken: Artifact) -> str:
        """The reason why an artifact that could have been loaded was not.

        Args:
            artifact: The artifact.
            taken: The one that was.
        """
        if artifact.name in self.weak:
            return f"the evidence that it agrees with the reference, which {taken.backend} computed, is weak"
        if self.profile is None:
            return f"it comes after {taken.backend} in the order that holds where nothing was measured"
        if artifact.name not in self.ratios:
            return "it was not measured when the package was tuned"
        return "it was measured slower over all shapes of batches"


def rank(artifacts: Sequence[Artifact], profile: Profile | None, *, weak: Collection[str] = ()) -> Ranking:
    """Decides the order in which artifacts are tried.

    Those that were measured come first, the one that is fastest over all shapes before the others. Every shape counts
    alike: a total time would be that of the largest.

    Args:
        artifacts: The artifacts that may be loaded, in the order that holds where nothing was measured.
        profile: The measurements that hold here; ``None`` where there are none.
        weak: The names of those whose agreement is shown by weak evidence. They come last, however fast they are, as
            long as there are others.
    """
    firm = [item for item in artifacts if item.name not in weak] or artifacts
    measured = [] if profile is None else [item for item in firm if profile.cells.get(item.name)]
    if profile is None or not measured:
        return Ranking(tuple(artifacts), weak=frozenset(weak))
    shapes = sorted({(cell.rows, cell.length) for item in measured for cell in profile.cells[item.name]})
    times = {item.name: [profile.seconds(item.name, *shape) for shape in shapes] for item in measured}
    best = [min(column) for column in zip(*times.values(), strict=True)]
    ratios = {name: [mine / least for mine, least in zip(row, best, strict=True)] for name, row in times.items()}
    measured.sort(key=lambda item: sum(ratios[item.name]))
    unmeasured = [item for item in artifacts if item.name not in ratios]
    return Ranking((*measured, *unmeasured), profile, ratios, frozenset(weak))
