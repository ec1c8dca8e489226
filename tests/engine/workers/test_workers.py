"""Worker processes: whatever ends one of them, every request gets its own answer or an error of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from inferox import Engine, EngineConfig
from inferox.core import (
    ConfigError,
    DeadlineExceededError,
    ExecutionError,
    InferoxError,
    LoadError,
    ModelNotFoundError,
    OutOfMemoryError,
    PackageError,
    RequestError,
    UntrustedCodeError,
)
from inferox.engine.answer import Answer
from inferox.engine.request import RequestOptions
from inferox.engine.stats import ModelStats
from inferox.engine.workers.channel import _HEADER, INLINE_BYTES
from inferox.engine.workers.link import WorkerLink
from inferox.engine.workers.pool import WorkerPool
from inferox.engine.workers.pooled_request import Part, PooledRequest
from inferox.engine.workers.sandbox import Sandbox
from inferox.engine.workers.suspects import Death
from tests.engine.models import POISON, double
from tests.engine.workers.factories import (
    BOMB,
    CRASH,
    FATAL_FILE,
    GONE_FILE,
    HANG,
    HERE,
    LOADS_FILE,
    SLOW,
    SLOW_S,
    STUCK,
)

DANGEROUS = f"{HERE}make_dangerous"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """Two workers, whose deaths the tests share."""
    config = EngineConfig(isolation="process", workers=2, threads=2, hang_limit_s=1.0)
    with Engine(config) as engine:
        engine.load(DANGEROUS, name="model", trust_code=True)
        yield engine


def pids(engine: Engine) -> set[int]:
    return {worker.pid for worker in engine.workers() if not worker.is_sandbox}


def wait_until(is_so: object, *, timeout_s: float = 20.0) -> None:
    assert callable(is_so)
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def wait_for_both(engine: Engine) -> None:
    wait_until(lambda: sum(not worker.is_sandbox and "model" in worker.models for worker in engine.workers()) == 2)


def make_items(count: int, seed: int) -> list[list[int]]:
    numbers = np.random.default_rng(seed)
    return [numbers.integers(20, 500, size=numbers.integers(1, 50)).tolist() for _ in range(count)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"


def test_requests_of_all_kinds_are_answered(engine: Engine) -> None:
    items = make_items(40, seed=0)
    answer = engine.infer("model", items)
    assert answer.results == double(items)
    assert (answer.model, answer.version, answer.artifact) == ("model", "1", "numpy/function/fp32/padded")
    assert [answer.results for answer in engine.infer_many("model", [items, items[:3]])] == [
        double(items),
        double(items[:3]),
    ]
    assert list(engine.stream("model", iter(items), chunk=7)) == double(items)
    assert engine.infer("model", []).results == []
    # Anything over 64 KiB goes through a file.
    large = np.arange(1_000, 21_000)
    assert engine.infer("model", [large, [1]]).results == [2 * int(large.sum()), 2]
    assert engine.stats("model").rows >= 40


def test_an_error_is_its_own(engine: Engine) -> None:
    with pytest.raises(ExecutionError, match=r"^item 2: .*a number is poison") as caught:
        engine.infer("model", [[1], [2], [POISON]])
    assert caught.value.item == 2
    with pytest.raises(RequestError, match="text 1 is loud"):
        engine.infer("model", ["quiet", "loud!"])
    with pytest.raises(RequestError, match="text 0 has a lone surrogate at character 1"):
        engine.infer("model", ["a\ud800"])
    with pytest.raises(RequestError, match="an item of the type object cannot leave this process"):
        engine.infer("model", [object()])
    with pytest.raises(RequestError, match="expected a list of items, but got a single one"):
        engine.infer("model", "text")
    with pytest.raises(ModelNotFoundError):
        engine.infer("other", [[1]])


def infer_among_others(engine: Engine, items: list[list[int]]) -> None:
    """Sends a request's items beside 19 others, each of which must get its own answer."""
    requests = [make_items(3, seed=index) for index in range(20)]
    requests[7] = items
    with ThreadPoolExecutor(20) as pool:
        futures = [pool.submit(engine.infer, "model", each) for each in requests]
        for index, (future, each) in enumerate(zip(futures, requests, strict=True)):
            if index != 7:
                assert future.result(30).results == double(each)
        futures[7].result(30)


def test_an_item_that_takes_all_memory_fails_alone(engine: Engine) -> None:
    wait_for_both(engine)
    alive = pids(engine)
    with pytest.raises(OutOfMemoryError, match=r"^item 1: computing 'model' failed: Unable to allocate") as caught:
        infer_among_others(engine, [[1], [2, BOMB], [3]])
    assert caught.value.item == 1
    assert pids(engine) == alive


def test_no_request_is_lost_when_workers_are_killed(engine: Engine) -> None:
    requests = [make_items(1 + index % 4, seed=index) for index in range(400)]
    answered = 0

    async def ask_all() -> list[list[int]]:
        nonlocal answered
        left = iter(enumerate(requests))
        found: list[list[int]] = [[] for _ in requests]

        async def ask() -> None:
            nonlocal answered
            for index, items in left:
                found[index] = (await engine.ainfer("model", items)).results
                answered += 1
                if answered in {100, 250}:
                    for pid in pids(engine):
                        os.kill(pid, signal.SIGKILL)

        await asyncio.gather(*(ask() for _ in range(64)))
        return found

    wait_for_both(engine)
    before = pids(engine)
    assert asyncio.run(ask_all()) == [double(items) for items in requests]
    wait_for_both(engine)
    assert not pids(engine) & before


@pytest.mark.parametrize(
    ("number", "how"), [(CRASH, "SIGSEGV"), (HANG, "it computed for more than 1 s"), (STUCK, "than 1 s")]
)
def test_an_item_that_ends_workers_fails_alone(engine: Engine, number: int, how: str) -> None:
    wait_for_both(engine)
    quarantined, restarts = engine.stats("model").quarantined_rows, engine.restarts()
    engine.infer("model", [[1]])
    with pytest.raises(RequestError, match=rf"^item 1: two worker processes died of it; .*{how}") as caught:
        infer_among_others(engine, [[1], [2, number], [3]])
    assert caught.value.item == 1
    wait_for_both(engine)
    assert engine.stats("model").quarantined_rows == quarantined + 1
    assert engine.restarts()["worker"] > restarts["worker"]
    alive = pids(engine)
    with pytest.raises(RequestError, match="item 2: computing it ended a worker process recently"):
        engine.infer("model", [[1], [2], [2, number]])
    assert engine.infer("model", [[1], [2], [2, 1]]).results == [2, 4, 6]
    assert pids(engine) == alive


def test_after_a_death_a_crash_takes_no_mates_along(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests arrive at once; without a limit they would share batches, and be suspected together."""
    assert isinstance(engine._host, WorkerPool)
    suspects: list[int] = []
    take = Sandbox.take

    def note(sandbox: Sandbox, part: Part, death: Death) -> None:
        suspects.append(part.items[0][0])
        take(sandbox, part, death)

    with pytest.raises(RequestError):
        engine.infer("model", [[CRASH, 1]])
    wait_for_both(engine)
    monkeypatch.setattr(Sandbox, "take", note)
    with ThreadPoolExecutor(32) as threads:
        slow = [threads.submit(engine.infer, "model", [[SLOW, index]]) for index in range(2)]
        time.sleep(SLOW_S / 3)
        futures = [threads.submit(engine.infer, "model", [[100 + index]]) for index in range(20)]
        bad = threads.submit(engine.infer, "model", [[CRASH, 2]], priority=-1)
        with pytest.raises(RequestError, match="two worker processes died of it"):
            bad.result(30)
        assert [future.result(30).results for future in slow] == [[2 * SLOW], [2 * (SLOW + 1)]]
        assert [future.result(30).results for future in futures] == [[2 * (100 + index)] for index in range(20)]
    assert suspects == [CRASH]


def test_an_item_is_not_to_blame_where_somebody_kills_the_sandbox(engine: Engine) -> None:
    wait_for_both(engine)
    assert isinstance(engine._host, WorkerPool)
    pool = engine._host

    def wait_and_kill(links: Callable[[], list[WorkerLink]]) -> None:
        wait_until(lambda: any(link.process.flights.read() for link in links()))
        for link in links():
            if link.process.flights.read():
                os.kill(link.process.pid, signal.SIGKILL)

    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(engine.infer, "model", [[1], [SLOW, 77]])
        wait_and_kill(lambda: list(pool._links))
        wait_and_kill(pool._sandbox.links)
        assert answer.result(30).results == [2, 2 * (SLOW + 77)]


def test_a_worker_that_cannot_read_a_message_is_replaced(engine: Engine) -> None:
    wait_for_both(engine)
    assert isinstance(engine._host, WorkerPool)
    for link in engine._host._links:
        link.process.channel._socket.sendall(_HEADER.pack(10, INLINE_BYTES, 1))  # no file comes with it
    assert engine.infer("model", [[1]], deadline_s=20).results == [2]


def test_nothing_is_counted_where_no_worker_has_the_model(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(engine._host, WorkerPool)
    monkeypatch.setattr(engine._host, "links_of", lambda _: [])
    assert replace(engine.stats("model"), quarantined_rows=0) == ModelStats()


def test_a_model_of_the_same_key_is_left_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two threads may load a package by its own name, each in another worker."""
    wait_for_both(engine)
    pool = engine._host
    assert isinstance(pool, WorkerPool)
    info = next(model for model in engine.models() if model.version == "1")
    unloaded: Future[None] = Future()
    unloaded.set_result(None)
    link = SimpleNamespace(unload=lambda *_: unloaded)
    monkeypatch.setattr("inferox.engine.workers.pool.load_first", lambda *_: (link, info))
    with pytest.raises(ConfigError, match="already has the version '1'"):
        engine.load(DANGEROUS, trust_code=True)
    assert engine.infer("model", [[1]], version="1", deadline_s=20).results == [2]


def test_deadlines_and_cancellations_reach_the_workers(engine: Engine) -> None:
    wait_for_both(engine)
    before = engine.stats("model").rows

    async def give_up() -> None:
        # Each worker computes something slow, while other rows wait.
        slow = [asyncio.create_task(engine.ainfer("model", [[SLOW, index]])) for index in range(2)]
        await asyncio.sleep(SLOW_S / 3)
        waiting = [asyncio.create_task(engine.ainfer("model", [[100 + index] * 3] * 50)) for index in range(10)]
        await asyncio.sleep(0.05)
        for task in waiting:
            task.cancel()
        began = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            await engine.ainfer("model", [[1]], deadline_s=0.05)
        assert time.monotonic() - began < SLOW_S
        assert [(await task).results for task in slow] == [[2 * SLOW], [2 * (SLOW + 1)]]

    asyncio.run(give_up())
    with pytest.raises(DeadlineExceededError):
        engine.infer("model", [[SLOW]], deadline_s=0.05)
    assert engine.infer("model", [[1]]).results == [2]
    assert engine.stats("model").rows - before < 20


def test_versions_come_and_go_in_every_worker(engine: Engine) -> None:
    wait_for_both(engine)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(engine.infer, "model", [[SLOW]])
        info = engine.load(DANGEROUS, name="model", version="2", trust_code=True)
        assert (info.version, info.labels) == ("2", ("latest",))
        assert engine.infer("model", [[1]]).version == "2"
        assert engine.infer("model", [[1]], version="1").version == "1"
        assert slow.result(20).version == "1"
    with pytest.raises(ConfigError, match="already has the version '2'"):
        engine.load(DANGEROUS, name="model", version="2", trust_code=True)
    for pid in pids(engine):  # their replacements have both versions
        os.kill(pid, signal.SIGKILL)
    assert engine.infer("model", [[3]], version="2").results == [6]
    assert engine.infer("model", [[3]], version="1").results == [6]
    engine.unload("model", "2")
    assert [model.version for model in engine.models()] == ["1"]
    assert engine.infer("model", [[1]]).version == "1"


def test_what_an_unloaded_model_had_is_freed_even_if_it_refers_to_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    gone = tmp_path / "gone"
    monkeypatch.setenv(GONE_FILE, str(gone))
    with Engine(EngineConfig(isolation="process", threads=1)) as engine:
        engine.load(f"{HERE}make_knotted", name="model", trust_code=True)
        assert engine.infer("model", [[1]]).results == [2]
        assert not gone.exists()
        engine.unload("model")
        wait_until(gone.exists)


def test_a_worker_that_is_stopped_holds_nothing_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    wait_for_both(engine)
    engine.load(DANGEROUS, name="model", version="2", trust_code=True)
    engine.infer_many("model", [[[1]]] * 20, version="1")
    before = engine.stats("model", "1").rows
    stopped = min(pids(engine))
    os.kill(stopped, signal.SIGSTOP)
    with monkeypatch.context() as patch:
        patch.setattr("inferox.engine.workers.broadcast._COUNT_S", 0.1)
        patch.setattr("inferox.engine.workers.broadcast._UNLOAD_S", 0.1)
        assert engine.stats("model").missing_workers == 1
        patch.setattr("inferox.engine.workers.broadcast._COUNT_S", 600.0)  # nobody waits for it a second time
        found = engine.stats("model", "1")
        assert (found.missing_workers, found.rows) == (1, before)  # with what it last reported
        engine.unload("model", "2")
    wait_until(lambda: stopped not in pids(engine))
    wait_for_both(engine)
    assert not is_alive(stopped)
    assert engine.stats("model").missing_workers == 0


def test_what_cannot_be_loaded(engine: Engine, tmp_path: Path) -> None:
    wait_for_both(engine)
    with pytest.raises(UntrustedCodeError, match="is code"):
        engine.load(DANGEROUS)
    with pytest.raises(PackageError, match="returned a int"):
        engine.load(f"{HERE}make_number", trust_code=True)
    with pytest.raises(PackageError) as here:
        Engine().load(tmp_path / "nothing")
    with pytest.raises(type(here.value)) as there:
        engine.load(tmp_path / "nothing")
    assert str(there.value) == str(here.value)
    with pytest.raises(LoadError, match=r"the worker process that was to load it died: .*SIGSEGV"):
        engine.load(f"{HERE}make_nothing", trust_code=True)
    assert engine.infer("model", [[1]]).results == [2]


def test_what_a_worker_dies_of_beside_a_load_is_not_the_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "loads"
    log.touch()
    monkeypatch.setenv(LOADS_FILE, str(log))
    with Engine(EngineConfig(isolation="process", threads=1)) as engine, ThreadPoolExecutor(1) as pool:
        engine.load(DANGEROUS, name="model", trust_code=True)
        load = pool.submit(engine.load, f"{HERE}make_slowly", name="slow", trust_code=True)
        for place in range(3):
            wait_until(lambda deaths=place: len(log.read_text().splitlines()) > deaths)
            with pytest.raises(RequestError, match="two worker processes died of it"):
                engine.infer("model", [[CRASH, place]])
        load.result(30)
        assert engine.infer("slow", [[1]]).results == [2]


def test_a_model_that_cannot_be_loaded_takes_no_other_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = tmp_path / "loads"
    log.touch()
    monkeypatch.setenv(LOADS_FILE, str(log))
    with Engine(EngineConfig(isolation="process", threads=1)) as engine, ThreadPoolExecutor(1) as pool:
        load = pool.submit(engine.load, f"{HERE}make_slowly", name="slow", trust_code=True)
        wait_until(log.read_text)
        with pytest.raises(LoadError, match="the worker process that was to load it died"):
            engine.load(f"{HERE}make_nothing", name="fatal", trust_code=True)
        load.result(30)
        assert engine.infer("slow", [[1]]).results == [2]


def test_models_that_cannot_be_loaded_are_no_fault_of_the_workers() -> None:
    with Engine(EngineConfig(isolation="process", threads=1)) as engine:
        for name in ("a", "b"):
            with pytest.raises(LoadError, match="the worker process that was to load it died"):
                engine.load(f"{HERE}make_nothing", name=name, trust_code=True)
        engine.load(DANGEROUS, name="model", trust_code=True)
        for name in ("a", "b"):
            with pytest.raises(LoadError, match="the worker process that was to load it died"):
                engine.load(f"{HERE}make_nothing", name=name, trust_code=True)
        assert engine.infer("model", [[1]]).results == [2]


def test_an_object_of_this_process_is_refused(engine: Engine) -> None:
    from tests.engine.workers.factories import make_dangerous

    with make_dangerous() as model, pytest.raises(ConfigError, match="is an object of this process"):
        engine.register(model)


def test_a_worker_that_ends_while_it_loads_is_started_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(FATAL_FILE, str(tmp_path / "fatal"))
    with Engine(EngineConfig(isolation="process", threads=1)) as engine:
        engine.load(DANGEROUS, name="model", trust_code=True)
        engine.load(f"{HERE}make_once", name="once", trust_code=True)
        (tmp_path / "fatal").touch()
        os.kill(next(iter(pids(engine))), signal.SIGKILL)
        wait_until(lambda: "(2 in a row)" in caplog.text)
        (tmp_path / "fatal").unlink()
        assert engine.infer("once", [[1]]).results == [2]


def test_requests_wait_for_a_worker_again_once_one_has_loaded_a_model(caplog: pytest.LogCaptureFixture) -> None:
    with Engine(EngineConfig(isolation="process", threads=1)) as engine:
        for times in (1, 2, 3):
            wait_until(lambda: pids(engine))
            os.kill(next(iter(pids(engine))), signal.SIGKILL)
            wait_until(lambda times=times: f"({times} in a row)" in caplog.text)
        wait_until(lambda: pids(engine))
        engine.load(DANGEROUS, name="model", trust_code=True)
        os.kill(next(iter(pids(engine))), signal.SIGKILL)
        assert engine.infer("model", [[1]]).results == [2]


def test_closing_leaves_nothing_behind() -> None:
    def count() -> tuple[int, int, int]:
        files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the descriptors, not the files
        maps = Path("/proc/self/maps").read_text(encoding="ascii").count("memfd:inferox")
        return files, threading.active_count(), maps

    before = count()
    with Engine(EngineConfig(isolation="process", threads=1)) as engine:
        engine.load(DANGEROUS, name="model", trust_code=True)
        with pytest.raises(RequestError, match="two worker processes died of it"):
            engine.infer("model", [[CRASH]])
        workers = [worker.pid for worker in engine.workers()]
        assert engine.infer("model", [np.arange(1_000, 21_000)]).results
    assert not any(map(is_alive, workers))
    assert count() == before
    with pytest.raises(InferoxError, match="the engine is closed"):
        engine.infer("model", [[1]])
    with pytest.raises(InferoxError, match="the engine is closed"):
        engine.load(DANGEROUS, trust_code=True)


def test_closing_waits_for_no_worker_that_still_loads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(LOADS_FILE, str(tmp_path / "loads"))
    monkeypatch.setenv(GONE_FILE, str(tmp_path / "gone"))
    monkeypatch.setattr("inferox.engine.workers.broadcast._UNLOAD_S", 0.5)
    with Engine(EngineConfig(isolation="process", threads=1)) as engine:
        engine.load(f"{HERE}make_only_once", name="model", trust_code=True)
        os.kill(next(iter(pids(engine))), signal.SIGKILL)
        wait_until(lambda: (tmp_path / "loads").read_text(encoding="ascii"))
    assert "did not unload" not in caplog.text
    assert "cannot compute" not in caplog.text
    assert not (tmp_path / "gone").exists()  # Python did not end while a thread was loading


@pytest.fixture
def lone_worker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """One worker, so that requests share its batches."""
    monkeypatch.setenv(FATAL_FILE, str(tmp_path / "fatal"))
    hang_limit_s: float = getattr(request, "param", 1.0)
    with Engine(EngineConfig(isolation="process", threads=1, hang_limit_s=hang_limit_s)) as engine:
        engine.load(DANGEROUS, name="model", trust_code=True)
        yield engine


async def ask_in_one_batch(engine: Engine, numbers: Sequence[int]) -> list[asyncio.Task[Answer]]:
    """Asks for rows while the worker is busy with another, after which they share a batch."""
    # It is long: after a row of one number that took so long, another would have to hang for 6 seconds to be noticed.
    busy = asyncio.create_task(engine.ainfer("model", [[SLOW] * 1000]))
    await asyncio.sleep(SLOW_S / 3)
    tasks = [asyncio.create_task(engine.ainfer("model", [[number]])) for number in numbers]
    await busy
    return tasks


# It makes way after the time that a start takes, which must be less, on slow machines too.
@pytest.mark.parametrize("lone_worker", [8.0], indirect=True)
def test_a_suspect_that_hangs_makes_way_for_the_others(lone_worker: Engine) -> None:
    ended: list[int] = []
    numbers = [21, HANG, 22, 23]

    def note(number: int, _: object) -> None:
        ended.append(number)

    async def run() -> list[Answer | BaseException]:
        tasks = await ask_in_one_batch(lone_worker, numbers)
        for number, task in zip(numbers, tasks, strict=True):
            task.add_done_callback(partial(note, number))
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = asyncio.run(run())
    assert [each.results for each in found if isinstance(each, Answer)] == [[42], [44], [46]]
    with pytest.raises(RequestError, match="two worker processes died of it; of the last, it was ended because"):
        raise cast("BaseException", found[1])
    assert ended == [21, 22, 23, HANG]


def test_nobody_is_blamed_for_a_suspect_whose_caller_left(lone_worker: Engine) -> None:
    async def run() -> list[Answer]:
        first, hanging, *others = await ask_in_one_batch(lone_worker, [21, HANG, 22, 23])
        answers = [await first]
        hanging.cancel()
        return answers + [await task for task in others]

    assert [answer.results for answer in asyncio.run(run())] == [[42], [44], [46]]


def suspect(engine: Engine, name: str, item: Sequence[int], *, deadline_s: float | None = None) -> Future[Answer]:
    """Has the sandbox compute an item, as if a worker had died with it."""
    host = cast("WorkerPool", engine._host)
    (model,) = (model for model in host._models.values() if model.name == name)
    request = PooledRequest(model, [item], RequestOptions(deadline_s), time.monotonic())
    host._sandbox.take(Part.of_all(request), Death("a worker died"))
    return request.future


def test_suspects_that_equal_one_that_hangs_do_not_put_off_its_verdict(lone_worker: Engine) -> None:
    assert suspect(lone_worker, "model", [21]).result(60).results == [42]
    hanging = [suspect(lone_worker, "model", [HANG]) for _ in range(4)]
    other = suspect(lone_worker, "model", [22])
    hanging += [suspect(lone_worker, "model", [HANG]) for _ in range(4)]
    assert other.result(60).results == [44]
    for each in hanging:
        assert isinstance(each.exception(60), RequestError)
    assert lone_worker.restarts()["sandbox"] <= 2  # once to make way, and once for all of them


def test_nobody_is_blamed_for_a_suspect_whose_deadline_passed(lone_worker: Engine) -> None:
    assert suspect(lone_worker, "model", [21]).result(60).results == [42]
    hanging = suspect(lone_worker, "model", [HANG], deadline_s=0.5)
    assert isinstance(hanging.exception(60), DeadlineExceededError)
    assert suspect(lone_worker, "model", [22]).result(60).results == [44]
    assert lone_worker.infer("model", [[22]]).results == [44]


def test_nobody_is_blamed_for_another_model_that_cannot_be_loaded(lone_worker: Engine, tmp_path: Path) -> None:
    lone_worker.load(f"{HERE}make_once", name="once", trust_code=True)
    for name in ("model", "once"):
        assert suspect(lone_worker, name, [21]).result(60).results == [42]
    (tmp_path / "fatal").touch()
    crashing, other = suspect(lone_worker, "model", [CRASH]), suspect(lone_worker, "model", [SLOW, 100])
    assert isinstance(crashing.exception(60), RequestError)
    assert other.result(60).results == [2 * (SLOW + 100)]


def test_a_first_computation_that_hangs_and_that_nobody_waits_for_holds_no_others_up() -> None:
    config = EngineConfig(isolation="process", workers=2, threads=2, hang_limit_s=0.4)
    with Engine(config) as engine:
        engine.load(DANGEROUS, name="model", trust_code=True)
        wait_for_both(engine)
        before = pids(engine)
        with pytest.raises(DeadlineExceededError):
            engine.infer("model", [[HANG]], deadline_s=0.3)
        assert engine.infer("model", [[1]], deadline_s=3).results == [2]  # of the other one
        assert engine.infer("model", [[2]], deadline_s=3).results == [4]
        wait_until(lambda: len(pids(engine) - before) == 1)
        wait_for_both(engine)
        assert engine.stats("model").quarantined_rows == 0
