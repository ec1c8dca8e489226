"""Ranking and scoring in every dialect, with a real server and Cohere's own client."""

from __future__ import annotations

from typing import Any

import cohere
import httpx2
import numpy as np
import pytest

from inferox import TaskModel
from tests.server.running import RunningServer

QUERY = "what is a cat?"
DOCUMENTS = ["Interest rates rose again.", "A cat is a small animal.", "", "cats " * 10, "A cat is a small animal."]


@pytest.fixture(scope="module")
def scores(reranker: TaskModel) -> np.ndarray[Any, Any]:
    """Returns the scores of the package itself; its activation is the sigmoid function."""
    return np.array(reranker.task.run(reranker.model, [(QUERY, document) for document in DOCUMENTS]))


def check_order(results: list[Any], scores: np.ndarray[Any, Any], field: str = "relevance_score") -> None:
    assert [item["index"] for item in results] == np.argsort(-scores, kind="stable").tolist()
    np.testing.assert_allclose([item[field] for item in results], sorted(scores, reverse=True), rtol=1e-4)


@pytest.mark.parametrize(
    ("path", "has_documents"),
    [
        ("/v1/rerank", True),
        ("/openai/v1/rerank", True),
        ("/v3/rerank", True),
        ("/rerank", True),
        ("/v2/rerank", False),
    ],
)
def test_every_route_ranks(
    tasks_http: httpx2.Client, scores: np.ndarray[Any, Any], path: str, has_documents: bool
) -> None:
    asked = {"model": "rerank", "query": QUERY, "documents": DOCUMENTS}
    answer = tasks_http.post(path, json=asked)
    assert answer.status_code == 200, answer.text
    content = answer.json()
    check_order(content["results"], scores)
    assert content["usage"]["total_tokens"] > 0
    assert answer.headers["x-inferox-model"] == "rerank"
    for item in content["results"]:
        assert ("document" in item) == has_documents
        assert not has_documents or item["document"]["text"] == DOCUMENTS[item["index"]]
    other = tasks_http.post(path, json=asked | {"return_documents": not has_documents, "top_n": 2}).json()["results"]
    assert [item["index"] for item in other] == [item["index"] for item in content["results"]][:2]
    assert ("document" in other[0]) != has_documents


def test_raw_scores_are_logits(tasks_http: httpx2.Client, scores: np.ndarray[Any, Any]) -> None:
    logits = np.log(scores / (1 - scores))
    for more in ({"raw_scores": True}, {"use_activation": False}):
        asked = {"query": QUERY, "documents": [{"text": text} for text in DOCUMENTS], **more}
        results = tasks_http.post("/v1/rerank", json=asked).json()["results"]
        check_order(results, logits)
    pairs = {"text_1": QUERY, "text_2": DOCUMENTS, "use_activation": False}
    data = tasks_http.post("/score", json=pairs).json()["data"]
    np.testing.assert_allclose([item["score"] for item in data], logits, rtol=1e-3)


@pytest.mark.parametrize("tokens", [-1, 4096])
def test_a_limit_that_is_not_below_the_models_changes_nothing(tasks_http: httpx2.Client, tokens: int) -> None:
    plain = {"query": QUERY, "documents": DOCUMENTS, "model": "rerank"}
    limited = tasks_http.post("/v1/rerank", json=plain | {"truncate_prompt_tokens": tokens})
    assert limited.status_code == 200, limited.text
    assert limited.json()["results"] == tasks_http.post("/v1/rerank", json=plain).json()["results"]


def test_texts_are_tei(tasks_http: httpx2.Client, scores: np.ndarray[Any, Any]) -> None:
    ranks = tasks_http.post("/rerank", json={"query": QUERY, "texts": DOCUMENTS}).json()
    check_order(ranks, scores, "score")
    assert set(ranks[0]) == {"index", "score"}
    raw = tasks_http.post(
        "/rerank", json={"query": QUERY, "texts": DOCUMENTS, "raw_scores": True, "return_text": True}
    ).json()
    check_order(raw, np.log(scores / (1 - scores)), "score")
    assert all(item["text"] == DOCUMENTS[item["index"]] for item in raw)


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"documents": []}, "documents"),
        ({"top_n": 0}, "top_n"),
        ({"model": "minilm"}, "model"),
        ({"instruction": "be kind"}, "instruction"),
        ({"rank_fields": ["title"]}, "rank_fields"),
        ({"max_tokens_per_doc": 10}, "max_tokens_per_doc"),
        ({"documents": [{"title": "a"}]}, "documents[0]"),
        ({"documents": ["a"] * 2049}, "documents"),
        ({"query": None}, "query"),
        ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens"),
    ],
)
def test_what_cannot_be_taken(tasks_http: httpx2.Client, more: dict[str, Any], param: str) -> None:
    for path in ("/v2/rerank", "/rerank"):
        answer = tasks_http.post(path, json={"model": "rerank", "query": QUERY, "documents": DOCUMENTS} | more)
        assert answer.status_code == 400
        content = answer.json()
        assert content["error"]["param"] == param
        assert content["message"] == content["error"]["message"]


def test_the_same_path_writes_errors_in_the_dialect_of_its_client(tasks_http: httpx2.Client) -> None:
    tei = tasks_http.post("/rerank", json={"query": QUERY, "texts": []})
    assert (tei.status_code, set(tei.json())) == (400, {"error", "error_type"})
    assert tei.json()["error_type"] == "Empty"
    others = tasks_http.post("/rerank", json={"query": QUERY, "documents": []})
    assert (others.status_code, set(others.json())) == (400, {"error", "message"})


def test_long_documents_are_cut_and_reported(tasks_http: httpx2.Client) -> None:
    answer = tasks_http.post("/v1/rerank", json={"query": QUERY, "documents": ["a", "cat " * 2000]})
    assert (answer.status_code, answer.headers["x-inferox-cut-inputs"]) == (200, "1")


@pytest.fixture(scope="module")
def clients(tasks_server: RunningServer) -> tuple[cohere.Client, cohere.ClientV2]:
    url = tasks_server.url
    return cohere.Client(base_url=url, api_key="none"), cohere.ClientV2(base_url=url, api_key="none")


def test_the_client_of_cohere(clients: tuple[cohere.Client, cohere.ClientV2], scores: np.ndarray[Any, Any]) -> None:
    first, second = clients
    for answer in (
        first.rerank(model="rerank", query=QUERY, documents=DOCUMENTS, return_documents=True),
        second.rerank(model="rerank", query=QUERY, documents=DOCUMENTS, max_tokens_per_doc=4096),
    ):
        check_order([item.model_dump() for item in answer.results], scores)
    best = first.rerank(model="rerank", query=QUERY, documents=DOCUMENTS, top_n=1, return_documents=True).results
    assert len(best) == 1
    assert best[0].document is not None
    assert best[0].document.text == DOCUMENTS[best[0].index]
    with pytest.raises(cohere.BadRequestError, match="minilm"):
        second.rerank(model="minilm", query=QUERY, documents=DOCUMENTS)
    with pytest.raises(cohere.NotFoundError):
        second.rerank(model="other", query=QUERY, documents=DOCUMENTS)


def test_scores_of_pairs(tasks_http: httpx2.Client, scores: np.ndarray[Any, Any]) -> None:
    for asked in (
        {"text_1": QUERY, "text_2": DOCUMENTS},
        {"text_1": [QUERY] * len(DOCUMENTS), "text_2": DOCUMENTS},
        {"queries": QUERY, "documents": DOCUMENTS},
        {"queries": [QUERY], "items": DOCUMENTS, "model": "rerank"},
    ):
        content = tasks_http.post("/score", json=asked).json()
        assert "data" in content, content
        assert [item["index"] for item in content["data"]] == list(range(len(DOCUMENTS)))
        np.testing.assert_allclose([item["score"] for item in content["data"]], scores, rtol=1e-4)
    single = tasks_http.post("/v1/score", json={"text_1": QUERY, "text_2": DOCUMENTS[1]}).json()["data"]
    np.testing.assert_allclose(single[0]["score"], scores[1], rtol=1e-4)


def test_scores_of_vectors_are_cosines(tasks_http: httpx2.Client, loaded: TaskModel) -> None:
    asked = {"model": "minilm", "text_1": [QUERY, "a"], "text_2": DOCUMENTS[:2]}
    data = tasks_http.post("/score", json=asked).json()["data"]
    left, right = loaded.embed([QUERY, "a"]), loaded.embed(DOCUMENTS[:2])
    np.testing.assert_allclose([item["score"] for item in data], (left * right).sum(axis=1), atol=1e-5)


@pytest.mark.parametrize(
    "asked",
    [
        {"text_1": "a"},
        {"text_1": "a", "text_2": "b", "queries": "a", "documents": "b"},
        {"text_1": ["a", "b"], "text_2": ["c"]},
        {"text_1": [], "text_2": []},
        {"text_1": "a", "text_2": "b", "truncate_prompt_tokens": 5},
        {"text_1": "a", "text_2": "b", "instruction": "Find the answer."},
        {"text_1": "a", "text_2": "b " * 3000},
        {"text_1": "a", "text_2": "b", "model": "classify"},
    ],
)
def test_pairs_that_cannot_be_scored(tasks_http: httpx2.Client, asked: dict[str, Any]) -> None:
    answer = tasks_http.post("/score", json=asked)
    assert (answer.status_code, bool(answer.json()["error"]["message"])) == (400, True)
