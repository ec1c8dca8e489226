"""Repeated measurements of a package: failures are told apart from what this machine cannot compute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from inferox.core import NoUsableBackendError
from inferox.loading import load
from inferox.measuring import Verification, verify
from inferox.parity import ParityClass, SampleBatch, Samples
from tests.measuring.comparison.faulty import registered, write_faulty_package

FP32, FP16, BF16, INT8 = (f"faulty/safetensors/{precision}/padded" for precision in ("fp32", "fp16", "bf16", "int8"))


@pytest.fixture(autouse=True)
def _faulty_backend(tmp_path: Path) -> Iterator[None]:
    with registered(tmp_path / "site"):
        yield


def test_what_fails_does_not_pass(tmp_path: Path) -> None:
    found = verify(write_faulty_package(tmp_path / "p", [None, "refuses", "fails", "absent"]))
    assert [item.artifact for item in found.evidence] == [FP32]
    assert found.failed == {FP16: "an operator is missing", BF16: "the device is gone"}
    assert found.not_run == {INT8: "there is no such device here"}
    assert not found.passed


def test_an_artifact_that_does_not_take_a_sample_fails_alone(tmp_path: Path) -> None:
    found = verify(write_faulty_package(tmp_path / "p", ["picky", None]))
    assert [item.artifact for item in found.evidence] == [FP16]
    assert (found.failed, found.passed) == (
        {FP32: f"{FP32} refuses a sample: it takes other rows (pack the model again)"},
        False,
    )


def test_what_this_machine_cannot_compute_is_not_a_failure(tmp_path: Path) -> None:
    found = verify(write_faulty_package(tmp_path / "p", [None, "absent"]))
    assert (found.passed, found.failed, set(found.not_run)) == (True, {}, {FP16})
    only = verify(write_faulty_package(tmp_path / "q", [None, "refuses"]), precision="fp32")
    assert (only.passed, only.failed) == (True, {})
    assert "the precision fp32 was requested" in only.not_run[FP16]


def test_where_all_fail_there_is_a_verdict_and_where_none_is_for_this_machine_there_is_none(tmp_path: Path) -> None:
    found = verify(write_faulty_package(tmp_path / "p", ["refuses"]))
    assert (found.passed, found.evidence, found.failed) == (False, (), {FP32: "an operator is missing"})
    with pytest.raises(NoUsableBackendError, match="there is no such device here"):
        verify(write_faulty_package(tmp_path / "q", ["absent"]))


def test_a_lone_row_near_zero_that_passed_when_packed_does_not_stop_it_from_loading(tmp_path: Path) -> None:
    large, nothing = np.array([[1, 2], [3, 4]], np.float32), np.array([[0, 1e-9]], np.float32)
    calls = SampleBatch({"x": large}, {"x": 2 * large}), SampleBatch({"x": nothing}, {"x": nothing[:, ::-1]})
    first = write_faulty_package(tmp_path / "p", [None], samples=Samples(calls))
    (evidence,) = verify(first).evidence
    assert evidence.parity_class is ParityClass.EXACT
    again = write_faulty_package(tmp_path / "q", [None], samples=Samples(calls), evidence=[evidence])
    with load(again, backend="faulty") as model:
        assert model.run([{"x": large}])[0]["x"].tolist() == (2 * large).tolist()


def test_what_the_time_does_not_reach_is_named_and_does_not_pass(tmp_path: Path) -> None:
    found = verify(write_faulty_package(tmp_path / "p", [None, None, None]), seconds=1e-6)
    assert [item.artifact for item in found.evidence] == [FP32]
    assert (found.ending, found.unreached) == ("out of time", (FP16, BF16))
    assert not found.passed


def test_a_runtime_that_takes_long_to_import_leaves_no_others_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s, takes_s = [0.0], (20, 3, 12)
    monkeypatch.setattr("inferox.measuring.time_budget.monotonic", lambda: now_s[0])

    def take(_what: str, done: int, _total: int) -> None:
        now_s[0] += takes_s[done]

    package = write_faulty_package(tmp_path / "p", [None, None, None])
    found = verify(package, seconds=45, progress=take)
    assert (found.ending, found.passed, now_s) == ("complete", True, [35])
    assert verify(package, seconds=22, progress=take).unreached == (FP16, BF16)


def test_one_that_is_not_for_this_machine_does_not_count_as_the_one_that_is_measured_in_any_case(
    tmp_path: Path,
) -> None:
    package = write_faulty_package(tmp_path / "p", ["absent", None, None])
    found = verify(package, seconds=1e-6)
    assert ([item.artifact for item in found.evidence], found.unreached) == ([FP16], (BF16,))

    def interrupt_second(_what: str, done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(package, progress=interrupt_second)


def test_an_interruption_keeps_what_was_measured(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None, None])

    def interrupt_at(place: int) -> Verification:
        def interrupt(_what: str, done: int, total: int) -> None:
            assert total == 2
            if done == place:
                raise KeyboardInterrupt

        return verify(package, progress=interrupt)

    found = interrupt_at(1)
    assert [item.artifact for item in found.evidence] == [FP32]
    assert (found.ending, found.unreached, found.passed) == ("interrupted", (FP16,), False)
    with pytest.raises(KeyboardInterrupt):
        interrupt_at(0)
