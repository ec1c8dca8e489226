"""Admission under overload, in a simulation of a model that computes batches in the order of arrival."""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from contextlib import AbstractContextManager, nullcontext, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.core import DeadlineExceededError, InferoxError, OverloadedError
from inferox.server.congestion import Congestion

TIMEOUT_S = 0.1


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Simulation:
    """Batches of up to ``most`` rows, each of which takes a fixed time, and some time per row.

    Rows that nobody waits for any more are not computed, but those that expire meanwhile are computed in vain.
    """

    def __init__(self, *, most: int, fixed_s: float, row_s: float, is_limited: bool) -> None:
        self.most, self.fixed_s, self.row_s = most, fixed_s, row_s
        self.peak_per_s = most / (fixed_s + most * row_s)
        self.clock = Clock()
        self.congestion = Congestion(TIMEOUT_S, clock=self.clock)
        self.is_limited = is_limited
        self.answered_s: list[float] = []
        self.refused_at_s: list[float] = []
        self.expired, self.least_window = 0, math.inf

    def run(self, rate_per_s: float, seconds: float, seed: int, hang: tuple[float, float] = (math.inf, 0.0)) -> float:
        """Returns the rows per second that were answered in time, as a share of the possible ones.

        A hang is given by its beginning and its length: the batch that would end first in it or after it ends after it.
        """
        draw = random.Random(seed)  # noqa: S311 - a simulation
        arrivals: list[float] = []
        while not arrivals or arrivals[-1] < seconds:
            arrivals.append((arrivals[-1] if arrivals else 0) + draw.expovariate(rate_per_s))
        events = [(at_s, "comes", [row]) for row, at_s in enumerate(arrivals)]
        queue: deque[int] = deque()
        open_rows: dict[int, AbstractContextManager[None]] = {}
        is_busy = False
        while events:
            self.clock.now_s, what, rows = heapq.heappop(events)
            for row in rows:
                if what == "comes":
                    held = self.congestion.admit(1, None, TIMEOUT_S) if self.is_limited else nullcontext()
                    try:
                        held.__enter__()
                    except OverloadedError:
                        self.refused_at_s.append(self.clock.now_s)
                        continue
                    open_rows[row] = held
                    queue.append(row)
                    heapq.heappush(events, (self.clock.now_s + TIMEOUT_S, "expires", [row]))
                elif row in open_rows and what == "ends":
                    open_rows.pop(row).__exit__(None, None, None)
                    self.answered_s.append(self.clock.now_s - arrivals[row])
                elif row in open_rows:
                    self.expired += 1
                    error = DeadlineExceededError("late")
                    with suppress(DeadlineExceededError):
                        open_rows.pop(row).__exit__(DeadlineExceededError, error, None)
            self.least_window = min(self.least_window, self.congestion.window)
            is_busy = is_busy and what != "ends"
            while queue and queue[0] not in open_rows:
                queue.popleft()
            if queue and not is_busy:
                batch, is_busy = [queue.popleft() for _ in range(min(self.most, len(queue)))], True
                ends_s = self.clock.now_s + self.fixed_s + len(batch) * self.row_s
                ends_s = max(ends_s, sum(hang) if ends_s >= hang[0] else 0.0)
                heapq.heappush(events, (ends_s, "ends", batch))
        return len(self.answered_s) / seconds / min(self.peak_per_s, rate_per_s)


@pytest.mark.parametrize("times", [2.0, 10.0])
@pytest.mark.parametrize(("most", "fixed_s"), [(8, 0.0), (16, 0.01)])
def test_under_overload_what_can_be_is_answered(most: int, fixed_s: float, times: float) -> None:
    unlimited = Simulation(most=most, fixed_s=fixed_s, row_s=0.002, is_limited=False)
    assert unlimited.run(times * unlimited.peak_per_s, 2.0, 0) < 0.6
    limited = Simulation(most=most, fixed_s=fixed_s, row_s=0.002, is_limited=True)
    assert limited.run(times * limited.peak_per_s, 3.0, 0) > 0.85
    assert limited.expired < len(limited.answered_s)
    assert limited.refused_at_s


@pytest.mark.parametrize("times", [2.0, 10.0])
@pytest.mark.parametrize(("row_s", "least"), [(0.035, 0.85), (0.024, 0.9), (0.012, 0.9)])
def test_what_takes_a_good_part_of_the_time_for_each_row_is_answered_too(
    row_s: float, least: float, times: float
) -> None:
    simulation = Simulation(most=32, fixed_s=0.0, row_s=row_s, is_limited=True)
    assert simulation.run(times * simulation.peak_per_s, 60.0, 0) > least
    assert simulation.expired < 0.15 * len(simulation.answered_s)


@pytest.mark.parametrize(("most", "fixed_s", "row_s"), [(8, 0.0, 0.002), (64, 0.02, 0.0005)])
@pytest.mark.parametrize("hang_s", [1.5 * TIMEOUT_S, 5 * TIMEOUT_S])
def test_after_a_hang_the_window_soon_lets_in_what_comes(
    hang_s: float, most: int, fixed_s: float, row_s: float
) -> None:
    simulation = Simulation(most=most, fixed_s=fixed_s, row_s=row_s, is_limited=True)
    simulation.run(0.8 * simulation.peak_per_s, 4.0, 0, (1.0, hang_s))
    assert simulation.least_window < 0.4 * simulation.peak_per_s * TIMEOUT_S
    refused = [at_s for at_s in simulation.refused_at_s if at_s > 3.0]
    assert len(refused) < 0.03 * simulation.peak_per_s


def test_without_overload_nothing_is_refused() -> None:
    simulation = Simulation(most=16, fixed_s=0.0, row_s=0.002, is_limited=True)
    assert simulation.run(simulation.peak_per_s / 2, 5.0, 0) > 0.9
    assert (simulation.refused_at_s, simulation.expired, simulation.congestion.window) == ([], 0, math.inf)


def admit(
    congestion: Congestion, items: int, owner: str | None = None, allowed_s: float = TIMEOUT_S
) -> AbstractContextManager[None]:
    held = congestion.admit(items, owner, allowed_s)
    held.__enter__()
    return held


def fail(held: AbstractContextManager[None], clock: Clock, after_s: float = TIMEOUT_S) -> None:
    clock.now_s += after_s
    error = DeadlineExceededError("late")
    with suppress(DeadlineExceededError):
        held.__exit__(DeadlineExceededError, error, None)


def test_requests_that_were_under_way_together_close_the_window_once() -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    together = [admit(congestion, 2) for _ in range(10)]
    fail(together[7], clock)
    assert congestion.window == pytest.approx(0.9 * 16)  # the requests admitted before it, and itself
    for held in together[:7]:
        fail(held, clock)
    assert congestion.window == pytest.approx(0.9 * 16)
    *_, later = [admit(congestion, 2) for _ in range(4)]
    fail(later, clock)
    assert congestion.window == pytest.approx(0.9 * 0.9 * 16)


def test_a_request_that_lets_others_go_first_was_late_because_of_them() -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    patient = admit(congestion, 1)
    for _ in range(50):
        admit(congestion, 2).__exit__(None, None, None)
    fail(patient, clock)
    assert congestion.window == pytest.approx(0.9 * 101)


def test_the_window_has_room_for_one_request_even_if_only_one_came_before_the_first_late_one() -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    patient = admit(congestion, 1)
    admit(congestion, 1).__exit__(None, None, None)
    fail(patient, clock)
    assert congestion.window == pytest.approx(0.9 * 2)
    assert not congestion.is_full


def test_slow_answers_shrink_the_window_and_others_widen_it_where_it_is_used() -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    close_to_18(congestion, clock)
    steps = []
    for used_time in (0.95, 0.5, *(0.5 for _ in range(18)), 0.95, 0.5):
        window, held = congestion.window, [admit(congestion, 4) for _ in range(3)]
        clock.now_s += used_time * TIMEOUT_S
        held[-1].__exit__(None, None, None)
        steps.append((congestion.window - window) / 4)
        del held
    assert [steps[0], steps[1], steps[-2], steps[-1]] == pytest.approx([-0.15, 0.02, -0.15, 0.02])
    assert steps[-3] == pytest.approx(0.2)  # none had been slow for 76 items, which are more than four windows
    window = congestion.window
    with congestion.admit(1, None, TIMEOUT_S):
        pass
    assert congestion.window == window


def test_a_slow_answer_says_nothing_if_nothing_was_before_it_or_it_is_wide() -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    close_to_18(congestion, clock)
    alone = Congestion(TIMEOUT_S, clock=clock)
    alone._window = 18.0
    for some, before, items in ((alone, 0, 4), (congestion, 1, 10)):
        held = [admit(some, 1) for _ in range(before)]
        slow = admit(some, items)
        clock.now_s += 0.95 * TIMEOUT_S
        slow.__exit__(None, None, None)
        assert some.window == pytest.approx(18)
        del held


@pytest.mark.parametrize("error", [DeadlineExceededError("its client is in a hurry"), OverloadedError("no worker")])
def test_what_is_given_up_before_its_time_says_nothing(error: InferoxError) -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    with suppress(InferoxError), congestion.admit(1, None, TIMEOUT_S):
        clock.now_s += TIMEOUT_S / 2
        raise error
    assert congestion.window == math.inf


def close_to_18(congestion: Congestion, clock: Clock) -> None:
    first, late = admit(congestion, 10), admit(congestion, 10)
    fail(late, clock)
    fail(first, clock)  # which was in progress together with the other
    assert congestion.window == pytest.approx(18)


@pytest.mark.parametrize("items", [1, 20])
def test_a_request_that_is_late_with_nothing_before_it_says_nothing(items: int) -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    with congestion.admit(1, None, TIMEOUT_S):
        pass
    fail(admit(congestion, items), clock)
    assert congestion.window == math.inf


def test_a_wide_request_that_is_late_says_nothing() -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    close_to_18(congestion, clock)
    admit(congestion, 1)
    fail(admit(congestion, 10), clock)
    assert congestion.window == pytest.approx(18)


def test_each_owner_has_a_share_and_a_wide_request_comes_in_alone() -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    close_to_18(congestion, clock)
    mine = [admit(congestion, 9, "mine"), admit(congestion, 9, "mine")]
    with pytest.raises(OverloadedError) as refused:
        admit(congestion, 1, "mine")
    assert refused.value.retry_after_s == pytest.approx(TIMEOUT_S)
    yours = [admit(congestion, 4, "yours"), admit(congestion, 5, "yours")]
    with pytest.raises(OverloadedError):
        admit(congestion, 1, "yours")
    wide = admit(congestion, 2048, "others")
    for held in (*mine, *yours, wide):
        held.__exit__(None, None, None)
    with congestion.admit(1, "mine", TIMEOUT_S):
        pass


def test_requests_that_may_take_less_than_the_timeout_have_that_part_of_the_window() -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    together = [admit(congestion, 2, allowed_s=TIMEOUT_S / 4) for _ in range(10)]
    fail(together[7], clock, TIMEOUT_S / 4)
    assert congestion.window == pytest.approx(4 * 0.9 * 16)  # a quarter of the time is enough for 16 of them
    for held in together[:7] + together[8:]:
        held.__exit__(None, None, None)
    window = congestion.window
    hurried = [admit(congestion, 1, allowed_s=TIMEOUT_S / 4) for _ in range(math.floor(window / 4))]
    with pytest.raises(OverloadedError):
        admit(congestion, 1, allowed_s=TIMEOUT_S / 4)
    patient = [admit(congestion, 1) for _ in range(math.floor(window) - len(hurried))]
    with pytest.raises(OverloadedError):
        admit(congestion, 1)
    assert congestion.is_full
    for held in (*hurried, *patient):
        held.__exit__(None, None, None)


def test_clients_that_allow_too_little_for_any_answer_do_not_shut_the_others_out() -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    for _ in range(200):
        first = admit(congestion, 1, allowed_s=TIMEOUT_S / 100)
        with suppress(OverloadedError):
            fail(admit(congestion, 1, allowed_s=TIMEOUT_S / 100), clock, TIMEOUT_S / 100)
        first.__exit__(None, None, None)
    assert 100 <= congestion.window < math.inf  # one of which is always admitted


@pytest.mark.parametrize(("most", "row_s"), [(8, 0.002), (32, 0.024)])
def test_the_window_soon_closes_even_if_such_a_client_was_the_first_to_be_late(most: int, row_s: float) -> None:
    simulation = Simulation(most=most, fixed_s=0.0, row_s=row_s, is_limited=True)
    congestion, clock, allowed_s = simulation.congestion, simulation.clock, TIMEOUT_S / 10_000
    first = admit(congestion, 1, allowed_s=allowed_s)
    fail(admit(congestion, 1, allowed_s=allowed_s), clock, allowed_s)
    first.__exit__(None, None, None)
    assert congestion.window == pytest.approx(0.9 * 2 * 10_000)
    assert simulation.run(3 * simulation.peak_per_s, 10.0, 0) > 0.8


@given(
    st.lists(
        st.tuples(st.integers(1, 20), st.sampled_from(["a", "b", None]), st.sampled_from([0.1, 0.5, 1.0])), max_size=60
    ),
    st.randoms(use_true_random=False),
)
def test_a_refusal_by_headers_holds_for_any_body(
    requests: list[tuple[int, str | None, float]], draw: random.Random
) -> None:
    clock = Clock()
    congestion = Congestion(TIMEOUT_S, clock=clock)
    open_requests: list[AbstractContextManager[None]] = []
    for items, owner, part in requests:
        early = congestion.find_refusal(owner)
        clock.now_s += draw.random() * TIMEOUT_S
        try:
            open_requests.append(admit(congestion, items, owner, part * TIMEOUT_S))
            assert early is None
        except OverloadedError:
            assert congestion.window < math.inf
        assert congestion.window > 1
        if open_requests and draw.random() < 0.7:
            held = open_requests.pop(draw.randrange(len(open_requests)))
            if draw.random() < 0.5:
                held.__exit__(None, None, None)
            else:
                fail(held, clock)
    for held in open_requests:
        held.__exit__(None, None, None)
    assert congestion.find_refusal("a") is None
    assert not congestion.is_full
