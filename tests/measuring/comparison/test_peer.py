"""sentence-transformers beside the artifacts of a package: the same model, or no peer at all."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from inferox import load, open_package
from inferox.core import PackageError
from inferox.measuring.comparison import FAIR_ITEMS, compare, comparing
from inferox.measuring.comparison.peer_bench import PEER, PeerBench, has_peer
from inferox.measuring.comparison.worker import _Worker
from inferox.packing.defining.rebuilt import RebuiltEncoder
from tests.e2e.conftest import small_package
from tests.measuring.comparison.faulty import write_faulty_package
from tests.measuring.comparison.test_comparing import BRIEF, FP32, ONCE

__all__ = ["small_package"]

TEXTS = ["A cat sits on the mat.", "Interest rates rose again.", "", "Ünïcödé 🎉", "word " * 400]


def test_it_computes_what_the_package_computes(packages: dict[str, Path]) -> None:
    rebuilt = RebuiltEncoder(open_package(packages["embed"]), threads=1)
    with load(packages["embed"], quality="exact", threads=1) as model:
        np.testing.assert_allclose(rebuilt.encode(TEXTS), model.embed(TEXTS, truncate="cut"), atol=1e-5)


def test_its_worker_answers_what_those_of_artifacts_answer(packages: dict[str, Path]) -> None:
    worker = _Worker()
    options = {"package": str(packages["embed"]), "device": None, "threads": 1, "trust_code": False}
    loaded = worker.answer({"command": "load", "artifact": PEER, **options})["result"]
    assert (loaded["device"], loaded["load_s"] > 0, loaded["version"]) == ("cpu", True, version(PEER))
    facts = worker.answer({"command": "describe"})["result"]
    assert facts["lengths"] == sorted(facts["lengths"])
    many = worker.answer({"command": "throughput", "items": 8})["result"]
    assert many["rows"] == 8
    assert many["tokens"] > 8
    one = worker.answer({"command": "latency", "index": facts["typical"], "budget_s": 0.0})["result"]
    assert len(one["seconds"]) == 3
    assert worker.answer({"command": "parity"})["result"] == {"evidence": None}


def test_another_model_is_not_compared_with(packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    package = open_package(packages["embed"])
    cases = package.proof_cases()
    assert cases is not None
    turned = tuple(replace(case, answer=None if case.answer is None else -case.answer) for case in cases)
    monkeypatch.setattr(type(package), "proof_cases", lambda _: turned)
    with pytest.raises(PackageError, match=r"differs from the one that was packed: .* cosine of -1\.0000"):
        RebuiltEncoder(package, threads=1)
    monkeypatch.setattr(type(package), "proof_cases", lambda _: None)
    with pytest.raises(PackageError, match="no answers of sentence-transformers"):
        RebuiltEncoder(package, threads=1)
    options = {**package.info.task_options, "modules": [{"type": "dense"}]}
    with pytest.raises(PackageError, match="cannot be given its module 'dense'"):
        RebuiltEncoder(replace(package, info=replace(package.info, task_options=options)), threads=1)


def test_one_that_cannot_be_measured_is_named_and_hinders_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "has_peer", lambda _task: True)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sentence_transformers.py").write_text("raise ImportError('half of it is missing')")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(tmp_path / "broken"), os.environ["PYTHONPATH"])))
    found = compare(write_faulty_package(tmp_path / "p", [None]), plan=ONCE)
    assert [item.artifact for item in found.artifacts] == [FP32]
    assert (found.not_run, found.peer) == ({}, None)
    assert found.no_peer == "sentence-transformers cannot be imported: half of it is missing"
    assert json.loads(json.dumps(found.to_json()))["no_peer"] == found.no_peer
    alone = compare(write_faulty_package(tmp_path / "q", [None]), "faulty", plan=ONCE)
    assert (alone.peer, alone.no_peer) == (None, None)


def test_one_that_no_round_reaches_leaves_the_artifacts_their_rounds(small_package: Path) -> None:
    def interrupt(what: str, _used_s: float, _total_s: float) -> None:
        if what == f"round 1 of 2: rows of mixed lengths: {PEER}":
            raise KeyboardInterrupt

    found = compare(small_package, threads=1, plan=BRIEF, progress=interrupt)
    assert len(found.artifacts) > 1
    rows = {item.throughput.rows for item in found.artifacts}
    assert rows == {FAIR_ITEMS}, "those of a round, not of the first answers"
    assert (found.peer, found.no_peer) == (None, "it was stopped before this was measured")


def test_what_is_not_installed_is_not_there(monkeypatch: pytest.MonkeyPatch, packages: dict[str, Path]) -> None:
    assert has_peer("embed")
    assert not has_peer("classify")
    monkeypatch.setitem(sys.modules, "inferox.packing.defining.rebuilt", None)
    with pytest.raises(PackageError, match="sentence-transformers cannot be imported"):
        PeerBench(str(packages["embed"]), threads=1)
