"""Settings of vectors that a model's files lack: the lengths to which they may be cut, and their numbers' ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import ConfigError, SourceModel, positive_integer
from inferox.tasks import EmbedTask, Task


def check_matryoshka_dims(task: Task, dims: Sequence[int]) -> list[int]:
    """Checks the lengths to which whoever packs a model allows its vectors to be cut.

    Args:
        task: The task of the model.
        dims: The lengths.

    Returns:
        The lengths, ascending, each once.

    Raises:
        ConfigError: If the task gives no vectors, or a length is not a positive integer less than that of the vectors.
    """
    width = _need_vectors("matryoshka_dims", task).dimension
    found = sorted({positive_integer("matryoshka_dims", dim) for dim in dims})
    if not found or found[-1] >= width:
        raise ConfigError(
            f"matryoshka_dims must be less than {width}, the length of the vectors, but are {list(dims)}",
            hint="give the lengths that the model was trained for",
        )
    return found


def measure_vector_ranges(
    source: SourceModel, task: Task, calls: Sequence[Mapping[str, npt.NDArray[Any]]]
) -> list[list[float]]:
    """Measures the ranges of the numbers of a model's vectors.

    Args:
        source: The model.
        task: The task of the model.
        calls: Padded batches of texts like those that will be embedded.

    Returns:
        The minima and the maxima, one for each number of a vector.

    Raises:
        ConfigError: If the task gives no vectors.
    """
    target = _need_vectors("vector_ranges", task).parity_target(source.signature)
    vectors = np.concatenate([target.read(call, source.compute(call))["embedding"] for call in calls])
    return [vectors.min(axis=0).tolist(), vectors.max(axis=0).tolist()]


def _need_vectors(option: str, task: Task) -> EmbedTask:
    if not isinstance(task, EmbedTask):
        raise ConfigError(f"{option} is for models of the task embed, but this one's is {task.name}")
    return task
