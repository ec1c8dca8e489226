"""What a quantiser watches the model compute, to learn the range of each number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from inferox.batching import MAX_TOKENS, pad_rows, plan_batches
from inferox.core import ConfigError, PackageError, SourceModel
from inferox.tasks import Task

_MOST_TEXTS = 512
"""More texts hardly change the ranges, and each costs a run of the whole model."""

_ROWS = 16


def make_calibration(source: SourceModel, task: Task, file: str | Path | None) -> list[dict[str, npt.NDArray[Any]]]:
    """Makes calls of a model for a quantiser.

    Args:
        source: The model.
        task: What its numbers mean.
        file: One text a line; ``None`` for varied texts of our own, or for the examples of a model that takes no texts.

    Returns:
        Padded batches: inputs by name.

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
    elif source.example_inputs is not None:
        return [dict(source.example_inputs)]
    rows = task.encode(items)
    if any(name not in task.fill for name in source.signature.input_names):
        return [pad_rows([row], source.signature, task.fill) for row in rows]
    # Batches as they are computed later: a range is the mean of what batches have as their largest numbers.
    lengths = [row[source.signature.input_names[0]].shape[0] for row in rows]
    batches = plan_batches(lengths, max_tokens=MAX_TOKENS, max_rows=_ROWS)
    return [pad_rows([rows[index] for index in batch], source.signature, task.fill) for batch in batches]


def _read_texts(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PackageError(f"the calibration texts {path} cannot be read: {error}") from error
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise PackageError(
            f"the calibration file {path} holds no text", hint="give one text a line, such as the model will meet"
        )
    return choose_texts(texts)


def choose_texts(texts: Sequence[str]) -> list[str]:
    """All texts; of very many, so many as are worth their time, spread over the whole.

    Args:
        texts: The texts.
    """
    count = min(len(texts), _MOST_TEXTS)
    return [texts[index * len(texts) // count] for index in range(count)]
