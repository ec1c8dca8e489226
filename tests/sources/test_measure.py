"""Measured signatures: an extent is named after a dim only if it equals that dim in every run."""

from __future__ import annotations

import numpy as np
import pytest

from inferox.core import DataType, Dim, TensorSpec
from inferox.sources.measure import measure_signature


@pytest.mark.parametrize(("least", "dim"), [(10, "output_1"), (1, "seq")])
def test_extent_that_is_padded_up_has_its_own_name(least: int, dim: Dim) -> None:
    # The runs have 7 and 14 elements: max(seq, 10) is seq in the second alone.
    signature = measure_signature(
        lambda inputs: {"output": np.zeros((2, max(inputs["x"].shape[0], least)), np.float32)},
        (TensorSpec("x", DataType.F32, ("seq",)),),
        {"x": np.zeros(7, np.float32)},
    )
    assert signature.outputs == (TensorSpec("output", DataType.F32, (2, dim)),)
