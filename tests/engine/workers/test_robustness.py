"""The engine's threads go on, whatever is raised in them, and the requests concerned are answered."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from threading import Event
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from inferox import EngineConfig
from inferox.core import DeviceId, ExecutionError, LoadError, OutOfMemoryError, RequestError
from inferox.engine.answer import Answer
from inferox.engine.local import LocalHost
from inferox.engine.model_info import ModelInfo
from inferox.engine.monitor import Monitor
from inferox.engine.registry import ModelRegistry
from inferox.engine.request import RequestOptions, Row
from inferox.engine.stats import ModelStats
from inferox.engine.watch import Watch
from inferox.engine.workers import seat as seat_module
from inferox.engine.workers import watchdog as watchdog_module
from inferox.engine.workers.channel import _HEADER, Channel, open_pair
from inferox.engine.workers.codec import encode
from inferox.engine.workers.exposure import Exposure
from inferox.engine.workers.failures import to_error
from inferox.engine.workers.flight_record import ALL_ROWS, FlightRecord, FlightSlot, is_in, make_record_file
from inferox.engine.workers.flight_watch import CallOptions, FlightWatch
from inferox.engine.workers.launcher import Launcher
from inferox.engine.workers.link import WorkerDiedError, WorkerLink
from inferox.engine.workers.messages import Answered, Ask, Count, Done, Failed, Load, Message, Stop, Unload
from inferox.engine.workers.pool import WorkerPool
from inferox.engine.workers.pooled_request import Part, PooledRequest
from inferox.engine.workers.quarantine import Quarantine
from inferox.engine.workers.remote_model import RemoteModel
from inferox.engine.workers.sandbox import Sandbox
from inferox.engine.workers.seat import Seat
from inferox.engine.workers.suspects import Death, Suspect
from inferox.engine.workers.waiting_parts import WaitingParts
from inferox.engine.workers.watchdog import Watchdog
from inferox.engine.workers.worker import Worker
from inferox.engine.workers.worker_process import WorkerProcess
from tests.engine.packages import Shelf


def make_part(items: Any = ("a",), *, priority: int = 0, arrived_s: float = 0.0) -> Part:
    options = RequestOptions(priority=priority)
    model = SimpleNamespace(key="model", name="model", version="1")
    return Part.of_all(PooledRequest(cast("Any", model), list(items), options, arrived_s))


def raise_memory_error(*_: object) -> None:
    raise MemoryError


def make_link(send: Callable[[Any], None], deliver: Callable[..., None] = raise_memory_error) -> WorkerLink:
    process = SimpleNamespace(channel=SimpleNamespace(send=send), pid=1)
    return WorkerLink(cast("WorkerProcess", process), deliver)


def give(link: WorkerLink, part: Part) -> None:
    number = link.reserve(part)
    assert number is not None
    link.ask(number, part)


def test_a_place_has_another_worker_whatever_ends_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    tries, is_third = [], Event()

    def start(_: object) -> None:
        tries.append(1)
        if len(tries) == 3:
            is_third.set()
        raise MemoryError

    monkeypatch.setattr(seat_module, "WorkerProcess", start)
    monkeypatch.setattr(seat_module, "_FIRST_DELAY_S", 1e-3)
    ignore = raise_memory_error  # the function that is told fails as well
    seat = Seat("seat", Launcher(EngineConfig()), deliver=ignore, begin=ignore, end=ignore, fail=ignore)
    seat.start()
    assert is_third.wait(10)
    seat.stop(10)


def test_the_watchdog_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, is_second = [], Event()

    def look() -> None:
        looks.append(1)
        if len(looks) == 2:
            is_second.set()
        raise MemoryError

    monkeypatch.setattr(watchdog_module, "_LOOK_EVERY_S", 1e-3)
    watchdog = Watchdog(list, look)
    watchdog.start()
    assert is_second.wait(10)
    watchdog.close()


def test_an_answer_that_cannot_be_read_fails_its_request_alone() -> None:
    link = make_link(lambda _: None)
    part = make_part()
    give(link, part)
    link._answer(Answered(1, [1], "a", None, 0, {}, 1, None))
    with pytest.raises(OutOfMemoryError, match="reading an answer failed: MemoryError") as caught:
        part.request.future.result(0)
    assert isinstance(caught.value.__cause__, MemoryError)


def test_what_cannot_be_sent_is_not_a_call() -> None:
    link = make_link(raise_memory_error)
    asked = link.call(lambda number: Count(number, "model", "1"))
    with pytest.raises(OutOfMemoryError, match="sending a call to a worker process failed: MemoryError"):
        asked.result(0)
    with pytest.raises(MemoryError):
        give(link, make_part())
    assert not link._calls
    assert link.cost == 0


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> WorkerPool:
    """A pool without workers, which hands parts on to ``handed``; those with "bad" cannot be handed on."""
    pool = WorkerPool.__new__(WorkerPool)
    pool._condition, pool._waiting, pool._closing = Monitor(), WaitingParts(100), Event()
    pool._links = []
    pool._exposure = Exposure()
    handed: list[Part] = []

    def hand_on(part: Part) -> None:
        if "bad" in part.items:
            raise MemoryError
        handed.append(part)

    monkeypatch.setattr(pool, "hand_on", hand_on)
    monkeypatch.setattr(pool, "handed", handed, raising=False)
    return pool


def test_what_cannot_be_handed_on_holds_nothing_else_up(pool: Any) -> None:
    parts = [make_part(["bad"]), make_part(["b"], arrived_s=2.0), make_part(["c"], arrived_s=1.0)]
    first = make_part(["d"], priority=-1, arrived_s=3.0)
    for part in (*parts, first):
        pool._waiting.add(part)
    pool._give_out_waiting()
    with pytest.raises(OutOfMemoryError, match="handing it on failed: MemoryError"):
        parts[0].request.future.result(0)
    # The highest priority comes first, and then the order of arrival.
    assert [part.request for part in pool.handed] == [part.request for part in (first, parts[2], parts[1])]
    assert all(part.was_admitted for part in pool.handed)


def test_what_a_dead_worker_had_is_answered_whatever_fails(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {1: make_part(["bad"]), 2: make_part(["b"])}
    link = SimpleNamespace(bury=lambda: (parts, [], "it was ended by SIGKILL"))
    pool._end(link)
    with pytest.raises(OutOfMemoryError, match="handing it on failed: MemoryError"):
        parts[1].request.future.result(0)
    assert [part.request for part in pool.handed] == [parts[2].request]

    monkeypatch.setattr("inferox.engine.workers.pool.tell_suspects", raise_memory_error)
    pool._end(link)
    with pytest.raises(OutOfMemoryError, match="it was ended by SIGKILL, and telling what it died of failed"):
        parts[2].request.future.result(0)


def test_requests_that_no_worker_can_compute_get_errors_of_their_own(pool: Any) -> None:
    load = Future[None]()
    load.set_exception(LoadError("the package is gone"))
    link = make_link(lambda _: None)
    link.loads["model"] = load
    pool._links, pool._broken, pool._seats = [link], {}, ["a seat"]
    errors = set[BaseException]()
    for _ in range(3):
        with pytest.raises(LoadError, match="the package is gone") as caught:
            pool._choose(make_part())
        errors.add(caught.value)
    assert len(errors) == 3
    error = load.exception()
    assert error is not None
    assert error.__traceback__ is None  # which would keep every request


@pytest.fixture
def ends() -> Iterator[tuple[Worker, Channel]]:
    """A worker in this process, and the other end of its connection."""
    ours, theirs = open_pair()
    file = make_record_file(8)
    flights = FlightRecord(file)
    os.close(file)
    channel = Channel(ours)
    worker = Worker(Channel(theirs), flights, EngineConfig(threads=1))
    yield worker, channel
    channel.close()
    worker._channel.close()
    flights.close()


class Unspeakable(Exception):  # noqa: N818 - it is one, and no more
    """An error that cannot be converted to text."""

    def __str__(self) -> str:
        raise MemoryError


def test_a_worker_says_of_every_call_that_it_failed(ends: tuple[Worker, Channel]) -> None:
    worker, channel = ends

    def fail(_: object) -> None:
        raise Unspeakable

    worker._act(lambda _: object(), Count(1, "model", "1"))  # cannot be sent
    worker._act(fail, Count(2, "model", "1"))
    worker._act(lambda _: 5, Count(3, "model", "1"))
    found: list[Any] = []
    while len(found) < 3:
        found += channel.receive()
    first, second, third = found
    assert isinstance(first, Failed)
    assert "object" in first.message
    assert (second.call, second.message) == (2, "Unspeakable: Unspeakable")
    assert third == Done(3, 5)


def test_a_worker_refuses_a_call_that_it_cannot_read(ends: tuple[Worker, Channel]) -> None:
    worker, channel = ends
    channel.send(Ask(5, "model", "1", ["a"], None, 0, None, None, "cut", unscaled=cast("bool", "no")))
    worker._read()
    (refused,) = channel.receive()
    assert isinstance(refused, Failed)
    assert (refused.call, refused.kind) == (5, "RequestError")
    with pytest.raises(RequestError, match="cannot read the call 'ask': Expected `bool`, got `str`"):
        raise to_error(refused)


def test_items_that_cannot_be_sent_are_refused() -> None:
    link = make_link(lambda message: cast("None", encode(message)))
    strange: list[Any] = [np.ma.masked_array([1, 2], [False, True]), memoryview(cast("Any", np.arange(6)[::2]))]
    for item in strange:
        with pytest.raises(RequestError, match="cannot be sent to a worker process"):
            give(link, make_part([[item]]))


def test_a_worker_counts_and_unloads_while_it_loads_and_makes_rows(
    ends: tuple[Worker, Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All threads that the loop's own pool may have are busy."""
    worker, channel = ends
    may_go = Event()

    def load(*_: object) -> None:
        assert may_go.wait(20)
        raise ExecutionError("enough")

    monkeypatch.setattr(worker._host, "load", load)

    async def serve() -> list[Any]:
        loop = asyncio.get_running_loop()
        serving = asyncio.create_task(worker.serve())
        busy = [loop.run_in_executor(None, may_go.wait, 20) for _ in range(40)]
        loads = [Load(number, "package", str(number), "1", {}) for number in range(10, 50)]
        messages: list[Message] = [*loads, Count(1, "model", "1"), Unload(2, "model", "1")]
        for message in messages:
            channel.send(message)
        with ThreadPoolExecutor(1) as reader:
            found = await loop.run_in_executor(reader, read, 2)
            may_go.set()
            await asyncio.gather(*busy)
            found += await loop.run_in_executor(reader, read, 40)
        channel.send(Stop())
        await serving
        return found

    def read(count: int) -> list[Any]:
        found: list[Any] = []
        while len(found) < count:
            found += channel.receive()
        return found

    found = asyncio.run(serve())
    assert {reply.call for reply in found[:2]} == {1, 2}
    assert {reply.kind for reply in found[:2]} == {"ModelNotFoundError"}
    assert {reply.message for reply in found[2:]} == {"enough"}


def test_a_text_is_counted_in_tokens() -> None:
    assert make_part(["a" * 4000]).tokens == 1001
    assert make_part([list(range(50)), ("a" * 40, "b" * 40)]).tokens == 72
    waiting = WaitingParts(100)
    assert waiting.has_room(make_part(["a" * 4000]))  # if nothing waits
    waiting.add(make_part(["a" * 200]))
    assert waiting.has_room(make_part(["a" * 100]))
    assert not waiting.has_room(make_part(["a" * 200]))


def test_a_load_that_cannot_be_read_fails_what_waits_for_it(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: Future[Any] = Future()
    unloaded: list[str] = []
    link = SimpleNamespace(loads={}, call=lambda _: loaded, unload=lambda name, _: unloaded.append(name))
    model = SimpleNamespace(key="model", name="model", version="1", make_load=None)
    model.find_fault = partial(RemoteModel.find_fault, cast("RemoteModel", model))
    monkeypatch.setattr(pool, "_models", {"model": model}, raising=False)
    monkeypatch.setattr(pool, "_is_ending", False, raising=False)
    pool._load_in(link, model)
    loaded.set_result(None)
    assert isinstance(link.loads["model"].exception(0), ExecutionError)
    assert unloaded == ["model"]  # whatever it has loaded, nobody will ask for it


def test_an_unresponsive_worker_counts_as_hung(record: FlightRecord) -> None:
    link = make_link(lambda _: None)
    link.process.flights = record
    assert link.find_hang() is None
    record.beat(60.0)
    assert link.find_hang() is None
    record.beat(1e-3)
    time.sleep(2e-3)
    assert link.find_hang() == "it was ended because it was unresponsive for more than 0.001 s"
    assert record.read() == []  # nobody is suspected of that


def test_checking_samples_says_nothing_of_how_long_a_batch_takes(record: FlightRecord) -> None:
    watch = FlightWatch(record, 1e-3)
    with watch.computing([]):
        pass
    with watch.making([CallOptions(call=7)], ["a"]):
        (flight,) = record.read()
        assert flight.rows == frozenset({(7, ALL_ROWS)})
        assert flight.limit_s is None
    with watch.making([CallOptions(call=8), CallOptions(call=9)], ["a", "b"]):
        (flight,) = record.read()
        assert flight.rows == frozenset({(8, ALL_ROWS), (9, ALL_ROWS)})
        assert flight.limit_s is not None
    with watch.checking():  # the first one may take any time
        (flight,) = record.read()
        assert flight.limit_s is None
        assert not is_in([flight], 7, 0)
        time.sleep(5e-3)
    with watch.checking():
        (flight,) = record.read()
        assert flight.limit_s is not None
        assert flight.limit_s > 0.05


def test_the_first_batch_has_a_limit_that_samples_teach(
    record: FlightRecord, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise one that hangs, and has no deadline, would hold up the unloading of its model."""
    shelf.put("p", ["a"])
    limits: dict[tuple[int, int], float | None] = {}
    begin = record.begin

    def spy(rows: Sequence[tuple[int, int]], limit_s: float | None) -> FlightSlot:
        limits.update(dict.fromkeys(rows, limit_s))
        return begin(rows, limit_s)

    monkeypatch.setattr(record, "begin", spy)
    host = LocalHost(EngineConfig(threads=1), lambda: FlightWatch(record, 0.5))
    with host.load("p", "sum", "1", {"start": "best"}, ModelRegistry()) as model:
        assert model.ask([[1, 2]], CallOptions(call=7), 0.0).result(20).results == [6]
    limit_s = limits[7, 0]
    assert limit_s is not None
    assert limit_s >= 0.5


def test_a_message_without_a_file_has_a_limit(ends: tuple[Worker, Channel], monkeypatch: pytest.MonkeyPatch) -> None:
    worker, channel = ends
    monkeypatch.setattr("inferox.engine.workers.channel._MOST_INLINE_BYTES", 100)
    with pytest.raises(ValueError, match="is too large to send without a file"):
        channel.send(Done(1, "a" * 1000))
    channel._socket.sendall(_HEADER.pack(10, 2**40, 0))
    with pytest.raises(ValueError, match="says that it has 1,099,511,627,776 bytes, but may have 100"):
        worker._channel.receive()


def make_sandbox(release: Callable[[Part], None] = raise_memory_error) -> Sandbox:
    return Sandbox(Launcher(EngineConfig()), Quarantine(), release)


def test_once_a_death_is_explained_its_other_suspects_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    released, tried, may_go = list[Any](), list[Any](), Event()
    sandbox = make_sandbox(lambda part: released.append(part.items[0]))

    def compute(suspect: Suspect, _: object) -> WorkerDiedError | None:
        part = suspect.part
        assert may_go.wait(20)
        tried.append(part.items[0])
        if part.items == ["poison"]:
            return WorkerDiedError("it was ended by SIGSEGV")
        part.request.add(part.rows, Answer(["found"], "model", "1", "a", None, []))
        return None

    monkeypatch.setattr(sandbox, "_prepare", lambda _: None)
    monkeypatch.setattr(sandbox, "_compute", compute)
    monkeypatch.setattr(sandbox._seat, "start", lambda: None)
    death, other = Death("a worker died"), Death("another died")
    parts = [make_part([item]) for item in ("a", "poison", "b", "poison", "c")]
    for part, of in zip(parts, (death, death, death, death, other), strict=True):
        sandbox.take(part, of)
    may_go.set()
    assert parts[4].request.future.result(20).results == ["found"]
    assert tried == ["a", "poison", "c"]  # the other may have died of "c"
    assert released == ["b"]
    assert sandbox.divide(make_part(["b"]))[0] == []  # or it would be suspected again
    for part in (parts[1], parts[3]):
        with pytest.raises(RequestError):
            part.request.future.result(0)
    sandbox.stop(1)


def test_the_next_worker_of_the_sandbox_loads_what_suspects_were_for() -> None:
    sandbox, info = make_sandbox(), ModelInfo("m", "1", "sum", "a", DeviceId.cpu(), None)
    models = [RemoteModel(cast("WorkerPool", None), "p", replace(info, name=name), {}, None) for name in "mn"]
    links = [SimpleNamespace(loads={}, call=lambda _: Future(), is_loading=lambda: True, bury=list) for _ in range(3)]
    sandbox._begin(cast("WorkerLink", links[0]))
    for model in models:
        sandbox._models[model.key] = model
    models[1]._is_closed = True
    assert not links[0].loads  # nothing was suspected yet
    sandbox._begin(cast("WorkerLink", links[1]))
    assert list(links[1].loads) == [models[0].key]
    sandbox._end(cast("WorkerLink", links[1]))  # it died while it loaded, as when memory is short
    sandbox._begin(cast("WorkerLink", links[2]))
    assert not links[2].loads  # or one after another would die of it
    sandbox.stop(1)


def test_what_equals_a_suspect_waits_for_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox, may_go, tried = make_sandbox(), Event(), list[Part]()

    def try_it(suspect: Suspect) -> None:
        assert may_go.wait(20)
        part = suspect.part
        tried.append(part)
        part.request.add(part.rows, Answer(["found"], "model", "1", "a", None, []))

    monkeypatch.setattr(sandbox, "_try", try_it)
    monkeypatch.setattr(sandbox._seat, "start", lambda: None)
    pool = WorkerPool.__new__(WorkerPool)
    pool._sandbox = sandbox
    asked: list[Part] = []

    link = SimpleNamespace(ask=lambda _, part: asked.append(part))
    monkeypatch.setattr(pool, "_choose", lambda _: (link, 1))
    suspect, later, equal = make_part(["poison"]), make_part(["a", "poison", "b"]), make_part(["poison"])
    sandbox.take(suspect, Death("a worker died"))
    pool.hand_on(later)
    pool.hand_on(equal)
    assert [(part.request, list(part.rows)) for part in asked] == [(later.request, [0, 2])]
    may_go.set()
    assert equal.request.future.result(20).results == ["found"]
    assert [(part.request, list(part.rows)) for part in tried] == [
        (suspect.request, [0]),
        (later.request, [1]),
        (equal.request, [0]),
    ]
    sandbox.stop(1)
    pool.hand_on(make_part(["poison"]))  # nothing is suspected any more
    assert len(asked) == 2


def test_a_load_that_failed_once_is_tried_again_for_the_next_suspect(monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox, info = make_sandbox(), ModelInfo("m", "1", "sum", "a", DeviceId.cpu(), None)
    model = RemoteModel(cast("WorkerPool", None), "package", info, {}, None)
    replies: list[Any] = [ExecutionError("no memory"), msgspec.to_builtins(info)]

    def call(_: object) -> Future[Any]:
        future: Future[Any] = Future()
        reply = replies.pop(0)
        future.set_exception(reply) if isinstance(reply, Exception) else future.set_result(reply)
        return future

    link = SimpleNamespace(loads={}, call=call)
    monkeypatch.setattr(sandbox, "_wait_for_link", lambda: link)
    with pytest.raises(ExecutionError, match="no memory"):
        sandbox._prepare(model)
    assert cast("Any", sandbox._prepare(model)) is link


def test_what_is_computed_again_is_not_a_suspect() -> None:
    handed: list[Part] = []
    info = ModelInfo("m", "1", "sum", "a", DeviceId.cpu(), None)
    model = RemoteModel(cast("WorkerPool", SimpleNamespace(hand_on=handed.append)), "package", info, {}, None)
    model.compute_again(make_part().request)
    assert [(part.deaths, part.was_admitted) for part in handed] == [(0, True)]


def test_a_model_is_what_answers_now(ends: tuple[Worker, Channel], shelf: Shelf) -> None:
    worker, _ = ends
    shelf.put("p", ["a", "b"])
    loaded = worker._load(Load(1, "p", "sum", "1", {"start": "best"}))

    def call(_: object) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(msgspec.to_builtins(worker._count(Count(2, "sum", "1"))))
        return future

    links = [SimpleNamespace(call=call, counted={}, overdue=call(None))]
    pool = SimpleNamespace(links_of=lambda _: links, count=lambda _: ModelStats())
    model = RemoteModel(cast("WorkerPool", pool), "p", loaded, {}, None)
    assert model.info() == loaded
    shelf.backend.broken["a"] = "raises"
    with worker._models.find("sum", "1") as served:
        served.ask([[1]], RequestOptions(), 0.0).result(20)
        assert model.info().artifact == "doubling/b/fp32/padded"
        assert model.info().standby == ("doubling/a/fp32/padded",)
        assert model.stats().failovers == 1
        links.clear()
        assert model.info() == loaded


def test_two_loads_of_one_name_meet_in_one_worker(pool: Any) -> None:
    """It refuses the second; two workers would each find the name taken in the other."""
    busy, idle = SimpleNamespace(cost=100), SimpleNamespace(cost=0)
    pool._links, pool._broken, pool._seats = [busy, idle], {}, [None, None]
    assert pool._wait_for_link() is busy
    busy.cost = 0
    assert pool._wait_for_link() is busy


class Notes(Watch):
    """Records what begins and ends."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def computing(self, rows: Sequence[Row]) -> AbstractContextManager[None]:
        return self._note(f"compute {len(rows)}")

    def checking(self) -> AbstractContextManager[None]:
        return self._note("check")

    @contextmanager
    def _note(self, what: str) -> Iterator[None]:
        self.seen.append(what)
        try:
            yield
        finally:
            self.seen.append("end")


def test_samples_are_not_checked_within_what_a_batch_takes(shelf: Shelf) -> None:
    shelf.put("p", ["a", "b"])
    notes = Notes()
    host = LocalHost(EngineConfig(threads=1), lambda: notes)
    with host.load("p", "sum", "1", {"start": "best"}, ModelRegistry()) as model:
        shelf.backend.broken["a"] = "raises"
        assert model.ask([[1], [2]], RequestOptions(), 0.0).result(20).results == [2, 4]
    assert notes.seen == ["compute 2", "end", "check", "end", "compute 2", "end"]


def test_all_workers_are_told_to_stop_before_any_is_waited_for(pool: Any) -> None:
    seen: list[str] = []

    def make(name: str) -> SimpleNamespace:
        return SimpleNamespace(
            tell_to_stop=lambda: seen.append(f"tell {name}"), stop=lambda _: seen.append(f"wait for {name}")
        )

    pool._seats, pool._sandbox, pool._watchdog = [make("a"), make("b")], make("s"), SimpleNamespace(close=list)
    pool._launcher = Launcher(EngineConfig())
    pool.close()
    assert seen == ["tell s", "tell a", "tell b", "wait for s", "wait for a", "wait for b"]


def test_workers_suspended_with_this_process_do_not_count_as_hung(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    waits: list[int] = []

    def wait(_: float) -> bool:
        waits.append(1)
        if len(waits) == 2:
            time.sleep(0.3)  # as when the container is stopped
        return len(waits) == 4

    monkeypatch.setattr(watchdog_module, "_STOOD_STILL_S", 0.2)
    watchdog = Watchdog(list, lambda: looks.append(len(waits)))
    monkeypatch.setattr(watchdog, "_closing", SimpleNamespace(wait=wait))
    watchdog._run()
    assert looks == [1, 3]
