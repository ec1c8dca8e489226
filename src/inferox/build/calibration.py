"""What a quantiser watches the model compute, to learn the range of each number."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy.typing as npt

from inferox.batching import Row, pad_rows
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
    # Rows of one length alone: the ranges of what is computed for padding say nothing of the texts.
    alike: defaultdict[tuple[tuple[int, ...], ...], list[Row]] = defaultdict(list)
    for row in task.encode(items):
        alike[tuple(row[name].shape for name in source.signature.input_names)].append(row)
    return [
        pad_rows(rows[start : start + _ROWS], source.signature, task.fill)
        for rows in alike.values()
        for start in range(0, len(rows), _ROWS)
    ]


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
    return texts[:: max(1, len(texts) // _MOST_TEXTS)][:_MOST_TEXTS]
