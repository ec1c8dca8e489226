"""The trace of worker processes."""

from __future__ import annotations

import json
import os
from pathlib import Path

from inferox import Engine, EngineConfig
from tests.engine.workers.factories import HERE


def test_what_workers_note_is_in_one_trace_by_process(tmp_path: Path) -> None:
    config = EngineConfig(isolation="process", workers=2, threads=2, profiling=True)
    with Engine(config) as engine:
        engine.load(f"{HERE}make_dangerous", name="m", trust_code=True)
        engine.infer_many("m", [[[number % 5 + 1, 2]] for number in range(40)])
        pids = {worker.pid for worker in engine.workers()}
        engine.write_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {event["pid"] for event in events if event["name"] == "process_name"} <= pids - {os.getpid()}
    batches = [event for event in events if event["ph"] == "X" and event["name"] == "batch"]
    assert sum(event["args"]["rows"] for event in batches) == 40
    assert len({event["pid"] for event in batches}) == 2
    times = [event["ts"] for event in events if event["ph"] != "M"]
    assert times == sorted(times)
    waits = [(event["id"], event["ph"]) for event in events if event["ph"] in {"b", "e"}]
    assert len(waits) == len(set(waits))
