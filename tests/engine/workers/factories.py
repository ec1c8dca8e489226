"""Functions that worker processes make models with, some rows of which end the process."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import Batch, Outputs
from inferox.loading import TaskModel
from inferox.tasks import tokenizer_file
from tests.engine.models import DoublingModel, SumTask, load_doubling

CRASH, HANG, SLOW, STUCK, BOMB = 13, 14, 15, 16, 17
"""Numbers that end the process, never come to an end, take a while, of which no row is ever made, and that take more
memory than there is."""

SLOW_S = 0.3

FATAL_FILE = "INFEROX_TEST_FATAL_FILE"
"""The variable that says which file, as long as it is there, has ``make_once`` end the process."""

TOKENIZER_VARIABLE = "INFEROX_TEST_TOKENIZER"
"""The variable that says which file ``make_with_tokenizer`` reads."""

HERE = f"python:{__name__}:"


def crash() -> None:
    """Reads where nothing is, as a faulty runtime does."""
    ctypes.string_at(0)


class DangerousModel(DoublingModel):
    """Doubles numbers, but for some."""

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
    """Sums numbers, but for one.

    Attributes:
        tokenizer: A tokenizer that is in use as long as this lives.
    """

    tokenizer: object = None

    def encode(self, items: Sequence[Sequence[int] | str]) -> Batch:
        if any(STUCK in item for item in items if not isinstance(item, str)):
            time.sleep(60)
        return super().encode(items)

    def decode(self, items: Sequence[Sequence[int] | str], batch: Batch, outputs: Outputs) -> list[int]:
        if any(BOMB in item for item in items if not isinstance(item, str)):
            np.empty(1 << 60, np.uint8)
        return super().decode(items, batch, outputs)


def make_dangerous() -> TaskModel:
    return load_doubling(DangerousModel(name="dangerous"), DangerousTask())


def make_with_tokenizer() -> TaskModel:
    """The same; a file beside that of its tokenizer says whether it had to be read."""
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


def make_nothing() -> TaskModel:
    crash()
    raise AssertionError


def make_number() -> int:
    return 1
