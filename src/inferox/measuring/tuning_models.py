"""The models of a tuning: the artifacts to load, their order, and their share of the time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

from inferox.core import InferoxError, Precision
from inferox.loading.loader import Loader
from inferox.loading.planned_load import START_ORDER, START_S
from inferox.loading.selection import Candidate, Requirements, select
from inferox.loading.task_model import TaskModel
from inferox.measuring.agreement import class_here
from inferox.measuring.time_budget import TimeBudget
from inferox.parity import ParityClass

Progress = Callable[[str, int, int], None]
"""A callback that takes the current step, the number of measurements done, and their total number."""

_LOADING_SHARE = 0.7
"""The share of the time that loading may take; the rest is for measuring what has been loaded."""


def open_models(
    loader: Loader,
    requirements: Requirements,
    classes: dict[str, ParityClass],
    not_run: dict[str, str],
    *,
    progress: Progress,
    budget: TimeBudget,
) -> Iterator[tuple[str, TaskModel]]:
    """Opens every artifact that can be loaded here and agrees, as far as the time allows.

    fp32 is the same everywhere, so one sample shows that it works. In lower precisions, processors round in different
    places, so the class that an artifact reaches here is measured and recorded as well.

    Args:
        loader: Loads the artifacts.
        requirements: The requirements for artifacts.
        classes: Receives the parity class that each artifact in a lower precision reaches here, by its name.
        not_run: Receives the reason for each artifact that is not opened, by its name.
        progress: Called with what is loaded; see ``Progress``.
        budget: The time budget.

    Yields:
        The name of an artifact, and its model, which the caller must close.
    """
    samples, estimates, opened = loader.context.samples, LoadEstimates(), 0
    not_run.update(loader.context.package.unknown)
    for candidate in order_loads(select(loader.context.package, requirements)):
        artifact = candidate.artifact
        if candidate.rejected is not None:
            not_run[artifact.name] = candidate.rejected
            continue
        if opened and (reason := _why_too_late(budget, estimates.expect_s(artifact.backend))):
            not_run[artifact.name] = reason
            continue
        progress(f"loading {artifact.name}", 0, 1)
        began_s = perf_counter()
        try:
            model = loader.open_alone(artifact)
        except InferoxError as error:
            not_run[artifact.name] = str(error)
            continue
        estimates.note(artifact.backend, perf_counter() - began_s)
        try:
            if samples is not None and artifact.precision is not Precision.FP32:
                progress(f"comparing {artifact.name}", 0, 1)
                classes[artifact.name] = class_here(loader.context, artifact, model.model, samples)
        except InferoxError as error:
            model.close()
            not_run[artifact.name] = str(error)
            continue
        opened += 1
        yield artifact.name, model


def order_loads(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Orders the loading of artifacts; if the time is short, the last are given up first.

    The runtime that takes by far the longest to start comes last; among the others, one artifact of each backend and
    precision comes before their other layouts.

    Args:
        candidates: The artifacts, the best first.
    """
    seen: set[tuple[str, Precision]] = set()

    def rank(candidate: Candidate) -> tuple[bool, bool]:
        kind = candidate.artifact.backend, candidate.artifact.precision
        is_other = kind in seen
        if candidate.rejected is None:
            seen.add(kind)
        return candidate.artifact.backend == START_ORDER[-1], is_other

    return sorted(candidates, key=rank)


class LoadEstimates:
    """Estimates of loading times, from those measured so far.

    A runtime that was not loaded yet is expected to be slower than usual by the smallest factor of the others, as on a
    busy machine.
    """

    def __init__(self) -> None:
        self._taken_s: dict[str, float] = {}
        self._factors: list[float] = []

    def note(self, backend: str, seconds: float) -> None:
        """Records the loading time of an artifact.

        Args:
            backend: Its backend.
            seconds: The time.
        """
        if backend in START_S and backend not in self._taken_s:
            self._factors.append(seconds / START_S[backend])
        self._taken_s[backend] = seconds

    def expect_s(self, backend: str) -> float:
        """Estimates the seconds that loading an artifact takes.

        Args:
            backend: Its backend.
        """
        if backend in self._taken_s:
            return self._taken_s[backend]
        return START_S.get(backend, 0.0) * min(self._factors, default=1.0)


def _why_too_late(budget: TimeBudget, expected_s: float) -> str | None:
    """Explains why another artifact cannot be loaded within loading's share of the time; ``None`` if it can."""
    if math.isinf(budget.total_s):
        return None
    left_s = budget.left_s - budget.total_s * (1 - _LOADING_SHARE)
    if left_s < 0:
        return f"loading the others took {budget.used_s:.0f} of the {budget.total_s:g} s; allow more seconds"
    if left_s < expected_s:
        return f"loading it would take about {expected_s:.0f} of the {budget.total_s:g} s, too many; allow more seconds"
    return None
