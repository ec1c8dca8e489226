"""The measurement of a package's artifacts over a grid of sizes of call, so that the fastest can be chosen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy.typing as npt

from inferox.backends.registry import get_backend
from inferox.batching import run_batches
from inferox.core import (
    Batch,
    DeviceId,
    InferoxError,
    LoadOptions,
    NoUsableBackendError,
    PackageError,
    can_be_packed,
    counted,
    read_padded,
)
from inferox.loading.cell import Cell
from inferox.loading.conditions import machine_name, runtime_version
from inferox.loading.context import PackageContext
from inferox.loading.loader import Loader
from inferox.loading.profile import Placement, Profile
from inferox.loading.profile_store import device_text, find_profile, profile_path, save_profile
from inferox.loading.selection import AUTO, Requirements
from inferox.loading.task_model import TaskModel
from inferox.machine import resolve_threads
from inferox.measuring.time_budget import Ending, TimeBudget
from inferox.measuring.timing import Spread, take_turns, time_calls
from inferox.measuring.tuning_models import Progress, open_models
from inferox.measuring.tuning_shapes import Shape, count_tokens, make_batch, plan_shapes
from inferox.package import Store, open_package
from inferox.parity import ParityClass
from inferox.tasks import RawTask

_ROUNDS = 5

_TURN_S = 0.02
"""The time that one artifact computes untimed, and again timed: the previous one's threads spin for a while."""


@dataclass(frozen=True)
class Tuning:
    """The result of ``tune()``.

    Attributes:
        name: The package's name.
        profile: The measurements, including earlier ones that still apply.
        path: The file of the stored profile.
        kept: For each artifact whose earlier times were kept, the rounds that they rest on: this run ended early, with
            fewer.
        is_stored: Whether the stored profile has any of these measurements.
        not_run: The reason for each artifact that could not be measured, or not for every shape.
        rounds: The fewest rounds in which any shape was measured.
        planned_rounds: The planned number of rounds.
        classes: The parity class of each measured artifact: as reached here for lower precisions, and from pack time
            for fp32. Artifacts without evidence in the package are missing.
        ending: Whether everything planned was measured.
        unreached: The shapes, as rows and length in tokens, that were not reached.
        noise: For each measured artifact, the spread of its times as a share of their median: the median over its
            shapes.
    """

    name: str
    profile: Profile
    path: Path
    kept: Mapping[str, int]
    is_stored: bool
    not_run: Mapping[str, str]
    rounds: int
    planned_rounds: int
    classes: Mapping[str, ParityClass]
    ending: Ending
    unreached: tuple[Shape, ...]
    noise: Mapping[str, float] = field(default_factory=dict)


def tune(
    path: str | Path,
    backend: str = AUTO,
    device: str | DeviceId | None = None,
    *,
    threads: int | None = None,
    trust_code: bool = False,
    seconds: float | TimeBudget | None = None,
    progress: Progress = lambda _what, _done, _all: None,
) -> Tuning:
    """Measures every artifact of a package over a grid of rows and lengths, in turns, with one thread budget.

    A shape is measured in rounds in which the artifacts take turns, forwards and backwards. In its turn, each first
    computes untimed for a while; the median of all timed calls counts. Earlier measurements under the same conditions
    are kept, except those of artifacts that are measured again. The profile is written at the end. If the time is over
    or the user interrupts it (``KeyboardInterrupt``) before everything is measured, the profile has what was measured
    until then, and what was known about the shapes that were not reached; but earlier measurements that rest on more
    rounds are not replaced. An interruption before the first figure is raised and changes nothing.

    Args:
        path: A package: a folder, or an ``.mlpkg`` file.
        backend: The only backend to measure, or ``auto`` for all.
        device: The device to run on, such as ``cuda:0``; ``None`` for each backend's default device.
        threads: The thread budget; ``None`` for one per core that this process may use.
        trust_code: Whether code that comes with the package may run.
        seconds: The time limit for everything, including loading; ``None`` for no limit. Every artifact that was loaded
            gets a figure for the smallest batch in any case. A ``TimeBudget`` may have begun before.
        progress: Called with the progress; see ``Progress``.

    Raises:
        PackageError: If there is no package, it is damaged or unsafe, or the shapes of its inputs are unknown.
        BackendNotFoundError: If the requested backend is not registered.
        NoUsableBackendError: If no artifact can be measured here; it lists the reason for each.
        ConfigError: If the device or the time is not valid, or the profile cannot be written.
    """
    time_budget = TimeBudget.of(seconds)
    requirements = Requirements.parse(backend, trust_code=trust_code, to_measure=True, device=device)
    wanted = DeviceId.of(device)
    store, budget = Store(), resolve_threads(threads)
    context = PackageContext(open_package(path, store=store))
    digest, title = context.package.digest, context.package.metadata.name
    loader = Loader(context, wanted, LoadOptions(title, threads=budget, trust_code=trust_code))
    loader.check_package()
    models: dict[str, TaskModel] = {}
    classes: dict[str, ParityClass] = {}
    not_run: dict[str, str] = {}
    try:
        # One by one, so that those already open are closed in any case.
        models.update(open_models(loader, requirements, classes, not_run, progress=progress, budget=time_budget))
        grid = _Grid(models, not_run)
        ending = grid.measure(context, progress, time_budget) if models else Ending.COMPLETE
        cells = grid.cells()
        runtimes = {models[artifact].metadata.backend for artifact in cells}
        placements = {artifact: _placement(models[artifact]) for artifact in cells}
    finally:
        for model in models.values():
            model.close()
    if not cells:
        raise NoUsableBackendError(title, not_run, hint="'inferox doctor' says what each backend lacks")
    profile = Profile(
        digest=digest,
        machine=machine_name(),
        threads=budget,
        device=device_text(wanted),
        versions={runtime: runtime_version(runtime) for runtime in sorted(runtimes)},
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        cells=cells,
        placements=placements,
        classes={name: reached for name, reached in classes.items() if name in cells},
        rounds=dict.fromkeys(cells, grid.rounds),
    )
    unreached = tuple(shape for shape in grid.shapes if shape not in grid.seconds)
    known = find_profile(digest, store, budget, wanted).profile
    kept = {} if known is None or ending is Ending.COMPLETE else _better(known, profile)
    stored = profile.only(cells.keys() - kept)
    if stored.cells:
        save_profile(_merge(stored, known, models.keys() - kept, unreached), store)
    packed = {name: context.evidence[name].parity_class for name in cells if name in context.evidence}
    return Tuning(
        title,
        _merge(profile, known, models.keys(), unreached),
        profile_path(profile, store),
        kept,
        bool(stored.cells),
        not_run,
        grid.rounds,
        _ROUNDS,
        {**packed, **{name: reached for name, reached in classes.items() if name in cells}},
        ending,
        unreached,
        grid.noise(),
    )


def _better(known: Profile, measured: Profile) -> dict[str, int]:
    """Returns the rounds of earlier measurements of the same artifacts that rest on more, by artifact."""
    return {name: known.rounds[name] for name, rounds in measured.rounds.items() if known.rounds.get(name, 0) > rounds}


def _merge(profile: Profile, known: Profile | None, models: Iterable[str], unreached: Sequence[Shape]) -> Profile:
    """Adds earlier measurements: all of artifacts that were not measured again, and those of unreached shapes.

    Args:
        profile: The measurements.
        known: The earlier ones that still apply; ``None`` if there are none.
        models: The artifacts that were measured again, even if all their calls failed.
        unreached: The shapes that were not reached.
    """
    if known is None:
        return profile
    kept = known.only(known.cells.keys() - models)
    before = {
        name: tuple(cell for cell in known.cells.get(name, ()) if (cell.rows, cell.length) in unreached)
        for name in profile.cells
    }
    return replace(
        profile,
        cells={**kept.cells, **{name: (*cells, *before[name]) for name, cells in profile.cells.items()}},
        versions={**known.versions, **profile.versions},
        placements={**kept.placements, **profile.placements},
        classes={**kept.classes, **profile.classes},
        rounds={**kept.rounds, **profile.rounds},
    )


def _placement(model: TaskModel) -> Placement:
    device = model.metadata.device
    return Placement(str(device), device == get_backend(model.metadata.backend).default_device())


@dataclass
class _Grid:
    """Measures all models over all shapes, round by round: every shape once before any is measured again.

    A shape at which a model fails is skipped for it, and so are larger ones.
    """

    models: Mapping[str, TaskModel]
    not_run: dict[str, str]
    shapes: list[Shape] = field(default_factory=list)
    seconds: dict[Shape, dict[str, list[float]]] = field(default_factory=dict)
    rounds: int = 0
    _failed: dict[str, list[Shape]] = field(default_factory=lambda: defaultdict(list))
    _round_s: dict[Shape, float] = field(default_factory=dict)
    _tokens: dict[Shape, tuple[int, int]] = field(default_factory=dict)

    def measure(self, context: PackageContext, progress: Progress, budget: TimeBudget) -> Ending:
        """Measures until everything is measured, the time is over, or the user stops it once there is a figure to keep.

        Raises:
            PackageError: If the package carries no samples.
        """
        signature, samples = context.package.info.signature, context.samples
        if samples is None:
            raise PackageError(
                f"{context.package.metadata.name!r} carries no samples to be measured with", hint="pack the model again"
            )
        self.shapes = plan_shapes(context, samples, next(iter(self.models.values())).task)
        try:
            for number in range(_ROUNDS):
                for index, shape in enumerate(self.shapes):
                    if self.seconds and not budget.fits(self._expected_s(shape)):
                        return Ending.OUT_OF_TIME
                    what = f"round {number + 1} of {_ROUNDS}: {shape[0]} x {shape[1]}"
                    progress(what, number * len(self.shapes) + index, _ROUNDS * len(self.shapes))
                    batch = make_batch(signature, samples, shape)
                    self._tokens[shape] = count_tokens(batch, shape)
                    self._measure_once(shape, batch, number)
                self.rounds += 1
        except KeyboardInterrupt:
            if not any(self.seconds.values()):
                raise
            return Ending.INTERRUPTED
        return Ending.COMPLETE

    def cells(self) -> dict[str, tuple[Cell, ...]]:
        """Returns the median time of each artifact at each shape; artifacts that always failed are left out."""
        found = {
            name: tuple(
                Cell(*shape, Spread.of(times[name]).median, *self._tokens[shape])
                for shape, times in self.seconds.items()
                if name in times
            )
            for name in self.models
        }
        return {name: cells for name, cells in found.items() if cells}

    def noise(self) -> dict[str, float]:
        """Returns the noise of each artifact's times; see ``Tuning``."""
        shares: dict[str, list[float]] = defaultdict(list)
        for times in self.seconds.values():
            for name, seconds in times.items():
                shares[name].append(Spread.of(seconds).share)
        return {name: median(found) for name, found in shares.items()}

    def _measure_once(self, shape: Shape, batch: Mapping[str, npt.NDArray[Any]], number: int) -> None:
        began = perf_counter()
        rows, length = shape
        turns = {
            name: _turn(_call(model, batch))
            for name, model in self.models.items()
            if not any(few <= rows and short <= length for few, short in self._failed[name])
        }

        def note(name: str, error: InferoxError) -> None:
            self._failed[name].append(shape)
            self.not_run.setdefault(name, f"{counted(rows, 'row')} of {length}: {error}")
            self.seconds.get(shape, {}).pop(name, None)

        # A round that an interruption cuts short is dropped, so that all artifacts have the same number of figures.
        taken = take_turns(turns, number, note_failure=note)
        known = self.seconds.setdefault(shape, {})
        for name, seconds in taken.items():
            known.setdefault(name, []).extend(seconds)
        self._round_s[shape] = perf_counter() - began

    def _expected_s(self, shape: Shape) -> float:
        """Estimates the time of a round at a shape: as measured, or scaled by tokens from the largest known shape."""
        if shape in self._round_s:
            return self._round_s[shape]
        rows, length = largest = max(self._round_s, key=lambda known: known[0] * known[1])
        more = max(1.0, shape[0] * shape[1] / (rows * length))
        calls_s = [more * Spread.of(times).median for times in self.seconds[largest].values()]
        # A turn calls untimed and then timed, each for its length and at least once: short calls do not make it longer.
        return sum(2 * max(_TURN_S, call_s) for call_s in calls_s)


def _turn(call: Callable[[], object]) -> Callable[[], list[float]]:
    """Makes a turn that calls untimed for its length, and then timed for as long again."""

    def take() -> list[float]:
        time_calls(call, _TURN_S)
        return time_calls(call, _TURN_S)

    return take


def _call(model: TaskModel, batch: Mapping[str, npt.NDArray[Any]]) -> Callable[[], object]:
    """Returns a call that computes encoded rows as the model's task does: in the batches that it plans for them."""
    task = model.task
    if isinstance(task, RawTask):
        return lambda: task.run(model.model, [batch])
    if not can_be_packed(model.signature):
        rows = Batch.of_rows(batch)
    else:
        tokens = read_padded(batch, model.signature)[0]
        rows = replace(tokens, pad_values=dict.fromkeys(tokens.ragged, 0))  # without which rows share none to be padded
    return lambda: list(run_batches(model.model, rows))
