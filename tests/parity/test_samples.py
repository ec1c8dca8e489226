"""Samples: calls in, calls out."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import save_file

from inferox.core import IntegrityError
from inferox.parity import SampleBatch, Samples
from inferox.parity.samples import SAMPLES_FILE

ARRAYS = hnp.arrays(
    st.sampled_from([np.float32, np.int64, np.uint8, np.bool_]), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)
)
NAMES = st.sets(st.text(min_size=1, max_size=12, alphabet=st.characters(codec="utf-8")), min_size=1, max_size=3)
CALLS = st.tuples(NAMES, NAMES).flatmap(
    lambda sides: st.lists(
        st.builds(SampleBatch, *(st.fixed_dictionaries(dict.fromkeys(sorted(names), ARRAYS)) for names in sides)),
        min_size=1,
        max_size=3,
    )
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50, deadline=None)
@given(CALLS)
def test_samples_read_back_bit_for_bit(tmp_path: Path, batches: list[SampleBatch]) -> None:
    path = tmp_path / "samples.safetensors"
    Samples(tuple(batches)).save(path)
    found = Samples.load(path).batches
    assert len(found) == len(batches)
    for before, after in zip(batches, found, strict=True):
        for one, other in ((before.inputs, after.inputs), (before.outputs, after.outputs)):
            assert set(one) == set(other)
            for name, array in one.items():
                assert array.dtype == other[name].dtype
                assert array.shape == other[name].shape
                assert array.tobytes() == other[name].tobytes()


@pytest.mark.parametrize("names", [["x"], ["0.inputs"], ["0.sideways.x"], ["1.inputs.x"], ["-1.inputs.x"]])
def test_anything_but_numbered_calls_is_refused(tmp_path: Path, names: list[str]) -> None:
    save_file({name: np.zeros(1) for name in names}, tmp_path / "s.safetensors")
    with pytest.raises(IntegrityError):
        Samples.load(tmp_path / "s.safetensors")


@pytest.mark.parametrize(
    "odd", ["1.inputs.y", "1.outputs.y", "0.outputs.y", "probe0.inputs.y"], ids=lambda name: name.rpartition(".")[0]
)
def test_calls_with_other_tensors_than_the_first_are_refused(tmp_path: Path, odd: str) -> None:
    names = ["0.inputs.x", "0.outputs.x", "1.inputs.x", "1.outputs.x", "probe0.inputs.x"]
    save_file({name: np.zeros(1) for name in names}, tmp_path / "s.safetensors")
    assert len(Samples.load(tmp_path / "s.safetensors").probes) == 1
    save_file({name: np.zeros(1) for name in (*names, odd)}, tmp_path / "s.safetensors")
    with pytest.raises(IntegrityError, match="only one of them has 'y'"):
        Samples.load(tmp_path / "s.safetensors")


@pytest.mark.parametrize("content", [b"", b"\xff" * 100])
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.safetensors").write_bytes(content)
    with pytest.raises(IntegrityError, match="cannot be read"):
        Samples.load(tmp_path / "s.safetensors")


def test_a_data_type_that_numpy_lacks_is_refused(tmp_path: Path) -> None:
    header = json.dumps({"0.inputs.x": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    (tmp_path / "s.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(2))
    with pytest.raises(IntegrityError, match="cannot be read"):
        Samples.load(tmp_path / "s.safetensors")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_full_disk_is_the_systems_own_error(tmp_path: Path) -> None:
    (tmp_path / "s.safetensors").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        Samples((SampleBatch({"x": np.zeros(3)}, {}),)).save(tmp_path / "s.safetensors")


def test_probes_read_back_beside_the_calls(tmp_path: Path) -> None:
    path, ids = tmp_path / "s.safetensors", np.arange(6).reshape(2, 3)
    Samples((SampleBatch({"x": ids}, {"y": ids}),), ({"x": ids * 2}, {"x": ids[:1]})).save(path)
    found = Samples.load(path)
    assert [probe["x"].tolist() for probe in found.probes] == [(ids * 2).tolist(), ids[:1].tolist()]
    assert len(found.batches) == 1
    save_file({"0.inputs.x": ids, "0.outputs.x": ids, "probe1.inputs.x": ids}, path)
    with pytest.raises(IntegrityError, match="must number its probes from 0"):
        Samples.load(path)


@pytest.mark.parametrize("keys", [[], ["0.inputs.x"], ["0.outputs.y"], ["0.inputs.x", "0.outputs.y", "1.outputs.y"]])
def test_samples_with_which_nothing_can_be_measured(tmp_path: Path, keys: list[str]) -> None:
    save_file({key: np.zeros(1, np.float32) for key in keys}, tmp_path / SAMPLES_FILE)
    with pytest.raises(IntegrityError, match="so that nothing can be measured"):
        Samples.load(tmp_path / SAMPLES_FILE)
