"""The order in which artifacts are tried."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import Artifact, Precision
from inferox.loading.cell import Cell
from inferox.loading.plan import Plan, make_plan, rank
from inferox.loading.profile import Profile
from inferox.loading.profile_store import FoundProfile
from inferox.loading.selection import Requirements
from tests.loading.backends import EchoBackend, make_artifact, make_package, use

SMALL, LARGE = make_artifact("small"), make_artifact("large")
SHAPES = [(1, 8), (16, 8), (1, 128), (16, 128)]
QUICK_WHEN_SMALL = [1.0, 10.0, 20.0, 200.0]
QUICK_WHEN_LARGE = [4.0, 6.0, 8.0, 40.0]


def make_profile(times: dict[str, list[float]]) -> Profile:
    cells = {
        name: tuple(
            Cell(rows, length, time) for (rows, length), time in zip(SHAPES, listed, strict=True) if math.isfinite(time)
        )
        for name, listed in times.items()
    }
    return Profile("d", "m", 2, "default", {}, "2026", cells)


def ranking_of(*measured: tuple[Artifact, list[float]]) -> Plan:
    return rank(
        [artifact for artifact, _ in measured], make_profile({artifact.name: times for artifact, times in measured})
    )


def test_the_first_is_the_best_over_all_shapes_alike() -> None:
    # Its total time is the larger: a single long call would outweigh three short ones.
    ranking = ranking_of((LARGE, [3.0, 3.0, 3.0, 150.0]), (SMALL, [1.0, 1.0, 1.0, 200.0]))
    assert ranking.order == (SMALL, LARGE)
    assert ranking.why_taken(SMALL) == "measured fastest here over calls of all sizes"
    assert ranking.why_not(LARGE, SMALL) == "it was measured slower over calls of all sizes"


@given(order=st.permutations([SMALL, LARGE]))
def test_it_does_not_depend_on_the_order_of_the_manifest(order: list[Artifact]) -> None:
    profile = make_profile({SMALL.name: QUICK_WHEN_SMALL, LARGE.name: QUICK_WHEN_LARGE})
    assert rank(order, profile).order == rank([SMALL, LARGE], profile).order == (LARGE, SMALL)


def test_one_that_fails_at_some_shapes_comes_after_those_that_do_not() -> None:
    failing = [0.1, 0.1, math.inf, math.inf]
    assert ranking_of((LARGE, failing), (SMALL, [1.0, 1.0, 1.0, 1.0])).order == (SMALL, LARGE)


def test_without_measurements_the_order_stays() -> None:
    ranking = rank([SMALL, LARGE], None)
    assert (ranking.order, ranking.profile) == ((SMALL, LARGE), None)
    assert "nothing was measured" in ranking.why_taken(SMALL)
    assert ranking.why_not(LARGE, SMALL) == f"it comes after {SMALL.name} in the default order, as nothing was measured"


def test_what_was_not_measured_comes_last_and_in_its_order() -> None:
    new, newer = make_artifact("new"), make_artifact("small", precision=Precision.BF16)
    profile = make_profile({SMALL.name: QUICK_WHEN_SMALL, LARGE.name: QUICK_WHEN_LARGE})
    ranking = rank([new, SMALL, newer, LARGE], profile)
    assert ranking.order == (LARGE, SMALL, new, newer)
    assert ranking.why_not(new, SMALL) == "it was not measured when the package was tuned"
    assert ranking.why_taken(new) == "it was not measured, and nothing that was measured can be loaded"


def test_what_is_shown_by_weak_evidence_comes_last_however_fast() -> None:
    profile = make_profile({SMALL.name: [1.0] * 4, LARGE.name: [9.0] * 4})
    ranking = rank([SMALL, LARGE], profile, weak={SMALL.name})
    assert ranking.order == (LARGE, SMALL)
    assert ranking.why_not(SMALL, LARGE) == (
        "the evidence that it agrees with the reference, which large computed, is weak"
    )
    assert ranking.why_taken(SMALL) == (
        "its evidence is weak, but nothing that was measured with stronger evidence can be loaded"
    )
    assert rank([SMALL], profile, weak={SMALL.name}).order == (SMALL,)


def test_a_profile_of_other_artifacts_says_nothing() -> None:
    ranking = rank([SMALL], make_profile({LARGE.name: QUICK_WHEN_LARGE}))
    assert (ranking.order, ranking.profile) == ((SMALL,), None)


def test_nothing_is_ranked_of_nothing() -> None:
    assert rank([], make_profile({})).order == ()


def test_a_plan_says_why_the_others_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    use(EchoBackend("echo"), monkeypatch)
    first, half, code = (
        make_artifact("echo"),
        make_artifact("echo", precision=Precision.FP16),
        make_artifact("echo", "x"),
    )
    other = make_artifact("nowhere")
    plan = make_plan(
        make_package(code, half, first, other), Requirements(), FoundProfile(None, "it was measured elsewhere")
    )
    assert plan.order == (first, half)
    assert set(plan.rejected) == {code.name, other.name}
    assert "trust_code" in plan.rejected[code.name]
    assert plan.rejected[other.name] == "no backend named nowhere is registered"
    assert (len(plan.untrusted), plan.ignored) == (1, "it was measured elsewhere")
    assert not make_plan(make_package(first), Requirements(), FoundProfile(None)).untrusted
