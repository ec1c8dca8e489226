"""The thread budget."""

import os
from typing import Any

import numpy as np
import pytest

from inferox.core import ConfigError
from inferox.machine import available_cores, limit_rayon, resolve_threads, threads


def test_the_default_is_what_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cpu_limit", lambda: None)
    assert resolve_threads(None) == available_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("limit", "expected"), [(0.1, 1), (1.0, 1), (1.5, 2), (64.0, 8)])
def test_a_container_limits_it(monkeypatch: pytest.MonkeyPatch, limit: float, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(threads, "cpu_limit", lambda: limit)
    assert available_cores() == expected


def test_the_requested_number_holds() -> None:
    assert resolve_threads(3) == 3
    assert type(resolve_threads(np.int64(3))) is int  # type: ignore[arg-type]


def test_far_more_threads_than_cores_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # ONNX Runtime starts 100,000 threads if told to, and PyTorch ends the process.
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert resolve_threads(64) == 64
    with pytest.raises(ConfigError, match="the number of threads may be at most 64 on this machine, but is 65"):
        resolve_threads(65)
    monkeypatch.setattr(os, "cpu_count", lambda: 192)
    assert resolve_threads(192) == 192


RAYON = "RAYON_NUM_THREADS"


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> int:
    """A process that has not set a budget yet, and may use 6 cores."""
    monkeypatch.setattr(threads, "_rayon", type(threads._rayon)())
    monkeypatch.setattr(threads, "available_cores", lambda: 6)
    monkeypatch.setenv(RAYON, "0")  # so that any changes are reverted
    monkeypatch.delenv(RAYON)
    return 6


def test_every_budget_reaches_rayon(cores: int) -> None:
    for wanted, expected in ((1, 1), (None, cores), (3, 3), (None, cores), (2, 2)):
        assert limit_rayon(wanted) == expected
        assert os.environ[RAYON] == str(expected)


def test_what_the_operator_has_set_stays(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RAYON, "4")
    for _ in range(2):
        assert limit_rayon(None) == 4 != cores
        assert os.environ[RAYON] == "4"


def test_the_operators_setting_holds_again_after_a_requested_number(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(RAYON, "4")
    assert limit_rayon(1) == 1
    assert os.environ[RAYON] == "1"
    assert limit_rayon(None) == 4 != cores
    assert os.environ[RAYON] == "4"


def test_the_operator_may_change_it_at_any_time(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_rayon(1)
    monkeypatch.setenv(RAYON, "5")
    assert limit_rayon(None) == 5
    monkeypatch.delenv(RAYON)
    assert limit_rayon(None) == cores


@pytest.mark.parametrize("value", ["0", "many", "", "-2"])
def test_a_value_that_rayon_cannot_use_is_one_thread_for_each_core(
    cores: int, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(RAYON, value)
    assert limit_rayon(None) == cores
    assert os.environ[RAYON] == value


def test_a_budget_that_is_refused_changes_nothing(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RAYON, "4")
    with pytest.raises(ConfigError, match="a positive integer"):
        limit_rayon(0)
    assert os.environ[RAYON] == "4"
    assert limit_rayon(None) == 4 != cores


@pytest.mark.parametrize("threads", [0, -1, "2", 1.5, True])
def test_a_number_of_threads_that_is_none(threads: Any) -> None:
    with pytest.raises(ConfigError, match="must be a positive integer"):
        resolve_threads(threads)
