"""``inferox.compat.CrossEncoder`` against the class that it replaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers
import torch

from inferox.compat import CrossEncoder
from inferox.compat.unsupported import UnsupportedError
from inferox.core import ConfigError, RequestError
from tests.compat.test_sentence_transformer import assert_same, assert_same_features

PAIRS = [("what is it?", "a fox"), ("who?", "the lazy dog that the quick brown fox jumps over " * 6), ("", "nothing")]
DOCUMENTS = ["a fox", "", "the lazy dog " * 40, "a", "nothing at all", "a fox"]


@pytest.fixture(scope="module")
def ours(reranker_directory: Path) -> Iterator[CrossEncoder]:
    with CrossEncoder(reranker_directory, backend="torch") as model:
        yield model


@pytest.fixture(scope="module")
def theirs(reranker_directory: Path) -> Any:
    return sentence_transformers.CrossEncoder(str(reranker_directory), device="cpu")


@pytest.fixture(scope="module")
def judge(judge_directory: Path) -> Iterator[CrossEncoder]:
    with CrossEncoder(str(judge_directory), device="cpu", backend="torch") as model:
        yield model


@pytest.fixture(scope="module")
def their_judge(judge_directory: Path) -> Any:
    return sentence_transformers.CrossEncoder(str(judge_directory), device="cpu")


OPTIONS: list[dict[str, Any]] = [
    {},
    {"batch_size": 1, "show_progress_bar": False},
    {"convert_to_tensor": True},
    {"convert_to_numpy": False},
    {"activation_fn": torch.nn.Identity()},
    {"activation_fn": torch.nn.Tanh(), "convert_to_tensor": True},
    {"apply_softmax": True},
]


@pytest.mark.parametrize("options", [*OPTIONS, {"prompt": "rank: "}], ids=str)
def test_one_score_for_each_pair(ours: CrossEncoder, theirs: Any, options: dict[str, Any]) -> None:
    assert (ours.num_labels, ours.max_seq_length) == (1, theirs.max_seq_length)
    for pairs in (PAIRS, [list(pair) for pair in PAIRS], PAIRS[0], np.array(PAIRS), []):
        assert_same(ours.predict(pairs, **options), theirs.predict(pairs, **options))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_three_scores_for_each_pair(judge: CrossEncoder, their_judge: Any, options: dict[str, Any]) -> None:
    assert judge.num_labels == 3
    for pairs in (PAIRS, PAIRS[0]):
        assert_same(judge.predict(pairs, **options), their_judge.predict(pairs, **options))


@pytest.mark.parametrize(
    "options", [{}, {"top_k": 2}, {"return_documents": True, "activation_fn": torch.nn.Identity()}]
)
def test_rank(ours: CrossEncoder, theirs: Any, options: dict[str, Any]) -> None:
    found, expected = (model.rank("what is it?", DOCUMENTS, **options) for model in (ours, theirs))

    assert [hit.keys() for hit in found] == [hit.keys() for hit in expected]
    assert [hit["corpus_id"] for hit in found] == [hit["corpus_id"] for hit in expected]
    assert [hit["score"] for hit in found] == pytest.approx([hit["score"] for hit in expected], abs=1e-5)
    assert [hit.get("text") for hit in found] == [hit.get("text") for hit in expected]
    assert ours.rank("q", []) == []


def test_tokens_of_pairs(ours: CrossEncoder, theirs: Any, judge: CrossEncoder, their_judge: Any) -> None:
    for options in ({}, {"prompt": "rank: "}):
        assert_same_features(ours.preprocess(PAIRS, **options), theirs.preprocess(PAIRS, **options))
    assert_same_features(judge.tokenize([list(pair) for pair in PAIRS]), their_judge.preprocess(PAIRS))
    with pytest.raises(UnsupportedError, match="prompts are supported for models with one score"):
        judge.preprocess(PAIRS, prompt="rank: ")
    with pytest.raises(RequestError, match="the second text of pair 0 must be a string, but is of the type dict"):
        ours.preprocess([("a fox", {"image": "a.png"})])


def test_the_limit_and_the_activation_of_the_caller(reranker_directory: Path) -> None:
    options: dict[str, Any] = {"max_length": 12, "activation_fn": torch.nn.Identity()}
    theirs = sentence_transformers.CrossEncoder(str(reranker_directory), device="cpu", **options)
    with CrossEncoder(str(reranker_directory), backend="torch", num_labels=1, **options) as ours:
        assert ours.max_length == ours.max_seq_length == 12
        assert_same(ours.predict(PAIRS), theirs.predict(PAIRS))


def test_unsupported_arguments_are_refused_by_name(
    ours: CrossEncoder, judge: CrossEncoder, reranker_directory: Path
) -> None:
    with pytest.raises(UnsupportedError, match="the model has 1 label, but num_labels=3 would give it another head"):
        CrossEncoder(str(reranker_directory), backend="torch", num_labels=3)
    with pytest.raises(ConfigError, match="rank needs a model with one score for each pair, but this one has 3"):
        judge.rank("q", DOCUMENTS)
    with pytest.raises(UnsupportedError, match="prompts are supported for models with one score"):
        judge.predict(PAIRS, prompt="rank: ")
    with pytest.raises(UnsupportedError, match="CrossEncoder does not support 'fit'"):
        _ = ours.fit
    with pytest.raises(ConfigError, match="activation_fn must be a function of a tensor, but is 'sigmoid'"):
        ours.predict([None], activation_fn="sigmoid")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"top_k must be a non-negative integer, but is 1\.5"):
        ours.rank("q", [None], top_k=1.5)  # type: ignore[list-item, arg-type]
    with pytest.raises(UnsupportedError, match=r"inferox.compat.CrossEncoder does not support model\[0\]"):
        ours[0]
    with pytest.raises(UnsupportedError, match=r"^model_kwargs of inferox\.compat\.CrossEncoder does not support"):
        CrossEncoder(str(reranker_directory), model_kwargs={"foo": 1})
    with pytest.raises(ConfigError, match="inputs must be pairs of texts, but are of type str"):
        ours.predict("a text")
    with pytest.raises(RequestError, match="item 1 must be a pair of texts"):
        ours.predict([("a", "b"), ("a", "b", "c")])
