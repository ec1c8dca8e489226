"""Which artifact computes which batch."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import Artifact, Precision
from inferox.engine.profile import Cell, Profile
from inferox.engine.routing import Route, plan_routes
from inferox.package import ParityClass
from tests.engine.backends import make_artifact

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


def route_of(*measured: tuple[Artifact, list[float]]) -> Route:
    return plan_routes(
        [artifact for artifact, _ in measured], make_profile({artifact.name: times for artifact, times in measured})
    )


def load_all(route: Route, *failing: Artifact) -> list[Artifact]:
    """What is loaded where some artifacts cannot be."""
    left = list(route.order)
    loaded: list[Artifact] = []
    while (artifact := route.choose_next(left, loaded)) is not None:
        left.remove(artifact)
        if artifact not in failing:
            loaded.append(artifact)
    return loaded


def test_small_batches_go_to_one_artifact_and_large_ones_to_another() -> None:
    route = route_of((SMALL, QUICK_WHEN_SMALL), (LARGE, QUICK_WHEN_LARGE))
    loaded = load_all(route)
    assert loaded == [LARGE, SMALL]
    names = [artifact.name for artifact in loaded]
    choose = route.choice(names)
    assert names[choose(1, 8)] == names[choose(2, 9)] == SMALL.name
    assert names[choose(16, 128)] == names[choose(64, 512)] == names[choose(1, 512)] == LARGE.name
    assert names[choose(16, 128)] == LARGE.name  # the second time too
    assert route.why_taken(LARGE, loaded) == (
        f"measured fastest here for 3 of 4 shapes of batches; shares the work with {SMALL.name}"
    )
    assert "for 1 of 4 shapes" in route.why_taken(SMALL, loaded)


def test_what_is_not_loaded_wins_nothing() -> None:
    third = make_artifact("small", precision=Precision.INT8)  # the fastest for one shape, and of another precision
    route = route_of((SMALL, QUICK_WHEN_SMALL), (LARGE, QUICK_WHEN_LARGE), (third, [0.9, 99.0, 99.0, 999.0]))
    assert load_all(route) == [LARGE, SMALL]
    assert "for 1 of 4 shapes" in route.why_taken(SMALL, [LARGE, SMALL])
    assert "for 3 of 4 shapes" in route.why_taken(LARGE, [LARGE, SMALL])


def test_the_first_is_the_best_over_all_shapes_alike() -> None:
    # Its total time is the larger: a single long call would outweigh three short ones.
    assert route_of((LARGE, [3.0, 3.0, 3.0, 150.0]), (SMALL, [1.0, 1.0, 1.0, 200.0])).order == (SMALL, LARGE)


@given(order=st.permutations([SMALL, LARGE]))
def test_the_plan_does_not_depend_on_the_order_of_the_manifest(order: list[Artifact]) -> None:
    profile = make_profile({SMALL.name: QUICK_WHEN_SMALL, LARGE.name: QUICK_WHEN_LARGE})
    assert plan_routes(order, profile).order == plan_routes([SMALL, LARGE], profile).order


@pytest.mark.parametrize(
    ("times", "worth"),
    [
        ([1.3, 1.3, 1.0, 1.0], True),
        ([1.1, 1.1, 1.1, 1.1], False),  # nowhere faster by 15%
        ([1.17, 1.0, 1.0, 1.0], False),  # for a single shape, which changes the mean by less than 5%
        ([1.3, 1.0, 1.0, 1.0], True),
    ],
)
def test_a_second_one_must_be_worth_its_memory(times: list[float], worth: bool) -> None:
    second = [1.0, 1.0, 9.0, 9.0]
    route = route_of((LARGE, second), (SMALL, times))
    assert route.order == (SMALL, LARGE)
    assert load_all(route) == ([SMALL, LARGE] if worth else [SMALL])
    if not worth:
        reason = "it was measured slower, or faster by too little to be worth its memory"
        assert route.why_not(LARGE, [SMALL]) == reason
        assert route.why_taken(SMALL, [SMALL]) == "measured fastest here over all shapes of batches"


def test_the_second_is_the_one_that_lowers_the_mean_most() -> None:
    deep, wide = make_artifact("deep"), make_artifact("wide")
    # The one is much faster for one shape, the other somewhat for three.
    times = (SMALL, [1.6, 1.6, 1.6, 1.6]), (deep, [1.0, 5.0, 5.0, 5.0]), (wide, [5.0, 1.3, 1.3, 1.3])
    assert load_all(route_of(*times)) == [SMALL, wide]


def test_where_one_fails_the_others_are_compared_with_what_took_its_place() -> None:
    most, little = make_artifact("most"), make_artifact("little")
    times = (SMALL, [1.0, 1.0, 1.0, 2.0]), (most, [9.0, 9.0, 9.0, 1.0]), (little, [2.0, 2.0, 2.0, 2.0])
    route = route_of(*times)
    assert route.order == (SMALL, little, most)
    assert load_all(route) == [SMALL, most]
    assert load_all(route, most) == [SMALL]
    assert load_all(route, SMALL) == [little, most]
    assert load_all(route, SMALL, little) == [most]
    assert load_all(route, SMALL, little, most) == []


def test_only_what_computes_the_same_shares_the_work() -> None:
    half = make_artifact("large", precision=Precision.FP16)
    route = route_of((SMALL, QUICK_WHEN_SMALL), (half, QUICK_WHEN_LARGE))
    assert load_all(route) == [half]
    assert route.why_not(SMALL, [half]) == (
        f"it does not compute the same as {half.name}, which was measured faster over all shapes"
    )
    assert load_all(route, half) == [SMALL]


@pytest.mark.parametrize(
    ("parity", "shared"),
    [
        ({SMALL.name: ParityClass.EXACT, LARGE.name: ParityClass.EXACT}, True),
        ({SMALL.name: ParityClass.EXACT, LARGE.name: ParityClass.CLOSE}, False),
        ({SMALL.name: ParityClass.EXACT}, False),
        ({}, True),
    ],
)
def test_only_what_agrees_alike_shares_the_work(parity: dict[str, ParityClass], shared: bool) -> None:
    profile = make_profile({SMALL.name: QUICK_WHEN_SMALL, LARGE.name: QUICK_WHEN_LARGE})
    assert load_all(plan_routes([SMALL, LARGE], profile, parity)) == ([LARGE, SMALL] if shared else [LARGE])


def test_one_that_fails_at_some_shapes_comes_after_those_that_do_not() -> None:
    failing = [0.1, 0.1, math.inf, math.inf]
    route = route_of((LARGE, failing), (SMALL, [1.0, 1.0, 1.0, 1.0]))
    loaded = load_all(route)
    assert loaded == [SMALL, LARGE]
    choose = route.choice([artifact.name for artifact in loaded])
    assert [loaded[choose(*shape)] for shape in SHAPES] == [LARGE, LARGE, SMALL, SMALL]


def test_without_measurements_the_first_that_loads_is_taken() -> None:
    route = plan_routes([SMALL, LARGE], None)
    assert (route.order, route.profile) == ((SMALL, LARGE), None)
    assert load_all(route) == [SMALL]
    assert load_all(route, SMALL) == [LARGE]
    assert route.choice([SMALL.name, LARGE.name])(16, 128) == 0
    assert "nothing was measured" in route.why_taken(SMALL, [SMALL])
    assert route.why_not(LARGE, [SMALL]) == "it comes after small in the order that holds where nothing was measured"


def test_what_was_not_measured_comes_last_and_in_its_order() -> None:
    new, newer = make_artifact("new"), make_artifact("small", precision=Precision.BF16)
    profile = make_profile({SMALL.name: QUICK_WHEN_SMALL, LARGE.name: QUICK_WHEN_LARGE})
    route = plan_routes([new, SMALL, newer, LARGE], profile)
    assert route.order[2:] == (new, newer)
    assert load_all(route, SMALL) == [LARGE]
    assert load_all(route, SMALL, LARGE) == [new]
    assert route.why_not(new, [SMALL]) == "it was not measured when the package was tuned"
    assert route.why_taken(new, [new]) == "it was not measured, and nothing that was measured can be loaded"
    assert route.choice([new.name, SMALL.name])(1, 8) == 1


def test_a_profile_of_other_artifacts_says_nothing() -> None:
    route = plan_routes([SMALL], make_profile({LARGE.name: QUICK_WHEN_LARGE}))
    assert (route.order, route.profile) == ((SMALL,), None)


def test_one_alone_computes_everything() -> None:
    assert route_of((SMALL, QUICK_WHEN_SMALL)).choice([SMALL.name])(1, 8) == 0


def test_nothing_is_planned_of_nothing() -> None:
    route = plan_routes([], make_profile({}))
    assert route.order == ()
    assert load_all(route) == []
