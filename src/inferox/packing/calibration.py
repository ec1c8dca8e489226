"""Calibration: calls with which a quantiser observes the model, to learn the range of each number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.batching import MAX_TOKENS, BatchBudget, plan_batches
from inferox.core import ConfigError, PackageError, SourceModel, pad_batch
from inferox.packing.reference import uses_task_samples
from inferox.tasks import Task

_MOST_TEXTS = 512
"""The most calibration texts: more hardly change the ranges, and each costs a run of the whole model."""

_ROWS = 16

_VARIATIONS = 8
_NOISE = 0.1
"""The standard deviation of the noise added to an example, as a share of its own. It is small because a quantiser
learns ranges, and a model's response to noise says nothing about its use."""


def make_calibration(source: SourceModel, task: Task, file: str | Path | None) -> list[dict[str, npt.NDArray[Any]]]:
    """Makes calls of a model for a quantiser.

    Args:
        source: The model.
        task: The task of the model.
        file: A file with one text per line; ``None`` for the task's own items, or for variations of the examples that
            came with the model.

    Returns:
        Padded batches: inputs by name. The samples are not among them: the data for measuring parity is held out.

    Raises:
        ConfigError: If a file is given for a model that takes no texts.
        PackageError: If the file cannot be read, or holds no text.
    """
    items = task.calibration_items()
    if file is not None:
        if not items or not isinstance(items[0], str):
            raise ConfigError(
                f"the task {task.name} is not calibrated on a file of texts", hint="leave out the calibration file"
            )
        items = _read_texts(Path(file))
    elif not uses_task_samples(source, task):
        return vary_examples(source.probe_inputs[0] if source.example_inputs is None else source.example_inputs)
    rows = task.encode(items)
    if any(name not in task.pad_values for name in source.signature.input_names):
        return [pad_batch(rows.select([index]), source.signature) for index in range(len(rows))]
    # Batches of the same form as in use: a range is the mean of the batches' largest numbers.
    batches = plan_batches(rows.lengths.tolist(), BatchBudget(MAX_TOKENS, _ROWS))
    return [pad_batch(rows.select(batch), source.signature) for batch in batches]


def vary_examples(examples: Mapping[str, npt.NDArray[Any]]) -> list[dict[str, npt.NDArray[Any]]]:
    """Makes other calls of a model for which only examples are known; the same each time.

    Floating-point numbers are varied a little, and integers of more than one dim, such as token ids, are drawn anew,
    both within the range of the example. Inputs of at most two different numbers, such as masks, and integers of one
    dim, such as lengths, stay unchanged.

    Args:
        examples: Inputs by name.
    """
    random = np.random.default_rng(0)
    return [{name: _vary(array, random) for name, array in examples.items()} for _ in range(_VARIATIONS)]


def _vary(array: npt.NDArray[Any], random: np.random.Generator) -> npt.NDArray[Any]:
    if len(np.unique(array)) <= 2 or not np.isfinite(array).all():  # noqa: PLR2004 - of a mask
        return array
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        wide = array.astype(np.float64)
        varied = wide + random.normal(scale=_NOISE * wide.std(), size=array.shape)
        return np.clip(varied, low, high).astype(array.dtype)
    if array.dtype.kind in "iu" and array.ndim > 1:
        return random.integers(low, high, array.shape, dtype=array.dtype, endpoint=True)
    return array


def _read_texts(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PackageError(f"the calibration texts {path} cannot be read: {error}") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise PackageError(
            f"the calibration file {path} holds no text", hint="give one text per line, as the model will see them"
        )
    return choose_texts(texts)


def choose_texts(texts: Sequence[str]) -> list[str]:
    """Chooses all texts or, if there are very many, as many as are worth their time, evenly spread.

    Args:
        texts: The texts.
    """
    count = min(len(texts), _MOST_TEXTS)
    return [texts[index * len(texts) // count] for index in range(count)]
