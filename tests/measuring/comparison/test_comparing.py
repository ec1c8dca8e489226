"""Artifacts measured in separate processes: the figures, and the handling of those that fail."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import ConfigError, DeadlineExceededError, NoUsableBackendError
from inferox.measuring.comparison import Plan, Progress, compare
from inferox.measuring.comparison.artifact_run import ArtifactRun
from inferox.parity import ParityClass
from inferox.report.summary import agreeing, warnings
from tests.measuring.comparison.faulty import write_faulty_package

BRIEF = Plan(starts=2, rounds=2, latency_s=0.001, throughput_s=1e-9, timeout_s=60)

ONCE = replace(BRIEF, starts=1)
"""Nothing is started again, which takes a process for each artifact."""

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
    steps: list[tuple[str, float]] = []
    found = compare(package, threads=1, plan=BRIEF, progress=lambda what, used_s, _: steps.append((what, used_s)))
    assert sorted(item.artifact for item in found.artifacts) == sorted([FP32, FP16])
    assert (found.name, found.task, found.threads, found.not_run) == ("small", "raw", 1, {})
    assert found.other_busy_cores is not None
    assert 0 <= found.other_busy_cores == found.to_json()["other_busy_cores"] <= found.machine.cores
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
        assert (item.peak_memory_bytes or 0) > 10_000_000
        assert (item.device, item.runtime_version) == ("cpu", "1.2.3")
        assert item.evidence is not None
        assert item.evidence.parity_class is ParityClass.EXACT
        assert [row.max_abs for row in item.evidence.rows] == [0.0, 0.0, 0.0]
    assert [used_s for _, used_s in steps] == sorted(used_s for _, used_s in steps)
    assert {what for what, _ in steps if what.endswith(FP16)} == {
        *(f"starting: {FP16}", f"first answers: {FP16}", f"round 1 of 2: memory: {FP16}"),
        *(f"round 1 of 2: row 1 of 1: {FP16}", f"round 2 of 2: row 1 of 1: {FP16}"),
        *(f"round 1 of 2: rows of mixed lengths: {FP16}", f"round 2 of 2: rows of mixed lengths: {FP16}"),
        f"round 1 of 2: parity: {FP16}",
    }
    assert (found.ending, found.rounds, found.starts, found.unreached) == ("complete", 2, 2, {})
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
    found = compare(package, plan=ONCE)
    assert set(found.not_run) == {FP32, BF16}
    assert found.not_run[FP32] == "an operator is missing"
    classes = {item.artifact: item.evidence.parity_class for item in found.artifacts if item.evidence}
    assert classes == {FP16: ParityClass.EXACT, INT8: ParityClass.QUANTIZED}
    (wrong,) = (item for item in found.artifacts if item.artifact == INT8)
    assert wrong.evidence is not None
    assert [row.max_abs for row in wrong.evidence.rows] == [0.5, 1.5, 0.5]


def test_one_that_hangs_is_given_up(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", ["hangs"])
    with pytest.raises(NoUsableBackendError) as caught:
        compare(package, plan=Plan(1, 1, 0.001, 0.001, timeout_s=2))
    assert caught.value.reasons == {FP32: "it took longer than 2 s to load and give a first result"}


def test_a_package_without_samples(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None], samples=None)
    (item,) = compare(package, plan=ONCE).artifacts
    assert item.evidence is None
    assert math.isfinite(item.throughput.rows_per_s.median)


def test_the_time_that_one_uses_up_is_its_own_fault_and_the_others_have_answers(tmp_path: Path) -> None:
    # Without a limit from the time budget, the hanging one would be waited for ten minutes.
    package = write_faulty_package(tmp_path / "p", ["hangs", None])
    found = compare(package, seconds=20, plan=replace(ONCE, timeout_s=300))
    assert [item.artifact for item in found.artifacts] == [FP16]
    assert found.not_run[FP32].startswith("it took longer than 7.5 s to load and give a first result; allow more")
    assert found.ending == "out of time"


def test_what_hangs_in_the_middle_keeps_its_figures(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", ["hangs late"])
    found = compare(package, seconds=8, plan=replace(BRIEF, rounds=1_000, latency_s=0.2, timeout_s=300))
    (item,) = found.artifacts
    assert (found.ending, len(item.starts)) == ("out of time", 1)
    assert 1 <= found.rounds < found.plan.rounds


def test_time_for_nothing_is_refused(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None])
    with pytest.raises(DeadlineExceededError, match=r"no artifact of 'small' was started and measured within 0.01 s"):
        compare(package, seconds=0.01, plan=BRIEF)


def test_one_that_fails_when_it_is_started_again_is_shown_with_its_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAULTY_STARTED", str(tmp_path / "started"))
    package = write_faulty_package(tmp_path / "p", ["starts once", None])
    found = compare(package, plan=BRIEF)
    assert found.not_run == {}
    assert {item.artifact: (len(item.starts), len(item.throughput.rounds)) for item in found.artifacts} == {
        FP32: (1, 2),
        FP16: (2, 2),
    }
    assert found.failures == {FP32: "failed when it was started again: the licence is in use"}
    assert found.to_json()["failures"] == found.failures
    assert [item.artifact for item in agreeing(found)] == [FP16]
    assert (
        warnings(found)[0] == f"{FP32} failed when it was started again: the licence is in use. It is not recommended."
    )


def interrupt_at(text: str) -> Progress:
    """A user who presses Ctrl-C when this is about to be measured."""

    def interrupt(what: str, _used_s: float, _total_s: float) -> None:
        if text in what:
            assert children()
            raise KeyboardInterrupt

    return interrupt


def test_an_interruption_keeps_what_was_measured(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None, None])
    found = compare(package, plan=BRIEF, progress=interrupt_at("round 2"))
    assert (found.ending, found.rounds, len(found.artifacts), found.unreached) == ("interrupted", 1, 2, {})
    early = compare(package, plan=BRIEF, progress=interrupt_at("memory"))
    assert {item.peak_memory_bytes for item in early.artifacts} == {None}
    assert early.unreached == {FP32: ("memory", "parity"), FP16: ("memory", "parity")}
    json.dumps(early.to_json(), allow_nan=False)


def test_an_interruption_before_any_answer_is_raised(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None, None])
    with pytest.raises(KeyboardInterrupt):
        compare(package, plan=BRIEF, progress=interrupt_at("first answers"))


def test_one_that_another_was_not_measured_beside_is_compared_by_first_answers(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None, None])
    seen: list[str] = []

    def interrupt(what: str, _used_s: float, _total_s: float) -> None:
        seen.append(what)
        if sum("mixed" in one for one in seen) == 2:
            raise KeyboardInterrupt

    found = compare(package, plan=BRIEF, progress=interrupt)
    # Of 16 calls of two rows and of one in turn, where a round has 8.
    assert {item.throughput.rows for item in found.artifacts} == {24}


PLANS = st.builds(Plan, st.just(3), st.integers(1, 9), st.floats(0.02, 5), st.floats(0.1, 5), st.just(60.0))


@given(PLANS, st.floats(0, 1e5), st.integers(1, 40), st.integers(1, 9), st.floats(0.01, 5))
def test_a_plan_fits_the_time(plan: Plan, left_s: float, artifacts: int, lengths: int, enough_s: float) -> None:
    fitted = plan.fit(left_s, artifacts=artifacts, lengths=lengths, enough_s=enough_s)
    assert 1 <= fitted.rounds <= max(plan.rounds, 20)
    assert 0.02 <= fitted.latency_s <= plan.latency_s
    assert 0 <= fitted.throughput_s <= plan.throughput_s
    singles = lengths * fitted.rounds if fitted.repeats_lengths else fitted.rounds + lengths - 1
    needed_s = artifacts * ((1 + fitted.rounds) * fitted.throughput_s + singles * fitted.latency_s)
    # A row is repeated for some time, however little there is.
    assert needed_s <= (left_s + artifacts * singles * 0.02) * (1 + 1e-9)
    assert plan.fit(math.inf, artifacts=artifacts, lengths=lengths, enough_s=enough_s) == plan


@given(PLANS, st.integers(1, 40), st.integers(1, 9), st.floats(0.08, 0.1))
def test_with_less_time_come_fewer_details_then_fewer_rows_then_fewer_rounds(
    plan: Plan, artifacts: int, lengths: int, enough_s: float
) -> None:
    def fit(own_s: float) -> Plan:
        return plan.fit(own_s * artifacts, artifacts=artifacts, lengths=lengths, enough_s=enough_s)

    def needed_s(rounds: int, mixed_s: float) -> float:
        return (1 + rounds) * mixed_s + (rounds + lengths - 1) * min(plan.latency_s, max(0.02, mixed_s / 4))

    enough, fewer = min(plan.rounds, 3), min(plan.rounds, 2)
    whole_s = plan.throughput_s + plan.rounds * (lengths * plan.latency_s + plan.throughput_s)
    assert fit(1.001 * whole_s).repeats_lengths
    assert not fit(0.999 * whole_s).repeats_lengths
    few = fit(needed_s(enough, enough_s))
    if fewer < enough and needed_s(fewer, plan.throughput_s) > 1.001 * needed_s(enough, enough_s):
        assert few.throughput_s == pytest.approx(enough_s, rel=2e-3)
    assert few.rounds == enough or few.throughput_s == plan.throughput_s
    assert fit(needed_s(1, enough_s)).throughput_s == pytest.approx(enough_s)
    less = fit(0.9 * needed_s(1, enough_s))
    assert (less.rounds, less.throughput_s < enough_s) == (1, True)
    assert fit(0.0).rounds == 1
    # All items in two rounds come before fewer in three.
    two_s = 1.001 * needed_s(fewer, plan.throughput_s)
    if two_s < whole_s:
        assert fit(two_s).throughput_s == plan.throughput_s


def test_wrong_requirements(tmp_path: Path) -> None:
    package = write_faulty_package(tmp_path / "p", [None])
    with pytest.raises(ConfigError, match="is not a device"):
        compare(package, device="a b", plan=BRIEF)
    with pytest.raises(NoUsableBackendError, match="torch"):
        compare(package, "torch", plan=BRIEF)


@pytest.mark.parametrize(
    ("reached", "lacked"),
    [
        ((0, 1, 2), []),
        ((0, 1), ["a row of 256 tokens"]),
        ((1,), ["rows of 3 and 256 tokens"]),
        ((), ["rows of 3, 18 and 256 tokens"]),
    ],
)
def test_rows_that_were_not_reached_are_named_together(reached: tuple[int, ...], lacked: list[str]) -> None:
    run = ArtifactRun("torch/safetensors/fp32/packed", None, None)
    run.facts, run.latency = {"lengths": [3, 18, 256]}, {index: [(0.1,)] for index in reached}
    run.peak_memory_bytes, run.parity = 10, {"evidence": None}
    assert run.lacks() == lacked
