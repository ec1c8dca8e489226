"""Measuring every artifact of a package over a grid of batches, so that the fastest is chosen for each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.backends.registry import get_backend
from inferox.batching import MAX_TOKENS, run_batches
from inferox.core import (
    BATCH,
    MASK,
    SEQUENCE,
    Batch,
    DeviceId,
    InferoxError,
    LoadOptions,
    NoUsableBackendError,
    PackageError,
    Precision,
    Signature,
    can_be_packed,
    read_padded,
)
from inferox.loading.cell import Cell
from inferox.loading.context import PackageContext
from inferox.loading.loader import Loader
from inferox.loading.profile import (
    Placement,
    Profile,
    device_text,
    find_profile,
    machine_name,
    runtime_version,
    save_profile,
)
from inferox.loading.selection import AUTO, Requirements, select
from inferox.loading.task_model import TaskModel
from inferox.machine import resolve_threads
from inferox.measuring.agreement import class_here
from inferox.measuring.timing import Spread, time_calls, time_in_turns
from inferox.package import Store, open_package
from inferox.parity import ParityClass, Samples
from inferox.tasks import RawTask, Task
from inferox.tasks.files.texts import read_text_options

_ROWS = (1, 4, 16, 64)
_LENGTHS = (8, 32, 128, 512)

_ROUNDS = 5

_TURN_S = 0.02
"""How long one artifact computes untimed, and then timed. The threads of the one before spin for some milliseconds."""

Shape = tuple[int, int]
"""A batch: the number of its rows, and their length in tokens."""

Progress = Callable[[str, int, int], None]
"""Told what is measured, how many measurements are done, and how many there are."""


@dataclass(frozen=True)
class Tuning:
    """The result of ``tune()``.

    Attributes:
        name: The package's name.
        profile: The measurements, those from before that still hold included.
        path: Where they are kept.
        not_run: For each artifact that could not be measured, or not for every shape, why.
    """

    name: str
    profile: Profile
    path: Path
    not_run: Mapping[str, str]


def tune(
    path: str | Path,
    backend: str = AUTO,
    device: str | DeviceId | None = None,
    *,
    threads: int | None = None,
    trust_code: bool = False,
    progress: Progress = lambda _what, _done, _all: None,
) -> Tuning:
    """Measures every artifact of a package over a grid of rows and lengths, in turns, with one thread budget.

    A shape is measured in rounds in which the artifacts take turns, there and back again. In its turn each computes for
    a while untimed first; the median of all that is timed counts. What was measured before under the same conditions is
    kept, but for the artifacts that are measured again. The profile is written when all is measured: an interrupted run
    leaves what was there before.

    Args:
        path: A package: a folder, or an ``.mlpkg`` file.
        backend: The only backend to measure, or ``auto`` for all.
        device: Where to run, such as ``cuda:0``; ``None`` for each backend's default device.
        threads: The thread budget; ``None`` for one per core that this process may use.
        trust_code: Whether code that comes with the package may run.
        progress: Told how far it is.

    Raises:
        PackageError: If there is no package, it is damaged or unsafe, or the shapes of its inputs are unknown.
        BackendNotFoundError: If the backend that is asked for is not registered.
        NoUsableBackendError: If no artifact can be measured here; it lists the reason for each.
        ConfigError: If the device is not valid, or the profile cannot be written.
    """
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
        # One by one: what is open is closed in any case.
        models.update(_open_all(loader, requirements, classes, not_run, progress))
        cells = _measure(models, context, not_run, progress) if models else {}
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
    )
    if known := find_profile(digest, store, budget, wanted).profile:
        kept = {name: measured for name, measured in known.cells.items() if name not in models}
        places = {name: placement for name, placement in known.placements.items() if name in kept}
        profile = replace(
            profile,
            cells={**kept, **cells},
            versions={**known.versions, **profile.versions},
            placements={**places, **placements},
            classes={**{name: known.classes[name] for name in kept if name in known.classes}, **profile.classes},
        )
    return Tuning(title, profile, save_profile(profile, store), not_run)


def _placement(model: TaskModel) -> Placement:
    device = model.metadata.device
    return Placement(str(device), device == get_backend(model.metadata.backend).default_device())


def _open_all(
    loader: Loader,
    requirements: Requirements,
    classes: dict[str, ParityClass],
    not_run: dict[str, str],
    progress: Progress,
) -> Iterator[tuple[str, TaskModel]]:
    """Opens every artifact that can be loaded here and agrees, and notes why the others cannot or do not.

    fp32 is the same everywhere, and one sample shows that it works. In lower precisions, processors round in different
    places, so that the class that an artifact reaches here is measured and noted as well.
    """
    samples = loader.context.samples
    for candidate in select(loader.context.package, requirements):
        artifact = candidate.artifact
        if candidate.rejected is not None:
            not_run[artifact.name] = candidate.rejected
            continue
        progress(f"loading {artifact.name}", 0, 1)
        try:
            model = loader.open_alone(artifact)
        except InferoxError as error:
            not_run[artifact.name] = str(error)
            continue
        try:
            if samples is not None and artifact.precision is not Precision.FP32:
                progress(f"comparing {artifact.name}", 0, 1)
                classes[artifact.name] = class_here(loader.context, artifact, model.model, samples)
        except InferoxError as error:
            model.close()
            not_run[artifact.name] = str(error)
            continue
        yield artifact.name, model


def _measure(
    models: Mapping[str, TaskModel], context: PackageContext, not_run: dict[str, str], progress: Progress
) -> dict[str, tuple[Cell, ...]]:
    """Measures all models over all shapes. A shape that one fails at is left out, and so are those that are larger."""
    signature, samples = context.package.info.signature, context.samples
    if samples is None:
        raise PackageError(
            f"{context.package.metadata.name!r} carries no samples to be measured with", hint="pack the model again"
        )
    shapes = _shapes(context, samples, next(iter(models.values())).task)
    cells: dict[str, list[Cell]] = {name: [] for name in models}
    failed: dict[str, list[Shape]] = {name: [] for name in models}
    for index, (rows, length) in enumerate(shapes):
        batch = _batch(signature, samples, rows, length)
        turns = {
            name: _turn(_call(model, batch))
            for name, model in models.items()
            if not any(few <= rows and short <= length for few, short in failed[name])
        }

        def tell(number: int, index: int = index, shape: str = f"{rows} x {length}") -> None:
            progress(shape, index * _ROUNDS + number, len(shapes) * _ROUNDS)

        def note(name: str, error: InferoxError, rows: int = rows, length: int = length) -> None:
            failed[name].append((rows, length))
            not_run.setdefault(name, f"{rows} rows of {length}: {error}")

        for name, seconds in time_in_turns(turns, _ROUNDS, progress=tell, note_failure=note).items():
            cells[name].append(Cell(rows, length, Spread.of(seconds).median))
    return {name: tuple(measured) for name, measured in cells.items() if measured}


def _turn(call: Callable[[], object]) -> Callable[[], list[float]]:
    """Calls for the length of a turn untimed, and then for as long again timed."""

    def take() -> list[float]:
        time_calls(call, _TURN_S)
        return time_calls(call, _TURN_S)

    return take


def _call(model: TaskModel, batch: Mapping[str, npt.NDArray[Any]]) -> Callable[[], object]:
    """What a model's task does with a batch once items are encoded: lay its rows out, compute, and cut them apart."""
    task = model.task
    if isinstance(task, RawTask):
        return lambda: task.run(model.model, [batch])
    count = len(next(iter(batch.values())))
    rows = read_padded(batch, model.signature)[0] if can_be_packed(model.signature) else Batch.of_rows(batch)
    return lambda: list(run_batches(model.model, rows, max_tokens=sys.maxsize, max_rows=count))


def _shapes(context: PackageContext, samples: Samples, task: Task) -> list[Shape]:
    """The batches to measure, shorter ones first: rows and lengths as far as the model takes them."""
    signature = context.package.info.signature
    named = {dim for spec in signature.inputs for dim in spec.dims if isinstance(dim, str)}
    if BATCH not in named:
        return [(1, 1)]
    counts = sorted({min(rows, task.max_rows) for rows in _ROWS})
    if SEQUENCE not in named:
        return [(rows, 1) for rows in counts]
    longest = _longest(context, samples)
    lengths = sorted({min(length, longest) for length in _LENGTHS})
    return [(rows, length) for length in lengths for rows in counts if rows == 1 or rows * length <= MAX_TOKENS]


def _longest(context: PackageContext, samples: Samples) -> int:
    """The most tokens of a row that the model takes, as far as that is known; otherwise those of the longest sample."""
    package = context.package
    sampled = max(
        batch.inputs[spec.name].shape[axis]
        for batch in samples.batches
        for spec in package.info.signature.inputs
        for axis, dim in enumerate(spec.dims)
        if dim == SEQUENCE
    )
    files = read_text_options(package.files_root, package.config)
    stated = (
        package.info.task_options.get("max_length"),
        package.info.signature.limits.get(SEQUENCE),
        files["max_length"],
    )
    return min((limit for limit in stated if isinstance(limit, int)), default=sampled)


def _batch(signature: Signature, samples: Samples, rows: int, length: int) -> dict[str, npt.NDArray[Any]]:
    """A padded batch without padding: the numbers of a stored sample, repeated to the shape."""
    largest = max(samples.batches, key=lambda batch: sum(array.size for array in batch.inputs.values()))
    extents = {BATCH: rows, SEQUENCE: length}
    batch = {}
    for spec in signature.inputs:
        array = largest.inputs[spec.name]
        for axis, dim in enumerate(spec.dims):
            if dim in extents:
                array = array.take(np.arange(extents[dim]) % array.shape[axis], axis=axis)
        batch[spec.name] = np.asarray(array, order="C")
    if MASK in batch:
        batch[MASK] = np.ones_like(batch[MASK])
    return batch
