"""The check for OpenVINO's integers: it computes those of 64 bits in 32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inferox.core import ExecutionError, TensorSpec

_NARROW = np.iinfo(np.int32)


def check_integers(inputs: Sequence[TensorSpec], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Refuses 64-bit integers that OpenVINO would truncate to their lower 32 bits, such as 2**32 + 1 to 1.

    Args:
        inputs: The specifications of the inputs.
        arrays: The inputs by name, already checked against the specifications.

    Raises:
        ExecutionError: If a number does not fit 32 bits.
    """
    for spec in inputs:
        array = arrays[spec.name]
        if array.dtype.kind not in "iu" or array.dtype.itemsize <= _NARROW.dtype.itemsize or not array.size:
            continue
        if spec.upper_bound is not None and spec.upper_bound - 1 <= _NARROW.max:
            continue
        if array.min() < _NARROW.min or array.max() > _NARROW.max:
            wrong = int(array[(array < _NARROW.min) | (array > _NARROW.max)][0])
            raise ExecutionError(
                f"input {spec.name!r} holds {wrong}, but openvino computes 64-bit integers in 32 bits",
                hint="run it with another runtime",
            )
