"""Artifacts measured in processes of their own: the figures, and what becomes of those that fail."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import psutil
import pytest

from inferox.core import ConfigError, NoUsableBackendError
from inferox.measuring.comparison import Plan, compare
from inferox.parity import ParityClass, SampleBatch, Samples
from tests.measuring.comparison.faulty import write_faulty_package

BRIEF = Plan(starts=2, rounds=2, latency_s=0.001, throughput_s=1e-9, timeout_s=60)

FP32, FP16, BF16, INT8 = (f"faulty/safetensors/{precision}/padded" for precision in ("fp32", "fp16", "bf16", "int8"))


def children() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True)}


@pytest.fixture(autouse=True)
def _no_process_is_left() -> object:
    before = children()
    yield
    assert children() <= before


def test_every_figure_of_every_artifact(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None, None])
    steps: list[tuple[float, float]] = []
    found = compare(package, threads=1, plan=BRIEF, progress=lambda done, total, _: steps.append((done, total)))
    assert sorted(item.artifact for item in found.artifacts) == sorted([FP32, FP16])
    assert (found.name, found.task, found.threads, found.not_run) == ("small", "raw", 1, {})
    for item in found.artifacts:
        assert len(item.starts) == 2
        assert all(0 < start.load_s < start.first_result_s for start in item.starts)
        assert [len(latency.rounds) for latency in item.latency] == [2]
        assert all(len(calls) >= 3 for latency in item.latency for calls in latency.rounds)
        assert (item.throughput.tokens, len(item.throughput.rounds)) == (None, 2)
        # Calls of two rows and of one are repeated in turn.
        assert item.throughput.rows == 8 * 3 // 2
        assert item.size_bytes == 8002
        assert item.shared_bytes == 8000
        assert item.peak_memory_bytes > 10_000_000
        assert (item.device, item.runtime_version) == ("cpu", "1.2.3")
        assert item.evidence is not None
        assert item.evidence.parity_class is ParityClass.EXACT
        assert [row.max_abs for row in item.row_parity] == [0.0, 0.0, 0.0]
    assert steps == sorted(steps)
    assert all(0 <= done < total == 14 for done, total in steps)
    text = json.dumps(found.to_json(), allow_nan=False)
    assert set(json.loads(text)["artifacts"][0]["summary"]) == {
        *("load_s", "first_result_s", "one_row_s", "rows_per_s", "tokens_per_s")
    }


def test_those_that_fail_become_reasons(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", ["crashes", "exits", "stumbles", "fails late"])
    with pytest.raises(NoUsableBackendError) as caught:
        compare(package, plan=BRIEF)
    reasons = caught.value.reasons
    assert reasons[FP32] == "its process was ended by SIGSEGV"
    assert reasons[FP16] == "its process ended by itself with exit code 7: the licence has run out"
    assert "the backend faulty failed while computing 'small': ZeroDivisionError: division by zero" in reasons[BF16]
    assert reasons[INT8] == "the device is gone"


def test_one_that_fails_leaves_the_others(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", ["refuses", None, "crashes", "wrong"])
    found = compare(package, plan=BRIEF)
    assert set(found.not_run) == {FP32, BF16}
    assert found.not_run[FP32] == "an operator is missing"
    classes = {item.artifact: item.evidence.parity_class for item in found.artifacts if item.evidence}
    assert classes == {FP16: ParityClass.EXACT, INT8: ParityClass.QUANTIZED}
    (wrong,) = (item for item in found.artifacts if item.artifact == INT8)
    assert [row.max_abs for row in wrong.row_parity] == [0.5, 1.5, 0.5]


def test_a_row_by_itself_is_held_to_the_scale_of_all_samples(tmp_path: Path) -> None:
    large, nothing = np.array([[1, 2]], np.float32), np.array([[0, 1e-9]], np.float32)
    samples = Samples(
        (SampleBatch({"x": large}, {"x": 2 * large}), SampleBatch({"x": nothing}, {"x": nothing[:, ::-1]}))
    )
    (item,) = compare(write_faulty_package(tmp_path / "p", [None], samples=samples), plan=BRIEF).artifacts
    assert item.evidence is not None
    assert item.evidence.parity_class is ParityClass.EXACT
    assert [row.cosine for row in item.row_parity] == [row.cosine_min for row in item.evidence.rows]
    assert item.row_parity[1].cosine == pytest.approx(1)


def test_one_that_hangs_is_given_up(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", ["hangs"])
    with pytest.raises(NoUsableBackendError) as caught:
        compare(package, plan=Plan(1, 1, 0.001, 0.001, timeout_s=2))
    assert caught.value.reasons == {FP32: "it took longer than 2 s to load and give a first result"}


def test_a_package_without_samples(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None], samples=None)
    (item,) = compare(package, plan=BRIEF).artifacts
    assert (item.evidence, item.row_parity) == (None, ())
    assert math.isfinite(item.throughput.rows_per_s.median)


def test_an_interruption_ends_every_process(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None, None])

    def interrupt(done: float, _total: float, _text: str) -> None:
        if done > 2:
            assert children()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(package, plan=BRIEF, progress=interrupt)


def test_wrong_wishes(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None])
    with pytest.raises(ConfigError, match="is not a device"):
        compare(package, device="a b", plan=BRIEF)
    with pytest.raises(NoUsableBackendError, match="torch"):
        compare(package, "torch", plan=BRIEF)
