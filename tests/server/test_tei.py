"""The protocol of text-embeddings-inference, with real servers and Hugging Face's own client."""

from __future__ import annotations

from typing import Any

import httpx2
import numpy as np
import pytest
from huggingface_hub import InferenceClient

from inferox import TaskModel
from inferox.engine import Answer
from inferox.engine.phases import Phases
from inferox.server import ServerConfig
from inferox.server.tei.response import Stopwatch
from tests.server.running import RunningServer
from tests.server.test_app import holding, run

TEXTS = ["A cat sits on the mat.", "rates"]
HEADERS = {f"x-compute-{fact}" for fact in ("type", "time", "characters", "tokens")}
HEADERS |= {f"x-{step}-time" for step in ("total", "tokenization", "queue", "inference")}
LONG = " ".join(f"word{number}" for number in range(500))


def post(http: httpx2.Client, path: str, **body: Any) -> Any:
    answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_vectors(http: httpx2.Client, loaded: TaskModel) -> None:
    vectors = loaded.embed(TEXTS)
    for path in ("/embed", "/", "/invocations"):
        np.testing.assert_allclose(post(http, path, inputs=TEXTS), vectors, atol=1e-6)
        np.testing.assert_allclose(post(http, path, inputs=TEXTS[0]), vectors[:1], atol=1e-6)
    answer = http.post("/embed", json={"inputs": TEXTS})
    assert answer.headers["x-compute-characters"] == str(sum(map(len, TEXTS)))
    assert int(answer.headers["x-compute-tokens"]) == loaded.task.encode(TEXTS).lengths.sum()
    times = [int(answer.headers[f"x-{name}-time"]) for name in ("queue", "inference", "total")]
    assert min(times) >= 0
    assert times[2] >= max(times[:2]) - 1  # each of them is rounded
    assert answer.headers["x-inferox-embedding-space"]
    predictions = post(http, "/vertex", instances=[{"inputs": text} for text in TEXTS])["predictions"]
    np.testing.assert_allclose([rows[0] for rows in predictions], vectors, atol=1e-6)


def test_answers_have_the_headers_of_tei(http: httpx2.Client, tasks_http: httpx2.Client) -> None:
    bodies: dict[str, tuple[httpx2.Client, dict[str, Any]]] = {
        "/embed": (http, {"inputs": ["a cat", "rates"]}),
        "/embed_all": (http, {"inputs": ["a cat", "rates"]}),
        "/similarity": (http, {"inputs": {"source_sentence": "a cat", "sentences": ["rates"]}}),
        "/predict": (tasks_http, {"inputs": [["a cat"], ["rates"]], "model": "classify"}),
        "/rerank": (tasks_http, {"query": "a cat", "texts": ["rates"]}),
    }
    for path, (client, body) in bodies.items():
        answer = client.post(path, json=body)
        told = {name: value for name, value in answer.headers.items() if name in HEADERS}
        assert set(told) == HEADERS, path
        assert told.pop("x-compute-type") == answer.headers["x-inferox-artifact"].partition("/")[0]
        counts = {name: int(value) for name, value in told.items()}
        assert counts["x-compute-characters"] == len("a catrates")
        assert counts["x-compute-tokens"] >= len(["a", "cat", "rates"])
        steps = sum(counts[f"x-{step}-time"] for step in ("tokenization", "queue", "inference"))
        assert steps <= counts["x-total-time"] + 3  # each is rounded


def test_the_time_in_the_queue_is_without_tokenisation_as_in_tei() -> None:
    phases = Phases(rows_began_s=10.0, rows_ended_s=10.2, compute_began_s=10.5, compute_ended_s=11.5)
    answer = Answer([], "model", "1", "onnxruntime/onnx", None, queue_s=0.5, compute_s=1.0, phases=phases)
    headers = Stopwatch().respond(b"[]", answer, []).headers
    told = [headers[f"x-{step}-time"] for step in ("tokenization", "queue", "inference")]
    assert told == ["200", "300", "1000"]


def test_vectors_that_are_not_scaled(http: httpx2.Client, loaded: TaskModel) -> None:
    answer = http.post("/embed", json={"inputs": TEXTS, "normalize": False})
    raw = np.array(answer.json())
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.abs(lengths - 1).min() > 0.1
    np.testing.assert_allclose(raw / lengths, loaded.embed(TEXTS), atol=1e-6)
    assert "x-inferox-embedding-space" not in answer.headers


def test_vectors_of_tokens(http: httpx2.Client, loaded: TaskModel) -> None:
    answer = http.post("/embed_all", json={"inputs": TEXTS})
    lengths = loaded.task.encode(TEXTS).lengths.tolist()
    assert [np.shape(vectors) for vectors in answer.json()] == [(length, 384) for length in lengths]
    pooled = np.array([np.mean(vectors, axis=0) for vectors in answer.json()])  # as the model pools them
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    np.testing.assert_allclose(pooled, loaded.embed(TEXTS), atol=1e-6)
    assert "x-inferox-embedding-space" not in answer.headers
    assert len(post(http, "/embed_all", inputs=LONG)[0]) == 256
    # Equal texts cost next to nothing to compute, and each would add a megabyte to the answer.
    refused = http.post("/embed_all", json={"inputs": [LONG] * 171})
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")
    assert "are 16,809,984 numbers, but an answer may have 16,777,216" in refused.json()["error"]


def test_long_texts_are_cut_unless_told_otherwise(http: httpx2.Client, loaded: TaskModel) -> None:
    cut = http.post("/embed", json={"inputs": LONG})
    assert cut.headers["x-inferox-cut-inputs"] == "1"
    np.testing.assert_allclose(cut.json(), loaded.embed([LONG], truncate="cut"), atol=1e-6)
    left = np.array(post(http, "/embed", inputs=LONG, truncation_direction="Left"))
    assert np.abs(left - cut.json()).max() > 1e-3
    refused = http.post("/embed", json={"inputs": LONG, "truncate": False})
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")


def test_several_requests_in_one_say_how_all_of_them_were_computed(
    http: httpx2.Client, tasks_http: httpx2.Client
) -> None:
    one = http.post("/embed", json={"inputs": LONG})
    three = http.post("/vertex", json={"instances": [{"inputs": text} for text in ("a cat", LONG, [LONG, "a cat"])]})
    assert three.headers["x-inferox-cut-inputs"] == "2"
    told = {name for name in one.headers if name.startswith("x-inferox-") and not name.endswith("-ms")}
    assert {name: three.headers[name] for name in told} == {name: one.headers[name] for name in told} | {
        "x-inferox-cut-inputs": "2"
    }
    mixed = tasks_http.post(
        "/vertex", json={"instances": [{"inputs": "a", "model": name} for name in ("minilm", "classify")]}
    )
    assert mixed.headers["x-inferox-parity"] == "exact"
    assert "x-inferox-model" not in mixed.headers


def test_several_requests_in_one_have_the_limits_of_one() -> None:
    async def test() -> None:
        async with holding(ServerConfig(timeout_s=0.4)) as held:
            held.model.may_go.set()
            for instance in (
                {"inputs": ["a"] * 1025},
                {"texts": ["a"] * 1025, "query": "b"},
                {"inputs": {"source_sentence": "b", "sentences": ["a"] * 1025}},
            ):
                refused = await held.http.post("/vertex", json={"instances": [instance] * 2})
                assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")
                assert "2,048 texts together, but have 2,050" in refused.json()["error"]
            assert not held.model.batches
            held.model.seconds = 0.05
            late = await held.http.post("/vertex", json={"instances": [{"inputs": "a"}] * 20})
            assert (late.status_code, late.json()["error_type"]) == (504, "Backend")
            assert "were not all answered within 0.4 s" in late.json()["error"]

    run(test)


def test_similarity(http: httpx2.Client, loaded: TaskModel) -> None:
    asked = {"source_sentence": TEXTS[0], "sentences": ["a cat", "", TEXTS[0]]}
    vectors = loaded.embed([TEXTS[0], *asked["sentences"]])
    for path in ("/similarity", "/"):
        np.testing.assert_allclose(post(http, path, inputs=asked), vectors[1:] @ vectors[0], atol=1e-5)
    assert len(post(http, "/similarity", inputs=asked, parameters={"truncate": True, "prompt_name": "query"})) == 3


def test_tokens(http: httpx2.Client, loaded: TaskModel) -> None:
    (tokens,) = post(http, "/tokenize", inputs="Straße 😀 cats")
    assert [token["id"] for token in tokens] == loaded.task.encode(["Straße 😀 cats"]).ragged["input_ids"].tolist()
    assert tokens[0] == {"id": 101, "text": "[CLS]", "special": True, "start": None, "stop": None}
    assert all("Straße 😀 cats"[token["start"] : token["stop"]] == token["text"] for token in tokens[1:-1])
    bare = post(http, "/tokenize", inputs=["Straße 😀 cats"], add_special_tokens=False)
    assert bare == [tokens[1:-1]]
    ids = [token["id"] for token in post(http, "/tokenize", inputs="a cat")[0]]
    assert post(http, "/decode", ids=ids) == ["a cat"]
    assert post(http, "/decode", ids=[ids, ids], skip_special_tokens=False) == ["[CLS] a cat [SEP]"] * 2
    many = ids[1:2] * 3000
    assert post(http, "/decode", ids=many) == [" ".join(["a"] * 3000)]  # they are one text
    unknown = http.post("/decode", json={"ids": [10**6]})
    assert (unknown.status_code, unknown.json()["error_type"]) == (422, "Validation")


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/tokenize", {"inputs": "a " * (2**17 + 1)}, "inputs may have 262,144 characters together, but have 262,146"),
        ("/tokenize", {"inputs": ["a" * 2**17] * 3}, "inputs may have 262,144 characters together, but have 393,216"),
        ("/decode", {"ids": [1] * (2**18 + 1)}, "ids may have 262,144 token ids together, but have 262,145"),
        ("/decode", {"ids": [[1] * 2**17] * 3}, "ids may have 262,144 token ids together, but have 393,216"),
    ],
)
def test_tokens_are_limited_as_each_takes_far_more_memory_than_its_text(
    http: httpx2.Client, path: str, body: dict[str, Any], told: str
) -> None:
    refused = http.post(path, json=body)
    assert (refused.status_code, refused.json()["error_type"]) == (422, "Validation")
    assert told in refused.json()["error"]


def test_what_the_server_says_of_itself(http: httpx2.Client) -> None:
    info = http.get("/info").json()
    assert (info["model_id"], info["max_input_length"], info["model_dtype"]) == ("minilm", 256, "float32")
    assert info["model_type"] == {"embedding": {"pooling": "mean"}}
    assert info["auto_truncate"] is True
    for path in ("/", "/health", "/ping"):
        answer = http.get(path)
        assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/embed", {"inputs": []}, (400, "Empty")),
        ("/embed", {}, (422, "Validation")),
        ("/embed", {"inputs": [1, 2]}, (422, "Validation")),
        ("/embed", {"inputs": "a", "prompt_name": "other"}, (422, "Validation")),
        ("/embed", {"inputs": "a", "dimensions": 12}, (422, "Validation")),
        ("/embed", {"inputs": "a", "truncation_direction": "up"}, (422, "Validation")),
        ("/embed", {"inputs": "a", "model": "other"}, (404, "Validation")),
        ("/embed_all", {"inputs": "a", "prompt_name": "other"}, (422, "Validation")),
        ("/embed_sparse", {"inputs": "a"}, (422, "Validation")),
        ("/predict", {"inputs": "a"}, (422, "Validation")),
        ("/rerank", {"query": "a", "texts": ["b"]}, (422, "Validation")),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": []}}, (400, "Empty")),
        ("/vertex", {"instances": [{"inputs": 3}]}, (422, "Validation")),
        ("/vertex", {"instances": []}, (400, "Empty")),
        ("/decode", {"ids": ["a"]}, (422, "Validation")),
        ("/decode", {"ids": [[101], 102]}, (422, "Validation")),
        ("/decode", {"ids": [101, [102]]}, (422, "Validation")),
        ("/decode", {"ids": [[101]] * 2049}, (422, "Validation")),
        ("/decode", {"ids": []}, (400, "Empty")),
        ("/tokenize", {"inputs": ["a", 3]}, (422, "Validation")),
    ],
)
def test_what_cannot_be_taken(http: httpx2.Client, path: str, body: dict[str, Any], told: tuple[int, str]) -> None:
    answer = http.post(path, json=body)
    assert set(answer.json()) == {"error", "error_type"}
    assert (answer.status_code, answer.json()["error_type"]) == told


def test_what_is_no_json(http: httpx2.Client) -> None:
    answer = http.post("/embed", content=b"{", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["error_type"]) == (400, "Validation")
    assert http.post("/embed", content=b"{}").status_code == 415
    assert http.get("/embed").status_code == 405


def labels_of(model: TaskModel, items: list[Any]) -> list[list[tuple[str, float]]]:
    return [[(item.label, item.score) for item in labels] for labels in model.task.run(model.model, items)]


def test_labels(tasks_http: httpx2.Client, classifier: TaskModel) -> None:
    single = post(tasks_http, "/predict", inputs="a cat")
    pair = post(tasks_http, "/predict", inputs=["a cat", "a dog"])
    batch = post(tasks_http, "/predict", inputs=[["a cat"], ["a cat", "a dog"]], model="classify")
    wanted = labels_of(classifier, ["a cat", ("a cat", "a dog")])
    assert batch == [single, pair]
    for found, labels in zip(batch, wanted, strict=True):
        assert [item["label"] for item in found] == [label for label, _ in labels]
        np.testing.assert_allclose([item["score"] for item in found], [score for _, score in labels], rtol=1e-4)
    raw = post(tasks_http, "/predict", inputs="a cat", raw_scores=True)
    assert raw == post(tasks_http, "/predict", inputs="a cat", parameters={"function_to_apply": "none"})
    assert raw[:2] == post(tasks_http, "/predict", inputs="a cat", parameters={"top_k": 2}, raw_scores=True)
    assert tasks_http.post("/predict", json={"inputs": "a", "parameters": {"top_k": 0}}).status_code == 422
    powers = np.exp([item["score"] for item in raw])
    np.testing.assert_allclose(powers / powers.sum(), [item["score"] for item in single], rtol=1e-4)


def test_labels_of_pairs_that_are_ranked(tasks_http: httpx2.Client, reranker: TaskModel) -> None:
    asked = {"model": "rerank", "inputs": ["what is it?", "a cat"]}
    (label,) = post(tasks_http, "/predict", **asked)
    score = reranker.task.run(reranker.model, [("what is it?", "a cat")])[0]
    assert label["label"] == "LABEL_0"
    np.testing.assert_allclose(label["score"], score, rtol=1e-4)
    (raw,) = post(tasks_http, "/predict", **asked, raw_scores=True)
    np.testing.assert_allclose(raw["score"], np.log(score / (1 - score)), rtol=1e-3)
    assert tasks_http.post("/predict", json={"model": "rerank", "inputs": "a"}).status_code == 422


@pytest.mark.parametrize("inputs", [["a", ["b"]], [["a", "b", "c"]], ["a", "b", "c"], [[]], []])
def test_inputs_that_are_neither_texts_nor_pairs(tasks_http: httpx2.Client, inputs: Any) -> None:
    answer = tasks_http.post("/predict", json={"inputs": inputs})
    assert answer.status_code in {400, 422}
    assert answer.json()["error"]


def test_labels_of_the_clients_own_are_refused(tasks_http: httpx2.Client) -> None:
    asked = {"inputs": "a", "model": "classify", "parameters": {"candidate_labels": ["b", "c"]}}
    for path in ("/predict", "/"):
        answer = tasks_http.post(path, json=asked)
        assert answer.status_code == 422
        assert "candidate_labels are for zero-shot classification" in answer.json()["error"]


def test_of_several_models_one_must_be_named(tasks_http: httpx2.Client) -> None:
    answer = tasks_http.post("/", json={"inputs": "a"})
    assert answer.status_code == 422
    assert "classify, minilm, rerank, token-classify" in answer.json()["error"]
    assert len(post(tasks_http, "/", inputs="a", model="classify")) == 5
    assert tasks_http.post("/", json={"inputs": "a", "model": "token-classify"}).status_code == 422
    assert tasks_http.get("/info").status_code == 422
    assert len(post(tasks_http, "/embed", inputs="a")[0]) == 384  # there is only one for that


def test_the_client_of_hugging_face(server: RunningServer, tasks_server: RunningServer, loaded: TaskModel) -> None:
    client = InferenceClient(f"{server.url}/")
    np.testing.assert_allclose(client.feature_extraction(TEXTS[0]), loaded.embed(TEXTS[:1]), atol=1e-6)
    similar = client.sentence_similarity(TEXTS[0], other_sentences=TEXTS)
    np.testing.assert_allclose(similar, (loaded.embed(TEXTS) @ loaded.embed(TEXTS[:1]).T)[:, 0], atol=1e-5)
    # It takes the first element, as the Hub's own API nests lists; in TEI's answer that is the best label.
    best: Any = InferenceClient(f"{tasks_server.url}/predict").text_classification("a cat", top_k=2)
    assert best["label"] == post(tasks_server.http, "/predict", inputs="a cat")[0]["label"]
    with pytest.raises(Exception, match="422"):
        client.feature_extraction(TEXTS[0], prompt_name="other")
