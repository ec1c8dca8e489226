"""Which artifact computes which batch: the one that was measured fastest for its shape."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from inferox.batching import Choice
from inferox.core import Artifact
from inferox.engine.profile import Profile
from inferox.package import ParityClass

_FASTER = 1.15
"""How many times as fast as the first a second artifact must be for some shape to be worth its memory."""

_LOWER = 0.95
"""To what share a second artifact must lower the mean time over all shapes: that of one shape may be mismeasured."""

_MOST_LOADED = 2


@dataclass(frozen=True)
class Route:
    """The artifacts of a package in the order in which they are loaded, and who computes what.

    Attributes:
        order: The artifacts, the best first.
        profile: The measurements that decide; ``None`` where nothing was measured.
        ratios: For each artifact that was measured, by name, its time as a multiple of the fastest's, shape by shape.
        parity: How well each agrees with the original, by name, where that is known.
        weak: The names of those whose agreement is shown by weak evidence.
    """

    order: tuple[Artifact, ...]
    profile: Profile | None = None
    ratios: Mapping[str, Sequence[float]] = field(default_factory=dict)
    parity: Mapping[str, ParityClass] = field(default_factory=dict)
    weak: frozenset[str] = frozenset()

    def choose_next(self, left: Collection[Artifact], loaded: Sequence[Artifact]) -> Artifact | None:
        """Which artifact is to be loaded next; ``None`` where those that are loaded do.

        One is needed: the first in order. A second must compute the same, as a text's numbers would otherwise depend on
        the batch that it happens to be in, and must be worth its memory.

        Args:
            left: The artifacts that have not been tried.
            loaded: Those that are loaded.
        """
        if not loaded:
            return next((artifact for artifact in self.order if artifact in left), None)
        if len(loaded) >= _MOST_LOADED:
            return None
        first = loaded[0]
        worth = [artifact for artifact in left if self._agree(first, artifact) and self._is_worth(first, artifact)]
        return min(worth, key=lambda artifact: self._mean_ratio(first, artifact), default=None)

    def choice(self, names: Sequence[str]) -> Choice:
        """Which of the loaded artifacts computes a batch.

        Args:
            names: The loaded artifacts, in their order.
        """
        profile = self.profile
        if profile is None or len(names) == 1:
            return lambda _rows, _longest: 0
        cache: dict[tuple[int, int], int] = {}

        def choose(rows: int, longest: int) -> int:
            shape = (rows, longest)
            if shape not in cache:
                times = [profile.seconds(name, rows, longest) for name in names]
                cache[shape] = times.index(min(times))
            return cache[shape]

        return choose

    def why_taken(self, artifact: Artifact, loaded: Sequence[Artifact]) -> str:
        """Why an artifact was taken, as a phrase.

        Args:
            artifact: The artifact.
            loaded: All that are loaded, in their order.
        """
        if self.profile is None:
            return "the first in the order that holds where nothing was measured (inferox tune)"
        if artifact.name not in self.ratios:
            return "it was not measured, and nothing that was measured can be loaded"
        others = [item for item in loaded if item != artifact]
        if not others:
            return "measured fastest here over all shapes of batches"
        table = list(zip(*(self.ratios[item.name] for item in loaded), strict=True))
        wins = sum(loaded[row.index(min(row))] == artifact for row in table)
        rest = ", ".join(item.name for item in others)
        return f"measured fastest here for {wins} of {len(table)} shapes of batches; shares the work with {rest}"

    def why_not(self, artifact: Artifact, loaded: Sequence[Artifact]) -> str:
        """Why an artifact that could have been loaded was not.

        Args:
            artifact: The artifact.
            loaded: All that are loaded, in their order.
        """
        first = loaded[0]
        if artifact.name in self.weak:
            return f"the evidence that it agrees with the reference, which {first.backend} computed, is weak"
        if self.profile is None:
            return f"it comes after {first.backend} in the order that holds where nothing was measured"
        if artifact.name not in self.ratios:
            return "it was not measured when the package was tuned"
        if self._is_worth(first, artifact) and not self._agree(first, artifact):
            return f"it does not compute the same as {first.name}, which was measured faster over all shapes"
        return "it was measured slower, or faster by too little to be worth its memory"

    def _agree(self, first: Artifact, second: Artifact) -> bool:
        same_class = self.parity.get(first.name) is self.parity.get(second.name)
        return same_class and first.precision is second.precision

    def _is_worth(self, first: Artifact, second: Artifact) -> bool:
        if first.name not in self.ratios or second.name not in self.ratios:
            return False
        pairs = zip(self.ratios[first.name], self.ratios[second.name], strict=True)
        faster = any(one >= _FASTER * other for one, other in pairs)
        return faster and self._mean_ratio(first, second) <= _LOWER * self._mean_ratio(first)

    def _mean_ratio(self, *artifacts: Artifact) -> float:
        """The time of artifacts that share the work, as a multiple of the fastest's."""
        return fmean(map(min, zip(*(self.ratios[artifact.name] for artifact in artifacts), strict=True)))


def plan_routes(
    artifacts: Sequence[Artifact],
    profile: Profile | None,
    parity: Mapping[str, ParityClass] | None = None,
    *,
    weak: Collection[str] = (),
) -> Route:
    """Decides the order in which artifacts are loaded.

    Those that were measured come first, the one that is fastest over all shapes before the others. Every shape counts
    alike: a total time would be that of the largest.

    Args:
        artifacts: The artifacts that may be loaded, in the order that holds where nothing was measured.
        profile: The measurements that hold here; ``None`` where there are none.
        parity: How well each agrees with the original, by name, where that is known.
        weak: The names of those whose agreement is shown by weak evidence. They come last, however fast they are, as
            long as there are others.
    """
    firm = [item for item in artifacts if item.name not in weak] or artifacts
    measured = [] if profile is None else [item for item in firm if profile.cells.get(item.name)]
    if profile is None or not measured:
        return Route(tuple(artifacts), weak=frozenset(weak))
    shapes = sorted({(cell.rows, cell.length) for item in measured for cell in profile.cells[item.name]})
    times = {item.name: [profile.seconds(item.name, *shape) for shape in shapes] for item in measured}
    best = [min(column) for column in zip(*times.values(), strict=True)]
    ratios = {name: [mine / least for mine, least in zip(row, best, strict=True)] for name, row in times.items()}
    measured.sort(key=lambda item: sum(ratios[item.name]))
    unmeasured = [item for item in artifacts if item.name not in ratios]
    return Route((*measured, *unmeasured), profile, ratios, parity or {}, frozenset(weak))
