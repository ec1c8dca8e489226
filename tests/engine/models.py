"""A model and a task of numbers, with faults on demand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from threading import Event, Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.backends.host import HostTensorBuilder
from inferox.core import (
    BATCH,
    SEQUENCE,
    Batch,
    DataType,
    DeviceId,
    Layout,
    MemoryRequirements,
    Model,
    ModelMetadata,
    OutOfMemoryError,
    Outputs,
    Precision,
    RequestError,
    Signature,
    TensorSpec,
    to_cu_seqlens,
)
from inferox.loading import TaskModel
from inferox.tasks import Task

POISON = 666
"""The number that makes a batch fail."""

SIGNATURE = Signature(
    (
        TensorSpec("input_ids", DataType.I64, (BATCH, SEQUENCE)),
        TensorSpec("attention_mask", DataType.I64, (BATCH, SEQUENCE)),
    ),
    (TensorSpec("doubled", DataType.I64, (BATCH, SEQUENCE)),),
)

METADATA = ModelMetadata("numpy", "function", Precision.FP32, Layout.PADDED, DeviceId.cpu())


class DoublingModel(Model):
    """Doubles numbers. It fails if one of them is ``POISON``, and waits if it is told to."""

    takes_arrays = True

    def __init__(
        self,
        *,
        max_concurrency: int = 1,
        most_places: int | None = None,
        name: str = "doubling",
        metadata: ModelMetadata = METADATA,
    ) -> None:
        super().__init__(
            name,
            metadata,
            SIGNATURE,
            MemoryRequirements(0),
            builder=HostTensorBuilder("numpy"),
            max_concurrency=max_concurrency,
        )
        self.may_go, self.has_begun = Event(), Event()
        self.may_go.set()
        self.batches: list[list[list[int]]] = []
        self.is_closed = False
        self.seconds = 0.0
        self._most_places = most_places
        self._lock = Lock()

    def close(self) -> None:
        self.is_closed = True

    def _compute(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        assert not self.is_closed
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        with self._lock:
            self.batches.append([row[: places.sum()].tolist() for row, places in zip(ids, mask, strict=True)])
        self.has_begun.set()
        assert self.may_go.wait(20)
        time.sleep(self.seconds)
        if self._most_places is not None and ids.size > self._most_places:
            raise OutOfMemoryError("too many places", requested_bytes=None, free_bytes=None)
        if (ids == POISON).any():
            raise ValueError("a number is poison")
        return {"doubled": ids * 2}


def fix_rows(model: DoublingModel, rows: int) -> DoublingModel:
    """Has a model take a fixed number of rows, as if it had been traced with them."""
    model.signature = model.layout_signature = Signature(
        tuple(replace(spec, dims=(rows, SEQUENCE)) for spec in SIGNATURE.inputs),
        tuple(replace(spec, dims=(rows, SEQUENCE)) for spec in SIGNATURE.outputs),
    )
    return model


class SumTask(Task):
    """Items are lists of numbers, or texts, whose characters stand for their code points; "!" is refused.

    Their results are the sums of the model's outputs.
    """

    name = "sum"

    def __init__(self, *, read: Callable[[int], int] = lambda total: total) -> None:
        self._read = read
        self.encoded: list[int] = []

    @property
    def pad_values(self) -> Mapping[str, int]:
        return {"input_ids": 0}

    def encode(self, items: Sequence[Sequence[int] | str]) -> Batch:
        for index, item in enumerate(items):
            if "!" in item:
                raise RequestError(f"text {index} is loud")
        self.encoded.append(len(items))
        lengths = np.array([len(item) for item in items], dtype=np.int64)
        ids = np.array([number for item in items for number in to_numbers(item)], dtype=np.int64)
        return Batch({"input_ids": ids}, {}, to_cu_seqlens(lengths), self.pad_values)

    def decode(self, items: Sequence[Sequence[int] | str], batch: Batch, outputs: Outputs) -> list[int]:
        assert [len(item) for item in items] == batch.lengths.tolist()
        return [self._read(int(row["doubled"].sum())) for row in outputs]

    def samples(self) -> list[list[Any]]:
        return [[[1]]]

    def calibration_items(self) -> list[Any]:
        return [[1]]


def load_doubling(model: DoublingModel | None = None, task: Task | None = None) -> TaskModel:
    """The model with its task."""
    return TaskModel(model or DoublingModel(), task or SumTask(), rejected={})


def to_numbers(item: Sequence[int] | str) -> list[int]:
    """Returns the numbers of an item."""
    return [ord(character) for character in item] if isinstance(item, str) else list(item)


def double(items: Iterable[Sequence[int] | str]) -> list[int]:
    """Returns the answer of the model and its task."""
    return [2 * sum(to_numbers(item)) for item in items]
