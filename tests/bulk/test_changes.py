"""The words for what changed between two runs into one output."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inferox.bulk import BulkOptions
from inferox.bulk.changes import describe_changes
from inferox.cli.main import cli
from inferox.core import ConfigError
from inferox.tasks import VectorForm
from tests.bulk.conftest import Bulk, make_texts, write_json

OTHERS: dict[str, Any] = {
    "column": "body",
    "pair_column": "title",
    "query": "who is it?",
    "keep": ("id", "title"),
    "form": VectorForm(8, normalize=True, dtype="int8"),
    "prompt": "query",
    "truncate": "cut",
    "on_error": "fail",
    "batch_tokens": 7,
    "part_rows": 40,
    "shard": (1, 3),
}
"""For each option a value other than the default."""


def describe(before: BulkOptions, now: BulkOptions) -> str:
    return describe_changes({"options": before.to_json()}, {"options": now.to_json()})


@pytest.mark.parametrize("name", vars(BulkOptions()))
def test_every_option_is_named_as_on_the_command_line(name: str) -> None:
    default = BulkOptions()
    other = replace(default, **{name: OTHERS[name]})
    known = {flag for option in cli.commands["run"].params for flag in option.opts}
    for pair in ((default, other), (other, default)):
        said = describe(*pair)
        flags = set(re.findall(r"--[a-z-]+", said))
        assert flags <= known
        assert flags or name == "batch_tokens"  # which the command line does not have
        assert not re.search(r"None|True|False|\[|form|options", said)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"keep": ("id", "title")}, "without --keep, but is to be continued with --keep id,title"),
        ({"keep": ()}, "without --keep, but is to be continued with --keep ''"),
        ({"form": VectorForm(normalize=True)}, "without --normalize, but is to be continued with --normalize"),
        ({"query": "who is it?"}, "without --query, but is to be continued with --query 'who is it?'"),
        (
            {"truncate": "cut", "prompt": "q"},
            "without --prompt and with --truncate warn, but is to be continued with --prompt q and with --truncate cut",
        ),
    ],
)
def test_values_are_said_as_they_are_typed(changed: dict[str, Any], said: str) -> None:
    assert describe(BulkOptions(), BulkOptions(**changed)) == f"it was begun {said}"


def test_changes_of_inputs_are_said_with_their_files(bulk: Bulk, tmp_path: Path) -> None:
    sources = [write_json(tmp_path / f"{name}.jsonl", make_texts(3, i)) for i, name in enumerate("abcdef")]
    a, b, *others = sources
    bulk([a, b], tmp_path / "out")

    def refused(*files: Path) -> str:
        with pytest.raises(ConfigError) as caught:
            bulk(list(files), tmp_path / "out", resume=True)
        return str(caught.value).partition("cannot be continued: ")[2].partition(" (continue with the same")[0]

    assert refused(b, a) == "the inputs are in another order"
    assert refused(a) == "b.jsonl is no longer among the inputs"
    assert refused(a, b, b) == "b.jsonl is new among the inputs"
    assert refused(a, others[0]) == "b.jsonl is no longer among the inputs; c.jsonl is new among the inputs"
    assert refused(a, b, *others).endswith(
        "d.jsonl is new among the inputs; e.jsonl is new among the inputs; 1 more input changed"
    )
    size = b.stat().st_size
    b.write_text('"a"\n' * 500)
    assert refused(a, b) == f"the size of b.jsonl was {size} bytes, but now is 2,000 bytes"
    a.write_bytes(a.read_bytes().swapcase())
    assert refused(a, b).startswith("the content of a.jsonl has changed, but not its size; the size of b.jsonl was")


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (
            {"package": "p", "embedding_space": "s"},
            {"package": "q", "embedding_space": "t"},
            "its package was p, but now is q",
        ),
        ({"embedding_space": "s"}, {"embedding_space": "t"}, "its embedding space was s, but now is t"),
        ({"artifact": "x"}, {"artifact": "y"}, "its artifact was x, but now is y"),
        ({}, {"task": "embed"}, "its task was none, but now is embed"),
        ({"inputs": 3, "options": 4}, {"inputs": [], "options": {}}, "its manifest describes another run"),
    ],
)
def test_the_model_and_foreign_manifests(before: dict[str, Any], now: dict[str, Any], said: str) -> None:
    assert describe_changes(before, now) == said
