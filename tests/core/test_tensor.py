"""Outputs as arrays."""

from __future__ import annotations

import numpy as np
import pytest

from inferox.core import to_torch
from tests.tasks.models import ArrayTensor


def test_an_output_is_an_array_for_numpy() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = ArrayTensor(array)

    assert np.shares_memory(np.asarray(tensor), array)
    np.testing.assert_array_equal(np.asarray(tensor), array)
    assert np.asarray(tensor, np.float64).dtype == np.float64
    assert not np.shares_memory(np.array(tensor, copy=True), array)
    np.testing.assert_array_equal(np.stack([tensor, tensor]), np.stack([array, array]))
    with pytest.raises(ValueError, match="copy"):
        np.asarray(tensor, np.float64, copy=False)


def test_an_output_is_indexed_as_its_array() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensor = ArrayTensor(array)

    assert len(tensor) == 2
    for index in (0, -1, (1, 2), slice(1, None), (slice(None), 1), array > 2, [1, 0]):
        np.testing.assert_array_equal(tensor[index], array[index])
    assert [row.tolist() for row in tensor] == array.tolist()
    with pytest.raises(IndexError, match="out of bounds"):
        tensor[2]
    scalar = ArrayTensor(np.array(1, np.float32))
    with pytest.raises(TypeError, match="a tensor without dimensions has no length"):
        len(scalar)
    with pytest.raises(TypeError, match="0-d array"):
        iter(scalar)
    assert scalar
    assert not ArrayTensor(np.array([0.0]))
    with pytest.raises(ValueError, match="ambiguous"):
        bool(tensor)
    np.testing.assert_array_equal(to_torch(tensor).numpy(), array)


def test_arrays_of_any_layout_become_tensors_of_torch() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    locked = array.copy()
    locked.flags.writeable = False

    for given in (array, array[::-1], array[:, ::-1], array.T, array[:, ::2], locked, np.float32(2)):
        np.testing.assert_array_equal(to_torch(given).numpy(), given)
    assert to_torch(array).data_ptr() == array.ctypes.data
