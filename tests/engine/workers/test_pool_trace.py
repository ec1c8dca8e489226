"""The trace of worker processes."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

from inferox import Engine, EngineConfig
from tests.engine.workers.factories import HERE


def test_what_workers_note_is_in_one_trace_by_process(tmp_path: Path) -> None:
    config = EngineConfig(isolation="process", workers=2, threads=2, profiling=True)
    with Engine(config) as engine:
        engine.load(f"{HERE}make_dangerous", name="m", trust_code=True)
        engine.infer_many("m", [[[number % 5 + 1, 2]] for number in range(40)], owner="me")
        pids = {worker.pid for worker in engine.workers() if not worker.is_sandbox}
        engine.write_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    names = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert names == {os.getpid(): "engine", **{pid: f"worker {pid}" for pid in pids}}
    batches = [event for event in events if event["ph"] == "X" and event["name"] == "batch"]
    assert sum(event["args"]["rows"] for event in batches) == 40
    assert {event["pid"] for event in batches} == pids
    for batch in batches:
        within = Counter(
            event["name"]
            for event in events
            if (event["ph"], event["pid"], event["tid"]) == ("X", batch["pid"], batch["tid"])
            and batch["ts"] <= event["ts"] <= batch["ts"] + batch["dur"]
        )
        assert {"lay out", "compute", "decode"} <= within.keys()
    for pid in pids:
        assert {"tokenise", "queue"} <= {event["name"] for event in events if event["pid"] == pid}
    times = [event["ts"] for event in events if event["ph"] != "M"]
    assert times == sorted(times)
    waits = [(event["id"], event["ph"]) for event in events if event["ph"] in {"b", "e"}]
    assert len(waits) == len(set(waits))
    requests = [event for event in events if event["name"] == "request"]
    assert Counter(event["ph"] for event in requests) == {"b": 40, "e": 40}
    assert {event["pid"] for event in requests} == {os.getpid()}
    assert requests[0]["args"] == {"model": "m", "rows": 1, "owner": "me"}
    # All events of the workers lie within the requests, as they share a clock.
    assert requests[0]["ts"] <= min(event["ts"] for event in batches)
    assert requests[-1]["ts"] >= max(event["ts"] + event["dur"] for event in batches)
