"""Memory: idle models make room for others, and return on their next use."""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import psutil
import pytest

from inferox import Engine, EngineConfig
from inferox.core import ConfigError, DeadlineExceededError, InferoxError
from inferox.engine.lineup import Lineup
from inferox.engine.memory_budget import Evictable, MemoryBudget
from inferox.machine import MemoryLimit
from tests.engine.models import DoublingModel, double, load_doubling
from tests.engine.packages import DoublingBackend, Shelf
from tests.engine.test_failover import wait_until


@pytest.fixture
def engine(shelf: Shelf) -> Iterator[Engine]:
    """An engine with three models, two of which fit into memory."""
    with Engine(EngineConfig(memory_limit_bytes=2500, retry_s=3600.0)) as engine:
        for name in ("x", "y", "z"):
            shelf.put(name, [f"{name}1", f"{name}2"], weights_bytes=1000)
            engine.load(name)
        yield engine


def loaded(engine: Engine) -> list[str]:
    return [info.name for info in engine.models() if info.is_loaded]


def ask(engine: Engine, name: str, **options: Any) -> str:
    answer = engine.infer(name, [[1, 2], [3]], **options)
    assert answer.results == [6, 6]
    return answer.artifact.split("/")[1]


def test_the_model_that_was_idle_for_longest_makes_room(engine: Engine, shelf: Shelf) -> None:
    assert loaded(engine) == ["y", "z"]
    assert shelf.backend.find("x1").is_closed
    assert ask(engine, "y") == "y1"
    assert ask(engine, "x") == "x1"
    assert loaded(engine) == ["x", "y"]
    assert (engine.stats("z").evictions, engine.stats("y").evictions) == (1, 0)
    assert len(shelf.backend.models) == 4  # one of them a second time


def test_requests_that_wait_for_a_model_share_the_loading(engine: Engine, shelf: Shelf) -> None:
    together = Barrier(6)

    def ask_together(_: int) -> str:
        together.wait(20)
        return ask(engine, "x")

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask_together, range(6))) == ["x1"] * 6
    assert [model.metadata.format for model in shelf.backend.models].count("x1") == 2


def test_models_that_are_used_all_the_time_share_the_memory(engine: Engine) -> None:
    """Each needs the memory of another that is busy as well, and all are answered."""
    names = [name for name in "xyz" for _ in range(2)]

    def ask_often(name: str) -> int:
        items = [[number] * 9 for number in range(30)]
        for _ in range(5):
            assert engine.infer(name, items).results == double(items)
        return 1

    with ThreadPoolExecutor(len(names)) as pool:
        assert sum(pool.map(ask_often, names)) == len(names)
    assert len(loaded(engine)) <= 2


def test_a_busy_model_ends_its_batch_and_makes_room(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request of the busy model is computed, and another waits, when one for the other model arrives."""
    for name in ("x", "y"):
        shelf.put(name, [f"{name}1"], weights_bytes=1000)
    paused, pause = Event(), Lineup.pause

    def note_pause(lineup: Lineup) -> bool:
        paused.set()
        return pause(lineup)

    monkeypatch.setattr(Lineup, "pause", note_pause)
    with Engine(EngineConfig(memory_limit_bytes=1500)) as engine, ThreadPoolExecutor(3) as pool:
        engine.load("x")
        engine.load("y")
        busy = shelf.backend.find("y1")
        busy.may_go.clear()
        busy.has_begun.clear()
        asked = [pool.submit(ask, engine, "y")]
        assert busy.has_begun.wait(20)
        asked.append(pool.submit(ask, engine, "y"))
        wait_until(lambda: engine.stats("y").waiting_rows == 2)
        asked.append(pool.submit(ask, engine, "x"))
        assert paused.wait(20)
        busy.may_go.set()
        assert [future.result(20) for future in asked] == ["y1", "y1", "x1"]
    assert len(busy.batches) == 2 + 1  # those of the samples, and the first request; the second came back


def test_a_request_keeps_its_deadline_while_its_model_waits_for_memory(shelf: Shelf) -> None:
    for name in ("x", "y"):
        shelf.put(name, [f"{name}1"], weights_bytes=1000)
    with Engine(EngineConfig(memory_limit_bytes=1500)) as engine, ThreadPoolExecutor(1) as pool:
        engine.load("x")
        engine.load("y")
        model = shelf.backend.find("y1")
        model.may_go.clear()
        model.has_begun.clear()
        held = pool.submit(ask, engine, "y")
        assert model.has_begun.wait(20)
        with pytest.raises(DeadlineExceededError):
            ask(engine, "x", deadline_s=0.05)
        model.may_go.set()
        assert held.result(20) == "y1"
        assert ask(engine, "x") == "x1"


def test_one_that_cannot_be_loaded_again_is_replaced(engine: Engine, shelf: Shelf) -> None:
    shelf.backend.broken["x1"] = "lost"
    assert ask(engine, "x") == "x2"
    assert engine.stats("x").failovers == 1
    shelf.backend.broken |= {"z1": "lost", "z2": "lost"}
    assert ask(engine, "y") == "y1"
    with pytest.raises(InferoxError, match="z1 is lost"):
        ask(engine, "z")
    shelf.backend.broken.clear()
    assert ask(engine, "z") == "z1"


def test_an_artifact_is_judged_after_it_came_back(engine: Engine, shelf: Shelf) -> None:
    assert ask(engine, "x") == "x1"
    shelf.backend.broken["x1"] = "raises"
    assert ask(engine, "x") == "x2"
    assert loaded(engine) == ["x", "z"]


def test_what_can_never_have_room_is_refused(engine: Engine, shelf: Shelf) -> None:
    shelf.put("large", ["a"], weights_bytes=2501)
    with pytest.raises(ConfigError, match="the model needs about 2,501 bytes, but memory_limit_bytes is 2,500"):
        engine.load("large")
    assert loaded(engine) == ["y", "z"]


def test_models_that_were_registered_stay(shelf: Shelf) -> None:
    class Registered(DoublingModel):
        def __init__(self) -> None:
            super().__init__()
            self._memory = shelf.backend.find("a").memory_requirements()

    shelf.put("p", ["a"], weights_bytes=1000)
    with Engine(EngineConfig(memory_limit_bytes=1500)) as engine:
        engine.load("p")
        engine.register(load_doubling(Registered()))
        assert loaded(engine) == ["doubling"]
        with pytest.raises(ConfigError, match="beside 1,000 of models that cannot be loaded again"):
            ask(engine, "p")
        engine.unload("doubling")
        assert ask(engine, "p") == "a"


def test_memory_of_what_was_unloaded_or_refused_is_free(shelf: Shelf) -> None:
    shelf.put("p", ["a"], weights_bytes=1000)
    with Engine(EngineConfig(memory_limit_bytes=1500)) as engine:
        for _ in range(3):
            engine.load("p")
            engine.unload("p")
        shelf.backend.broken["a"] = "wrong"
        with pytest.raises(InferoxError):
            engine.load("p")
        shelf.backend.broken.clear()
        engine.load("p")
        assert engine.stats("p").evictions == 0


def test_a_version_is_loaded_once_at_a_time(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.put("p", ["a"])
    with Engine() as engine:
        opened = DoublingBackend._open
        errors: list[str] = []

        def load_again(backend: DoublingBackend, *arguments: Any) -> Any:
            for attempt in (lambda: engine.load("p"), lambda: engine.label("p", "1", "1")):
                with pytest.raises(InferoxError) as caught:
                    attempt()
                errors.append(str(caught.value))
            return opened(backend, *arguments)

        monkeypatch.setattr(DoublingBackend, "_open", load_again)
        engine.load("p")
        assert errors[0].startswith("the version '1' of 'p' is already being loaded")
        assert errors[1].startswith("'1' is a version of 'p'")


class Holder(Evictable):
    """Holds memory, and can be set to busy."""

    def __init__(self, used_s: float = 0.0, *, wanted: bool = False, busy: bool = False) -> None:
        self.used_s, self.wanted, self.busy, self.evicted = used_s, wanted, busy, 0

    @property
    def can_return(self) -> bool:
        return True

    @property
    def is_wanted(self) -> bool:
        return self.wanted

    def evict(self) -> bool:
        self.evicted += not self.busy
        return not self.busy

    def pause(self) -> bool:
        raise AssertionError("nobody waits for it")

    resume = pause  # type: ignore[assignment]


def test_in_a_container_idle_models_make_room_as_far_as_they_can() -> None:
    budget = MemoryBudget(None, read_container=lambda: MemoryLimit(limit_bytes=1000, used_bytes=700))
    old, new, wanted, busy = Holder(1.0), Holder(2.0), Holder(0.0, wanted=True), Holder(0.0, busy=True)
    for holder in (old, new, wanted, busy):
        budget.hold(holder, 150)
    with budget.reserve(300):
        assert [holder.evicted for holder in (old, new, wanted, busy)] == [0, 0, 0, 0]
    with budget.reserve(400):
        assert [holder.evicted for holder in (old, new, wanted, busy)] == [1, 0, 0, 0]
    with budget.reserve(5000):  # only the kernel may refuse it
        assert [holder.evicted for holder in (old, new, wanted, busy)] == [1, 1, 0, 0]


def test_what_is_being_loaded_has_its_room() -> None:
    budget = MemoryBudget(1000, read_container=lambda: None)
    with ThreadPoolExecutor(1) as pool, budget.reserve(600):

        def reserve() -> bool:
            with budget.reserve(600):
                return True

        second = pool.submit(reserve)
        with pytest.raises(TimeoutError):
            second.result(0.1)
        with budget.reserve(400):
            pass
    assert second.result(20)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "1GB"])
def test_limits_that_are_wrong(limit: Any) -> None:
    with pytest.raises(ConfigError, match="memory_limit_bytes must be a positive integer"):
        EngineConfig(memory_limit_bytes=limit)


def test_workers_share_what_there_is() -> None:
    config = EngineConfig(isolation="process", workers=3, threads=7, memory_limit_bytes=3100).of_worker()
    assert (config.isolation, config.workers, config.threads, config.memory_limit_bytes) == ("process", 3, 2, 1033)
    assert EngineConfig(isolation="process", workers=2, threads=1).of_worker().memory_limit_bytes is None


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="another C library's heap")
def test_unloading_a_model_returns_what_the_heap_keeps() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    size, count = 65536, 1000
    with Engine() as engine:
        engine.register(load_doubling(DoublingModel()), name="doubling")
        blocks = [libc.malloc(size) for _ in range(count)]
        for block in blocks:
            ctypes.memset(block, 1, size)
        for block in blocks[:-1]:  # the last one holds the others back
            libc.free(block)
        held = psutil.Process().memory_info().rss
        engine.unload("doubling")
        assert held - psutil.Process().memory_info().rss > size * count // 2
        libc.free(blocks[-1])
