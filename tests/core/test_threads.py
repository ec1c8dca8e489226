"""The thread budget."""

import os

import pytest

from inferox.core import ConfigError, available_cores, resolve_threads, threads


def test_the_default_is_what_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "cpu_limit", lambda: None)
    assert resolve_threads(None) == available_cores() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(("limit", "expected"), [(0.1, 1), (1.0, 1), (1.5, 2), (64.0, 8)])
def test_a_container_limits_it(monkeypatch: pytest.MonkeyPatch, limit: float, expected: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(threads, "cpu_limit", lambda: limit)
    assert available_cores() == expected


def test_what_is_asked_for_holds() -> None:
    assert resolve_threads(3) == 3


@pytest.mark.parametrize("wanted", [0, -1])
def test_fewer_than_one_are_refused(wanted: int) -> None:
    with pytest.raises(ConfigError, match="1 or more"):
        resolve_threads(wanted)
