"""Items and results as JSON values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt


def to_record(task: str, item: Any, result: Any) -> dict[str, Any]:
    """Describes an item and its result.

    Args:
        task: The task's name.
        item: What was asked.
        result: What came of it.

    Returns:
        A JSON object. Floating-point numbers have as many digits as it takes to read the same number back.
    """
    if task == "embed":
        return {"text": item, "embedding": _numbers(result)}
    if task == "raw":
        return {"outputs": {name: _numbers(array) for name, array in result.items()}}
    if task == "rerank":
        return {"query": item[0], "document": item[1], "score": float(result)}
    if task == "image-classify":
        return {"image": str(item), "labels": [asdict(label) for label in result]}
    key = "labels" if task == "classify" else "spans"
    return {"text": item, key: [asdict(part) for part in result]}


def _numbers(array: npt.NDArray[Any]) -> Any:
    if array.dtype.kind != "f" or array.dtype == np.float64:
        return array.tolist()
    # The shortest text that reads back as the same number in the array's own precision.
    texts = np.array([float(str(number)) for number in array.ravel()], dtype=np.float64)
    return texts.reshape(array.shape).tolist()
