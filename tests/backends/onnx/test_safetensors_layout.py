"""The offsets of tensors in a safetensors file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from inferox.backends.onnx.safetensors_layout import read_places

_BYTES = (3 << 20) + 5
"""More than three pieces, the last of them incomplete."""


@pytest.mark.parametrize("changed", [0, (1 << 20) - 1, 1 << 20, _BYTES - 1])
def test_a_place_holds_its_own_bytes_and_none_that_differ_in_one(tmp_path: Path, changed: int) -> None:
    data = np.random.default_rng(0).integers(0, 256, _BYTES, dtype=np.uint8)
    save_file({"first": data[:7], "second": data}, tmp_path / "weights.safetensors")
    place = read_places(tmp_path / "weights.safetensors")["second"]
    other = data.copy()
    other[changed] ^= 1
    assert place.holds(data.tobytes())
    assert not place.holds(other.tobytes())
    assert not place.holds(data.tobytes()[:-1])
    assert not place.holds(data.tobytes() + b"0")
