"""Functions that make models in worker processes, some rows of which crash the process."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import Batch, Outputs
from inferox.loading import TaskModel
from inferox.tasks import tokenizer_file
from tests.engine.models import DoublingModel, SumTask, load_doubling

CRASH, HANG, SLOW, STUCK, BOMB, COLLECT = 13, 14, 15, 16, 17, 18
"""The numbers that crash the process, hang, take a while, hang while rows are made, take all memory, and collect the
garbage."""

SLOW_S = 0.3

FATAL_FILE = "INFEROX_TEST_FATAL_FILE"
"""The environment variable with the file that makes ``make_once`` crash the process as long as it exists."""

LOADS_FILE = "INFEROX_TEST_LOADS_FILE"
"""The environment variable with the file in which ``make_slowly`` notes each time that it begins."""

GONE_FILE = "INFEROX_TEST_GONE_FILE"
"""The environment variable with the file that is left when the memory of a model of ``make_knotted`` is freed."""

TOKENIZER_VARIABLE = "INFEROX_TEST_TOKENIZER"
"""The environment variable with the file that ``make_with_tokenizer`` reads."""

HERE = f"python:{__name__}:"


def crash() -> None:
    """Reads an invalid address, as a faulty runtime does."""
    ctypes.string_at(0)


class DangerousModel(DoublingModel):
    """Doubles numbers, except for some."""

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        ids = inputs["input_ids"]
        if (ids == CRASH).any():
            crash()
        if (ids == HANG).any():
            time.sleep(60)
        if (ids == SLOW).any():
            time.sleep(SLOW_S)
        return super()._compute(inputs)


class DangerousTask(SumTask):
    """Sums numbers, except for some.

    Attributes:
        tokenizer: A tokenizer that is in use as long as this object.
    """

    tokenizer: object = None

    def encode(self, items: Sequence[Sequence[int] | str]) -> Batch:
        if any(STUCK in item for item in items if not isinstance(item, str)):
            time.sleep(60)
        return super().encode(items)

    def decode(self, items: Sequence[Sequence[int] | str], batch: Batch, outputs: Outputs) -> list[int]:
        if any(BOMB in item for item in items if not isinstance(item, str)):
            np.empty(1 << 60, np.uint8)
        if any(list(item) == [COLLECT] for item in items):
            gc.disable()  # it is to find all that comes until the next time
            return [gc.collect()]
        return super().decode(items, batch, outputs)


def make_dangerous() -> TaskModel:
    return load_doubling(DangerousModel(name="dangerous"), DangerousTask())


@cache
def make_the_same() -> TaskModel:
    return load_doubling(DangerousModel(name="same"))


def make_with_tokenizer() -> TaskModel:
    """Does the same; a file beside its tokenizer's says whether that had to be read."""
    path = Path(os.environ[TOKENIZER_VARIABLE])
    was_ready = any(tokenizer_file._ready.values())
    task = DangerousTask()
    task.tokenizer = tokenizer_file.open_tokenizer(path)
    with path.with_name("log").open("a") as log:
        log.write("ready\n" if was_ready else "read\n")
    return load_doubling(DangerousModel(name="dangerous"), task)


def make_once() -> TaskModel:
    if Path(os.environ[FATAL_FILE]).exists():
        time.sleep(SLOW_S)  # another model is loaded meanwhile
        crash()
    return load_doubling(DangerousModel(name="once"))


def make_slowly() -> TaskModel:
    with Path(os.environ[LOADS_FILE]).open("a") as log:
        log.write("begun\n")
    time.sleep(2)  # time for a request to reach the worker
    return load_doubling(DangerousModel(name="slow"))


def make_only_once() -> TaskModel:
    """Loads at once in the first process, and never in one that replaces it."""
    loads = Path(os.environ[LOADS_FILE])
    if loads.exists():
        atexit.register(Path(os.environ[GONE_FILE]).touch)
        loads.write_text("again", encoding="ascii")
        time.sleep(60)
    loads.touch()
    return load_doubling(DangerousModel(name="only-once"))


class Knot:
    """An object that refers to itself, so that only a garbage collection frees it."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        Path(os.environ[GONE_FILE]).touch()


class KnottedModel(DoublingModel):
    """Doubles numbers, and has such an object until it is closed, as modules of ``torch.export`` are."""

    def __init__(self) -> None:
        super().__init__(name="knotted")
        self.knot: Knot | None = Knot()

    def close(self) -> None:
        super().close()
        self.knot = None


def make_knotted() -> TaskModel:
    return load_doubling(KnottedModel())


def make_nothing() -> TaskModel:
    crash()
    raise AssertionError


def make_number() -> int:
    return 1
