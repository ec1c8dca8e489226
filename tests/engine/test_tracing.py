"""The trace of an engine's batches, in Chrome's format."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from inferox import Engine, EngineConfig
from inferox.core import ConfigError, Trace
from inferox.loading import TaskModel
from inferox.tasks import RawTask
from tests.engine.models import SIGNATURE, DoublingModel, double, load_doubling

PROFILING = EngineConfig(profiling=True, max_batch_rows=4)

Event = dict[str, Any]


def read(path: Path) -> list[Event]:
    """Reads the events of a file, checked for what Chrome's format requires of each kind."""
    written = json.loads(path.read_text())
    assert written["displayTimeUnit"] == "ms"
    for event in written["traceEvents"]:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        if event["ph"] == "M":
            assert event["name"] == "thread_name"
            assert isinstance(event["args"]["name"], str)
            continue
        assert isinstance(event["ts"], int | float)
        assert event["cat"] == "inferox"
        if event["ph"] == "X":
            assert event["dur"] >= 0
        else:
            assert event["ph"] in {"b", "e"}
            assert isinstance(event["id"], int)
    times = [event["ts"] for event in written["traceEvents"] if event["ph"] != "M"]
    assert times == sorted(times)
    events: list[Event] = written["traceEvents"]
    return events


def complete(events: list[Event], name: str) -> list[Event]:
    return [event for event in events if event["ph"] == "X" and event["name"] == name]


def holds(outer: Event, inner: Event) -> bool:
    begins, ends = outer["ts"], outer["ts"] + outer["dur"]
    return bool(outer["tid"] == inner["tid"] and begins <= inner["ts"] and inner["ts"] + inner["dur"] <= ends + 1e-3)


def test_what_is_done_with_a_batch_lies_within_it_in_its_order(tmp_path: Path) -> None:
    requests = [[[index] * 3, [index] * 2] for index in range(9)]

    async def ask(engine: Engine) -> list[Any]:
        return await asyncio.gather(*(engine.ainfer("doubling", items, owner="me") for items in requests))

    with Engine(PROFILING) as engine, ThreadPoolExecutor(4) as pool:
        engine.register(load_doubling(DoublingModel(max_concurrency=2)))
        assert [answer.results for answer in asyncio.run(ask(engine))] == list(map(double, requests))
        assert [answer.results for answer in pool.map(lambda items: engine.infer("doubling", items), requests)] == [
            double(items) for items in requests
        ]
        engine.write_trace(tmp_path / "trace.json")
        stats = engine.stats("doubling")
    events = read(tmp_path / "trace.json")
    batches = complete(events, "batch")
    assert len(batches) == stats.batches > 1
    assert sum(batch["args"]["rows"] for batch in batches) == 36
    assert {batch["args"]["model"] for batch in batches} == {"doubling"}
    named = {event["tid"] for event in events if event["ph"] == "M"}
    inner: defaultdict[int, list[Event]] = defaultdict(list)
    for event in events:
        if event["ph"] == "X" and event["name"] in {"lay out", "compute", "decode"}:
            (index,) = [index for index, batch in enumerate(batches) if holds(batch, event)]
            inner[index].append(event)
    for index, batch in enumerate(batches):
        assert batch["tid"] in named
        done = inner[index]
        assert [event["name"] for event in done] == ["lay out", "lay out", "compute", "decode"]
        for before, after in pairwise(done):
            assert before["ts"] + before["dur"] <= after["ts"] + 1e-3


def test_rows_are_made_before_they_wait_and_wait_until_their_batch_begins(tmp_path: Path) -> None:
    with Engine(PROFILING) as engine:
        engine.register(load_doubling())
        engine.infer("doubling", [[index] * 3 for index in range(10)], owner="me")
        engine.write_trace(tmp_path / "trace.json")
    events = read(tmp_path / "trace.json")
    (made,) = complete(events, "tokenise")  # once per request, however many batches it becomes
    assert made["args"] == {"rows": 10}
    begun = {event["id"]: event for event in events if event["ph"] == "b"}
    ended = {event["id"]: event for event in events if event["ph"] == "e"}
    batches = complete(events, "batch")
    assert begun.keys() == ended.keys()
    assert len(begun) == len(batches) == 3
    for number, event in begun.items():
        assert (event["name"], event["args"]["owner"]) == ("queue", "me")
        assert made["ts"] + made["dur"] <= event["ts"] + 1e-3
        assert event["ts"] <= ended[number]["ts"]
        assert any(0 <= batch["ts"] - ended[number]["ts"] < 10_000 for batch in batches)


def test_whole_calls_are_noted_too(tmp_path: Path) -> None:
    with Engine(PROFILING) as engine:
        engine.register(TaskModel(DoublingModel(), RawTask({}, SIGNATURE), rejected={}))
        engine.infer("doubling", [{"input_ids": [[1]], "attention_mask": [[1]]}])
        engine.write_trace(str(tmp_path / "trace.json"))
    names = [event["name"] for event in read(tmp_path / "trace.json") if event["ph"] == "X"]
    assert names == ["tokenise", "batch", "compute"]


def test_only_the_last_events_are_kept(tmp_path: Path) -> None:
    trace = Trace(most_events=3)
    for index in range(10):
        with trace.noting("step", index=index):
            trace.note_wait("wait", 1.0, 2.0)
    trace.write(tmp_path / "trace.json")
    events = read(tmp_path / "trace.json")
    assert [event["args"]["index"] for event in complete(events, "step")] == [8, 9]
    assert [event["ph"] for event in events if event["name"] == "wait"] == ["b", "e"]


def test_an_engine_that_notes_nothing_says_so(tmp_path: Path) -> None:
    with Engine() as engine:
        engine.register(load_doubling())
        engine.infer("doubling", [[1]])
        with pytest.raises(ConfigError, match=r"no trace was recorded \(make the engine with Eng"):
            engine.write_trace(tmp_path / "trace.json")
    with Engine(PROFILING) as engine, pytest.raises(ConfigError, match="cannot be written"):
        engine.write_trace(tmp_path / "missing" / "trace.json")
