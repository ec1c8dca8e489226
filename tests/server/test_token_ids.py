"""Token ids instead of texts, if the operator allows them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from inferox import TaskModel, load
from inferox.server.field_error import FieldError
from inferox.server.input_texts import Given, read_token_ids
from tests.server.clients import ask_client
from tests.server.running import RunningServer, running
from tests.server.test_openai_users import PROGRAM

TEXTS = ["A cat sits on the mat.", "", "Ünïcödé 🎉"]


@pytest.fixture(scope="module")
def model(bert_package: Path) -> Iterator[TaskModel]:
    with load(bert_package, threads=1) as model:
        yield model


@pytest.fixture(scope="module")
def accepting(bert_package: Path) -> Iterator[RunningServer]:
    with running(f"minilm={bert_package}", "--threads", "1", "--token-ids", "accept") as server:
        server.wait_until_ready()
        yield server


def ids_of(model: TaskModel, text: str) -> list[int]:
    ids: list[int] = model.task.encode([text]).ragged["input_ids"].tolist()
    return ids


def ask(server: RunningServer, given: Any, **more: Any) -> httpx2.Response:
    return server.http.post("/v1/embeddings", json={"model": "minilm", "input": given, **more})


def vectors_of(answer: httpx2.Response) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    return np.array([item["embedding"] for item in answer.json()["data"]])


def test_they_have_the_vectors_of_their_texts(accepting: RunningServer, model: TaskModel) -> None:
    expected = model.embed(TEXTS)
    answer = ask(accepting, [ids_of(model, text) for text in TEXTS])
    np.testing.assert_allclose(vectors_of(answer), expected, atol=1e-6)
    assert answer.json()["usage"]["prompt_tokens"] == sum(len(ids_of(model, text)) for text in TEXTS)
    assert answer.headers["x-inferox-embedding-space"] == ask(accepting, TEXTS).headers["x-inferox-embedding-space"]
    np.testing.assert_allclose(vectors_of(ask(accepting, ids_of(model, TEXTS[0]))), expected[:1], atol=1e-6)
    # Nothing is added: a text without its special tokens is another text.
    bare = ids_of(model, TEXTS[0])[1:-1]
    assert np.abs(vectors_of(ask(accepting, bare)) - expected[:1]).max() > 1e-3
    np.testing.assert_allclose(vectors_of(ask(accepting, TEXTS)), expected, atol=1e-6)


def test_langchain_as_it_comes(accepting: RunningServer) -> None:
    # In this vocabulary, too, each of these numbers is a token, although another one.
    (found,) = ask_client(PROGRAM, "langchain", accepting.url, asked=[{"texts": ["a cat"], "way": "documents"}])
    expected = vectors_of(ask(accepting, [list(b"a cat")]))
    np.testing.assert_allclose(found["vectors"], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "more", "what"),
    [
        ([[5], [10**6]], {}, "text 1 has the token 1000000, which the vocabulary does not have"),
        ([[5], [-1]], {}, "text 1 has the token -1"),
        ([[2**70]], {}, "has more than 64 bits"),
        ([[5], []], {}, "text 1 has no tokens"),
        ([[5], ["a"]], {}, "text 1 must be a list of token ids, but has 'a' at 0"),
        ([[5, True]], {}, "text 0 must be a list of token ids, but has True at 1"),
        (["a", [5]], {}, "but has several kinds"),
        ([5, [5]], {}, "but has several kinds"),
        ([[5]], {"prompt_name": "query"}, "cannot be put before token ids"),
        ([[5] * 1000], {}, "text 0 has 1000 tokens"),
    ],
)
def test_what_cannot_be_taken(accepting: RunningServer, given: Any, more: dict[str, Any], what: str) -> None:
    answer = ask(accepting, given, **more)
    assert answer.status_code == 400
    assert what in answer.json()["error"]["message"]


@pytest.mark.parametrize("side", ["right", "left"])
def test_too_many_are_cut_if_requested(accepting: RunningServer, model: TaskModel, side: str) -> None:
    ids = list(range(1000, 2000))
    rows = model.task.cutting(side).reading_token_ids().encode([ids, ids[:3]])
    most = model.task.max_length
    assert most is not None
    kept = ids[:most] if side == "right" else ids[-most:]
    assert rows.ragged["input_ids"].tolist() == [*kept, *ids[:3]]
    if side == "right":
        answer = ask(accepting, [ids], truncate_prompt_tokens=-1)
        np.testing.assert_allclose(vectors_of(answer), vectors_of(ask(accepting, [kept])), atol=1e-6)
        assert answer.headers["x-inferox-cut-inputs"] == "1"


def test_what_a_field_holds() -> None:
    assert read_token_ids("input", "a") is None
    assert read_token_ids("input", ["a", "b"]) is None
    assert read_token_ids("input", [1, 2]) == [[1, 2]]
    assert read_token_ids("input", [1] * 5000) == [[1] * 5000]  # one text of many tokens
    none: Given = []
    too_many: Given = [[1]] * 2049
    for wrong in (none, too_many):
        with pytest.raises(FieldError):
            read_token_ids("input", wrong)
