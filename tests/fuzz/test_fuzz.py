"""A few hundred cases of ``make fuzz``, and the harness's report of cases that end in forbidden ways."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fuzz.cases import ANSWERED, Case, Selection, select_cases
from tests.fuzz.corpus import make_corpus
from tests.fuzz.documents import VALUES, Document
from tests.fuzz.faulty import FaultyRunner
from tests.fuzz.results import collect
from tests.fuzz.workers import Limits, run_cases

LIMITS = Limits(4 << 30, 120.0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz") / "corpus"
    make_corpus(folder, {"embed": ("candle",), "image-classify": ("onnxruntime",), "raw": ("onnxruntime",)})
    return folder


def test_hostile_packages_end_in_errors_of_inferox_or_in_answers(corpus: Path) -> None:
    selection = select_cases(corpus, 200, seed=0)
    results = collect(selection, run_cases(corpus, selection.cases, LIMITS, jobs=2))
    assert [(item.case.name, item.ending, item.details) for item in results.violations] == []
    assert {"archive", "image", "metadata.json", "model_info.json", "parity.json", "proof.json"} <= set(results.endings)
    assert {"tokenizer.json", "config.json", "samples.safetensors"} <= set(results.endings)
    total = sum(results.endings.values(), start=type(results.endings["image"])())
    assert total.total() == 200
    assert total[ANSWERED] > 20, "hardly a case gets behind what opens a package"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has signals and limits the memory of a process")
def test_what_no_case_may_end_in_is_reported_and_the_next_one_runs() -> None:
    names = ("exception", "crash", "hang", "memory", "fine")
    limits = Limits(1 << 30, 5.0)
    cases = [Case(name) for name in names]
    outcomes = list(run_cases(Path(), cases, limits, jobs=1, open_runner=FaultyRunner))
    assert [(item.case.name, item.ending, item.is_violation) for item in outcomes] == [
        ("exception", "KeyError", True),
        ("crash", "SIGABRT", True),
        ("hang", "hang", True),
        ("memory", "MemoryError", True),
        ("fine", ANSWERED, False),
    ]
    assert "raise KeyError" in outcomes[0].details
    results = collect(Selection(tuple(cases), 0, 0, 0, 0), outcomes)
    assert results.to_json()["violations"][1]["repeat"] == ".venv/bin/python -m tests.fuzz --case crash"


def test_a_case_is_repeated_by_its_name(corpus: Path) -> None:
    selection = select_cases(corpus, 200, seed=1)
    assert selection == select_cases(corpus, 200, seed=1)
    assert selection != select_cases(corpus, 200, seed=2)
    path = corpus / "embed" / "tokenizer.json"
    document = Document.read(path)
    case = Case.of_document("embed/tokenizer.json", ("model", "vocab", "goat"), "nan")
    content = document.change(Case(case.name).place(document), Case(case.name).change)
    assert content == path_text(document).replace('"goat": 8', '"goat": NaN').encode()


def path_text(document: Document) -> str:
    """Returns a document's text in the formatting of a changed one, without a change."""
    return document.change((), "unknown-key").decode().replace(', "@@hostile@@": 1', "")


def test_every_value_can_be_written(corpus: Path) -> None:
    document = Document.read(corpus / "raw" / "metadata.json")
    for name, text in VALUES.items():
        assert text in document.change(("files", 0, "size"), name).decode()
    assert document.change(("name",), "twice").count(b'"name"') == 2
    assert b'"name"' not in document.change(("name",), "deleted")
