"""Other forms of answers, which a request may choose, and tokens of texts: in this process and in workers."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inferox
from inferox import Engine, EngineConfig
from inferox.core import RequestError

TASKS = ("embed", "classify", "rerank", "token-classify")
TEXTS = ["A cat sits on the mat.", "rates"]
PAIRS = [("what is it?", "a cat"), ("what is it?", "interest rates")]


@pytest.fixture(scope="module", params=["thread", "process"])
def engine(request: pytest.FixtureRequest, served_packages: dict[str, Path], minilm_package: Path) -> Iterator[Engine]:
    """An engine with a model for each task that reads texts, named after the task."""
    with Engine(EngineConfig(isolation=request.param, threads=1)) as engine:
        for task in TASKS:
            engine.load(served_packages[task], name=task)
        engine.load(minilm_package, name="minilm", backend="onnxruntime")
        yield engine


def scores_of(labelled: Any) -> dict[str, float]:
    return {item.label: item.score for item in labelled}


def test_scores_before_their_activation(engine: Engine) -> None:
    plain = [scores_of(labels) for labels in engine.infer("classify", TEXTS).results]
    logits = [scores_of(labels) for labels in engine.infer("classify", TEXTS, unscaled=True).results]
    for some, others in zip(plain, logits, strict=True):
        raised = np.exp([others[label] for label in some])
        np.testing.assert_allclose(list(some.values()), raised / raised.sum(), rtol=1e-5)
        assert abs(sum(others.values()) - 1) > 1e-3
    raw = np.array(engine.infer("rerank", PAIRS, unscaled=True).results)
    np.testing.assert_allclose(engine.infer("rerank", PAIRS).results, 1 / (1 + np.exp(-raw)), rtol=1e-5)


def test_vectors_before_they_are_scaled_have_no_space(engine: Engine) -> None:
    plain = engine.infer("minilm", TEXTS)
    raw = engine.infer("minilm", TEXTS, unscaled=True)
    lengths = np.linalg.norm(raw.results, axis=1, keepdims=True)
    assert (np.abs(lengths - 1) > 0.1).all()
    np.testing.assert_allclose(raw.results / lengths, plain.results, atol=1e-6)
    assert (plain.embedding_space is None, raw.embedding_space) == (False, None)


def test_vectors_of_tokens_beside_those_of_texts(engine: Engine) -> None:
    answer = engine.infer("minilm", [*TEXTS, ""], of_tokens=True)
    assert [len(vectors) for vectors in answer.results] == [len(tokens_of(engine, text)) for text in [*TEXTS, ""]]
    means = np.array([vectors.mean(axis=0) for vectors in answer.results])
    wanted = engine.infer("minilm", [*TEXTS, ""])
    np.testing.assert_allclose(means / np.linalg.norm(means, axis=1, keepdims=True), wanted.results, atol=1e-6)
    assert (answer.embedding_space, answer.tokens) == (None, wanted.tokens)
    with pytest.raises(RequestError, match="rerank reads no vectors of tokens"):
        engine.infer("rerank", PAIRS, of_tokens=True)


def test_what_has_one_form_alone(engine: Engine) -> None:
    with pytest.raises(RequestError, match="token-classify gives its answers in only one form"):
        engine.infer("token-classify", TEXTS, unscaled=True)


def test_texts_are_cut_on_the_side_that_a_request_wants(engine: Engine) -> None:
    words = [f"word{number}" for number in range(400)]
    text = " ".join(words)
    left = engine.infer("minilm", [text], truncate="cut", truncation_side="left")
    assert left.cut_tokens[0].count > 0
    most = info_of(engine, "minilm").max_length
    first = bisect_left(range(400), True, key=lambda count: len(tokens_of(engine, " ".join(words[count:]))) <= most)
    kept = " ".join(words[first:])
    np.testing.assert_allclose(left.results, engine.infer("minilm", [kept]).results, atol=2e-2)
    right = engine.infer("minilm", [text], truncate="cut").results
    assert float(right[0] @ left.results[0]) < 0.999
    np.testing.assert_array_equal(
        right, engine.infer("minilm", [text], truncate="cut", truncation_side="right").results
    )
    with pytest.raises(RequestError, match="'middle'"):
        engine.infer("minilm", [text], truncation_side="middle")


def info_of(engine: Engine, name: str) -> Any:
    return next(info for info in engine.models() if info.name == name)


def tokens_of(engine: Engine, *texts: str, **options: Any) -> Any:
    tokens = asyncio.run(engine.atokenize("minilm", texts, **options))
    return tokens[0] if len(texts) == 1 else tokens


def test_tokens_and_back(engine: Engine, minilm_package: Path) -> None:
    text = "Straße 😀 unaffable!"
    tokens = tokens_of(engine, text)
    with inferox.load(minilm_package, "onnxruntime", threads=1) as model:
        assert [token.id for token in tokens] == model.task.encode([text]).ragged["input_ids"].tolist()
    assert [token.text for token in (tokens[0], tokens[-1])] == ["[CLS]", "[SEP]"]
    assert [token.special for token in tokens] == [True] + [False] * (len(tokens) - 2) + [True]
    assert (tokens[0].start, tokens[0].stop) == (None, None)
    for token in tokens[1:-1]:
        assert text[token.start : token.stop] == token.text
    bare = tokens_of(engine, text, add_special_tokens=False)
    assert bare == tokens[1:-1]
    ids = [token.id for token in tokens_of(engine, "a cat")]
    assert asyncio.run(engine.adetokenize("minilm", [ids, []])) == ["a cat", ""]
    assert asyncio.run(engine.adetokenize("minilm", [ids], skip_special_tokens=False)) == ["[CLS] a cat [SEP]"]


@pytest.mark.parametrize("number", [-1, 10**6, 2**40, 2**70])
def test_tokens_that_there_are_not(engine: Engine, number: int) -> None:
    with pytest.raises(RequestError, match=f"text 1 has the token {number}"):
        asyncio.run(engine.adetokenize("minilm", [[5], [number]]))


def test_a_prompt_that_there_is_not(engine: Engine) -> None:
    assert tokens_of(engine, "a", prompt="query") == tokens_of(engine, "a")
    with pytest.raises(RequestError, match="no prompt 'other'"):
        tokens_of(engine, "a", prompt="other")


def test_what_models_say_of_themselves(engine: Engine) -> None:
    assert info_of(engine, "minilm").prompts.keys() == {"query", "document"}
    assert info_of(engine, "minilm").max_length == 256
    assert info_of(engine, "classify").class_labels == tuple(f"LABEL_{number}" for number in range(5))
    assert info_of(engine, "rerank").prompts == {}
