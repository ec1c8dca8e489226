"""Which artifact computes which batch: the one that was measured fastest for its shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from inferox.batching import Choice
from inferox.core import Artifact, ModelMetadata, resolve_threads
from inferox.engine.profile import Profile

_WORTH_A_SECOND = 1.15
"""How much faster a second artifact must be for some shape to be worth its memory."""

_MOST_LOADED = 2


@dataclass(frozen=True)
class Route:
    """The artifacts of a package in the order in which they are loaded, and who computes what.

    Attributes:
        order: The artifacts, the best first.
        profile: The measurements that decide; ``None`` where nothing was measured.
        wins: For how many of the shapes that were measured each of them is the fastest.
    """

    order: tuple[Artifact, ...]
    profile: Profile | None = None
    wins: dict[str, int] = field(default_factory=dict)

    def is_worth(self, artifact: Artifact, loaded: Sequence[str]) -> bool:
        """Whether an artifact is to be loaded beside others: one is needed, a second must be worth its memory.

        Args:
            artifact: The artifact.
            loaded: The names of those that are loaded.
        """
        if not loaded:
            return True
        if self.profile is None or len(loaded) >= _MOST_LOADED:
            return False
        return _gain(self.profile, loaded[0], artifact.name) >= _WORTH_A_SECOND

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

    def why_taken(self, artifact: Artifact) -> str:
        """Why an artifact was taken, as a phrase."""
        if self.profile is None:
            return "the first in the order that holds where nothing was measured (inferox tune)"
        shapes = sum(self.wins.values())
        return f"measured fastest here for {self.wins.get(artifact.name, 0)} of {shapes} shapes of batches"

    def why_not(self, artifact: Artifact, taken: Sequence[ModelMetadata]) -> str:
        """Why an artifact that could have been loaded was not."""
        if self.profile is None:
            return f"it comes after {taken[0].backend} in the order that holds where nothing was measured"
        if artifact.name not in self.profile.cells:
            return "it was not measured when the package was tuned"
        return "it was measured slower, or faster by too little to be worth its memory"


def plan_routes(artifacts: Sequence[Artifact], profile: Profile | None, threads: int | None) -> Route:
    """Decides the order in which artifacts are loaded.

    Args:
        artifacts: The artifacts that may be loaded, in the order that holds where nothing was measured.
        profile: The measurements of this machine; ``None`` where there are none.
        threads: The thread budget; measurements with another one say nothing about it.
    """
    measured = [] if profile is None else [item for item in artifacts if profile.cells.get(item.name)]
    if profile is None or not measured or profile.threads != resolve_threads(threads):
        return Route(tuple(artifacts))
    shapes = sorted({(cell.rows, cell.length) for item in measured for cell in profile.cells[item.name]})
    times = {item.name: [profile.seconds(item.name, *shape) for shape in shapes] for item in measured}
    wins = Counter(min(times, key=lambda name: times[name][index]) for index in range(len(shapes)))
    # Every shape counts alike: a total time would be that of the largest.
    first = min(measured, key=lambda item: sum(_shares(times, item.name)))
    rest = [item for item in measured if item is not first]
    rest.sort(key=lambda item: -_gain(profile, first.name, item.name))
    unmeasured = [item for item in artifacts if item not in measured]
    return Route((first, *rest, *unmeasured), profile, dict(wins))


def _gain(profile: Profile, first: str, second: str) -> float:
    """How much faster the second is than the first for the shape that suits it best; 0 where it was not measured."""
    shapes = {(cell.rows, cell.length) for name in (first, second) for cell in profile.cells.get(name, ())}
    return max((profile.seconds(first, *shape) / profile.seconds(second, *shape) for shape in shapes), default=0)


def _shares(times: dict[str, list[float]], name: str) -> list[float]:
    """For each shape, the time of an artifact as a multiple of the fastest's."""
    return [mine / min(column) for mine, column in zip(times[name], zip(*times.values(), strict=True), strict=True)]
