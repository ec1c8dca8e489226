"""Measuring every artifact of a package over a grid of batches, so that the fastest is chosen for each."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching import can_be_packed, pack_batch
from inferox.core import (
    BATCH,
    SEQUENCE,
    BackendError,
    DeviceId,
    Layout,
    LoadOptions,
    Model,
    NoUsableBackendError,
    PackageError,
    Signature,
    resolve_threads,
)
from inferox.engine.loading import Loader, Opened
from inferox.engine.profile import Cell, Profile, machine_name, save_profile
from inferox.engine.selection import AUTO, Wish, select
from inferox.package import Store, open_package

_ROWS = (1, 4, 16, 64)
_LENGTHS = (8, 32, 128, 512)
_MOST_TOKENS = 4096
"""Batches beyond this are not formed, so that their times need not be known."""

_ROUNDS = 3

Progress = Callable[[str, int, int], None]
"""Told what is measured, how many measurements are done, and how many there are."""


@dataclass(frozen=True)
class Tuning:
    """What came of tuning a package.

    Attributes:
        name: The package's name.
        profile: The measurements.
        path: Where they are kept.
        not_run: For each artifact that could not be measured, why.
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

    Each shape is computed once to warm up and then once a round; the median counts. The profile is written when all is
    measured: an interrupted run leaves what was there before.

    Args:
        path: A package: a folder, or an ``.mlpkg`` file.
        backend: The only backend to measure, or ``auto`` for all.
        device: Where to run, such as ``cuda:0``; ``None`` for each backend's default device.
        threads: The thread budget; ``None`` for one a core that this process may use.
        trust_code: Whether code that comes with the package may run.
        progress: Told how far it is.

    Raises:
        PackageError: If there is no package, it is damaged or unsafe, or the shapes of its inputs are unknown.
        BackendNotFoundError: If the backend that is asked for is not registered.
        NoUsableBackendError: If no artifact can be run here; it lists the reason for each.
        ConfigError: If the device is none, or the profile cannot be written.
    """
    wish = Wish.parse(backend, None, "quantized", trust_code=trust_code)
    store, budget = Store(), resolve_threads(threads)
    opened = Opened(open_package(path, store=store))
    name = opened.package.metadata.name
    loader = Loader(
        opened,
        DeviceId.parse(device) if isinstance(device, str) else device,
        LoadOptions(name, threads=budget, trust_code=trust_code),
    )
    models: dict[str, Model] = {}
    not_run: dict[str, str] = {}
    try:
        for candidate in select(opened.package, wish):
            artifact = candidate.artifact
            if candidate.passed_over is not None:
                not_run[artifact.name] = candidate.passed_over
                continue
            progress(f"loading {artifact.name}", 0, 1)
            try:
                models[artifact.name] = loader.open(artifact)
            except BackendError as error:
                not_run[artifact.name] = str(error)
        if not models:
            raise NoUsableBackendError(name, not_run, hint="'inferox doctor' says what each backend lacks")
        cells = _measure(models, opened, not_run, progress)
    finally:
        for model in models.values():
            model.close()
    profile = Profile(
        digest=opened.package.digest,
        machine=machine_name(),
        threads=budget,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        cells=cells,
    )
    return Tuning(name, profile, save_profile(profile, store), not_run)


def _measure(
    models: Mapping[str, Model], opened: Opened, not_run: dict[str, str], progress: Progress
) -> dict[str, tuple[Cell, ...]]:
    """Measures all models in turns, so that a machine that is busy for a while is busy for all of them."""
    signature = opened.package.info.signature
    shapes = _shapes(signature, opened)
    times: dict[str, dict[tuple[int, int], list[float]]] = {name: {} for name in models}
    total, done = _ROUNDS * len(shapes) * len(models), 0
    for shape in shapes:
        batch = _batch(signature, opened, *shape)
        for turn in range(_ROUNDS):
            for name, model in models.items():
                progress(f"{name}, {shape[0]} x {shape[1]}", done, total)
                done += 1
                if name in not_run:
                    continue
                inputs = pack_batch(batch, model.signature) if model.metadata.layout is Layout.PACKED else batch
                try:
                    if turn == 0:
                        model.forward(inputs)
                    started = time.perf_counter()
                    model.forward(inputs)
                    times[name].setdefault(shape, []).append(time.perf_counter() - started)
                except BackendError as error:
                    not_run[name] = f"{shape[0]} rows of {shape[1]}: {error}"
    return {
        name: tuple(Cell(*shape, statistics.median(seconds)) for shape, seconds in measured.items())
        for name, measured in times.items()
        if name not in not_run
    }


def _shapes(signature: Signature, opened: Opened) -> list[tuple[int, int]]:
    """The batches to measure: rows and lengths as far as the model takes them."""
    named = {dim for spec in signature.inputs for dim in spec.dims if isinstance(dim, str)}
    if BATCH not in named:
        return [(1, 1)]
    if SEQUENCE not in named:
        return [(rows, 1) for rows in _ROWS]
    limit = opened.package.info.task_options.get("max_length")
    longest = limit if isinstance(limit, int) else _LENGTHS[-1]
    lengths = sorted({min(length, longest) for length in _LENGTHS})
    return [(rows, length) for length in lengths for rows in _ROWS if rows * length <= _MOST_TOKENS]


def _batch(signature: Signature, opened: Opened, rows: int, length: int) -> dict[str, npt.NDArray[Any]]:
    """A padded batch without padding: the numbers of a stored sample, repeated to the shape.

    Raises:
        PackageError: If the package has no samples.
    """
    samples = opened.samples
    if samples is None:
        raise PackageError(
            f"{opened.package.metadata.name!r} carries no samples to be measured with", hint="pack the model again"
        )
    largest = max(samples.batches, key=lambda batch: sum(array.size for array in batch.inputs.values()))
    extents = {BATCH: rows, SEQUENCE: length}
    batch = {}
    for spec in signature.inputs:
        array = largest.inputs[spec.name]
        for axis, dim in enumerate(spec.dims):
            if dim in extents:
                array = array.take(np.arange(extents[dim]) % array.shape[axis], axis=axis)
        batch[spec.name] = np.ascontiguousarray(array)
    if can_be_packed(signature):
        batch["attention_mask"] = np.ones_like(batch["attention_mask"])
    return batch
