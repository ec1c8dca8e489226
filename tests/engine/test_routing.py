"""Which artifact computes which batch."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import Artifact, ConfigError, DeviceId, ModelMetadata, Precision, available_cores
from inferox.engine.profile import Cell, Profile
from inferox.engine.routing import plan_routes
from tests.engine.backends import make_artifact

SMALL, LARGE = make_artifact("small"), make_artifact("large")
SHAPES = [(1, 8), (16, 8), (1, 128), (16, 128)]
QUICK_WHEN_SMALL = [1.0, 10.0, 20.0, 200.0]
QUICK_WHEN_LARGE = [4.0, 6.0, 8.0, 40.0]


def make_profile(times: dict[str, list[float]], *, threads: int = 2) -> Profile:
    cells = {
        name: tuple(Cell(rows, length, time) for (rows, length), time in zip(SHAPES, listed, strict=True))
        for name, listed in times.items()
    }
    return Profile("d", "m", threads, "2026", cells)


def metadata(artifact: Artifact) -> ModelMetadata:
    return ModelMetadata.of(artifact, DeviceId.cpu())


def test_small_batches_go_to_one_artifact_and_large_ones_to_another() -> None:
    profile = make_profile({SMALL.name: QUICK_WHEN_SMALL, LARGE.name: QUICK_WHEN_LARGE})
    route = plan_routes([SMALL, LARGE], profile, 2)
    assert len(route.order) == 2
    names = [artifact.name for artifact in route.order]
    choose = route.choice(names)
    assert names[choose(1, 8)] == names[choose(2, 9)] == SMALL.name
    assert names[choose(16, 128)] == names[choose(64, 512)] == names[choose(1, 512)] == LARGE.name
    assert names[choose(16, 128)] == LARGE.name  # the second time too
    assert route.wins == {SMALL.name: 1, LARGE.name: 3}
    assert route.why_taken(LARGE) == "measured fastest here for 3 of 4 shapes of batches"


def test_the_first_is_the_best_over_all_shapes_alike() -> None:
    # Its total time is the larger: a single long call would outweigh three short ones.
    profile = make_profile({SMALL.name: [1.0, 1.0, 1.0, 200.0], LARGE.name: [3.0, 3.0, 3.0, 150.0]})
    assert plan_routes([LARGE, SMALL], profile, 2).order == (SMALL, LARGE)


@given(order=st.permutations([SMALL, LARGE]))
def test_the_plan_does_not_depend_on_the_order_of_the_manifest(order: list[Artifact]) -> None:
    profile = make_profile({SMALL.name: QUICK_WHEN_SMALL, LARGE.name: QUICK_WHEN_LARGE})
    assert plan_routes(order, profile, 2).order == plan_routes([SMALL, LARGE], profile, 2).order


@pytest.mark.parametrize(("gain", "worth"), [(1.1, False), (1.3, True)])
def test_a_second_one_must_be_worth_its_memory(gain: float, worth: bool) -> None:
    profile = make_profile({SMALL.name: [1.0 * gain, 1.0, 1.0, 1.0], LARGE.name: [1.0, 2.0, 2.0, 2.0]})
    route = plan_routes([LARGE, SMALL], profile, 2)
    assert route.order == (SMALL, LARGE)
    assert route.is_worth(SMALL, [])
    assert route.is_worth(LARGE, [SMALL.name]) is worth
    assert route.why_not(LARGE, [metadata(SMALL)]) == (
        "it was measured slower, or faster by too little to be worth its memory"
    )


def test_where_the_second_fails_the_third_must_be_worth_its_memory_too() -> None:
    most, little = make_artifact("most"), make_artifact("little")
    times = {SMALL.name: [1.0, 1.0, 1.0, 2.0], most.name: [9.0, 9.0, 9.0, 1.0], little.name: [2.0, 2.0, 2.0, 2.0]}
    route = plan_routes([SMALL, most, little], make_profile(times), 2)
    assert route.order == (SMALL, most, little)
    assert [route.is_worth(item, [SMALL.name]) for item in (most, little)] == [True, False]
    # Where the first fails, they are compared with what took its place.
    assert route.is_worth(little, [most.name])
    assert not route.is_worth(little, [SMALL.name, most.name])


def test_the_second_is_the_one_that_gains_most() -> None:
    some, most = make_artifact("some"), make_artifact("most")
    times = {SMALL.name: [1.0, 1.0, 4.0, 4.0], some.name: [3.0, 3.0, 3.0, 3.0], most.name: [9.0, 9.0, 9.0, 2.0]}
    assert plan_routes([some, most, SMALL], make_profile(times), 2).order == (SMALL, most, some)


def test_a_profile_of_another_thread_budget_is_ignored() -> None:
    profile = make_profile({SMALL.name: QUICK_WHEN_SMALL, LARGE.name: QUICK_WHEN_LARGE}, threads=2)
    route = plan_routes([SMALL, LARGE], profile, 3)
    assert (route.order, route.profile) == ((SMALL, LARGE), None)
    assert not route.is_worth(LARGE, [SMALL.name])
    assert route.choice([SMALL.name, LARGE.name])(16, 128) == 0
    assert "nothing was measured" in route.why_taken(SMALL)
    assert route.why_not(LARGE, [metadata(SMALL)]) == (
        "it comes after small in the order that holds where nothing was measured"
    )


def test_no_budget_is_one_thread_for_each_core() -> None:
    times = {SMALL.name: QUICK_WHEN_SMALL, LARGE.name: QUICK_WHEN_LARGE}
    assert plan_routes([SMALL], make_profile(times, threads=available_cores()), None).profile is not None
    assert plan_routes([SMALL], make_profile(times, threads=available_cores() + 1), None).profile is None
    with pytest.raises(ConfigError, match="threads"):
        plan_routes([SMALL], make_profile(times), 0)


def test_what_was_not_measured_comes_last_and_in_its_order() -> None:
    new, newer = make_artifact("new"), make_artifact("small", precision=Precision.BF16)
    profile = make_profile({SMALL.name: QUICK_WHEN_SMALL, LARGE.name: QUICK_WHEN_LARGE})
    route = plan_routes([new, SMALL, newer, LARGE], profile, 2)
    assert route.order[2:] == (new, newer)
    assert route.why_not(new, [metadata(SMALL)]) == "it was not measured when the package was tuned"
    assert route.choice([new.name, SMALL.name])(1, 8) == 1


def test_a_profile_of_other_artifacts_says_nothing() -> None:
    route = plan_routes([SMALL], make_profile({LARGE.name: QUICK_WHEN_LARGE}), 2)
    assert (route.order, route.profile) == ((SMALL,), None)


def test_one_alone_computes_everything() -> None:
    route = plan_routes([SMALL], make_profile({SMALL.name: QUICK_WHEN_SMALL}), 2)
    assert route.wins == {SMALL.name: 4}
    assert route.choice([SMALL.name])(1, 8) == 0


def test_nothing_is_planned_of_nothing() -> None:
    assert plan_routes([], make_profile({}), 2).order == ()
