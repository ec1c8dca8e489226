"""Scores of pairs, against sentence-transformers' CrossEncoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.base.modules import Dense, Router, Transformer
from sentence_transformers.cross_encoder.modules import LogitScore
from sentence_transformers.sentence_transformer.modules import LayerNorm, Normalize, Pooling, StaticEmbedding
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedTokenizerFast

from inferox.core import ConfigError, ManifestError, RequestError
from inferox.sources.huggingface import open_huggingface
from inferox.tasks import RankedDocument, RerankTask, choose_task, open_task
from inferox.tasks.ranking import pair_documents, rank_documents

from .models import FunctionModel, logits, text_signature, token_vectors, torch_model
from .test_classify import save_classifier
from .test_embed import varied_texts


def open_reranker(directory: Path) -> tuple[FunctionModel, RerankTask]:
    module = AutoModelForSequenceClassification.from_pretrained(directory)
    model = torch_model(module, text_signature(logits(1)))
    choice = choose_task(directory, json.loads((directory / "config.json").read_text()), model.signature)
    assert choice.name == "rerank"
    task = open_task("rerank", json.loads(json.dumps(choice.options)), directory, model.signature)
    assert isinstance(task, RerankTask)
    return model, task


def rank(
    task: RerankTask, model: FunctionModel, query: str, documents: Any, *, top_k: int | None = None
) -> list[RankedDocument]:
    pairs = pair_documents(query, documents, top_k=top_k)
    return rank_documents(task.run(model, pairs), top_k=top_k)


@pytest.fixture
def directory(tokenizer_directory: Path, tmp_path: Path) -> Path:
    save_classifier(tmp_path, tokenizer_directory, num_labels=1)
    return tmp_path


@pytest.mark.parametrize(
    ("activation", "prompt"),
    [(None, None), (torch.nn.Identity(), None), (torch.nn.Sigmoid(), "rank: "), (torch.nn.Tanh(), None)],
)
def test_equals_cross_encoder(directory: Path, tmp_path: Path, activation: Any, prompt: str | None) -> None:
    prompts: dict[str, Any] = {} if prompt is None else {"prompts": {"it": prompt}, "default_prompt_name": "it"}
    reference = CrossEncoder(str(directory), activation_fn=activation, device="cpu", **prompts)
    stored = tmp_path / "stored"
    reference.save_pretrained(str(stored))
    texts = varied_texts(40)
    pairs = list(zip(texts, texts[::-1], strict=True))
    model, task = open_reranker(stored)

    scores = task.run(model, pairs)

    np.testing.assert_allclose(scores, reference.predict(pairs), atol=1e-5)
    assert len({round(score, 4) for score in scores}) > 10


def test_a_classifier_with_one_label_is_a_reranker(directory: Path) -> None:
    model, task = open_reranker(directory)
    pairs = [("a question", "an answer"), ("", "")]

    np.testing.assert_allclose(
        task.run(model, pairs), CrossEncoder(str(directory), device="cpu").predict(pairs), atol=1e-5
    )


def test_rank_equals_cross_encoder(directory: Path) -> None:
    model, task = open_reranker(directory)
    documents = [text[:80] for text in varied_texts(20)]

    ranked = rank(task, model, "which one?", documents)

    expected = CrossEncoder(str(directory), device="cpu").rank("which one?", documents)
    assert [item.score for item in ranked] == pytest.approx([item["score"] for item in expected], abs=1e-5)
    assert sorted(item.index for item in ranked) == list(range(20))
    assert ranked[0] == rank(task, model, "which one?", documents, top_k=1)[0]
    assert len(rank(task, model, "which one?", documents, top_k=3)) == 3


def test_equal_scores_keep_the_order_of_the_documents(directory: Path) -> None:
    model, task = open_reranker(directory)

    ranked = rank(task, model, "which one?", ["same", "same", "same"])

    assert [item.index for item in ranked] == [0, 1, 2]
    assert isinstance(ranked[0], RankedDocument)


def test_no_documents_give_no_ranking(directory: Path) -> None:
    model, task = open_reranker(directory)

    assert rank(task, model, "which one?", []) == []
    assert task.run(model, []) == []


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["one text"], "item 0 must be a pair of texts, but is of the type str"),
        ([("a", "b"), ("a",)], "item 1 must be a pair of texts, but is of the type tuple with 1 part"),
        ([("a", None)], "the second text of pair 0 must be a string"),
        ("ab", "expected a list of texts"),
    ],
)
def test_what_is_not_a_pair_is_refused(directory: Path, items: Any, message: str) -> None:
    _, task = open_reranker(directory)

    with pytest.raises(RequestError, match=message):
        task.encode(items)


def test_a_single_document_is_refused(directory: Path) -> None:
    model, task = open_reranker(directory)

    with pytest.raises(RequestError, match="expected a list of documents"):
        rank(task, model, "query", "document")


def test_a_model_with_several_labels_is_refused(tokenizer_directory: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"this one has 3 labels \(use the task classify"):
        choose_task(tmp_path, {"num_labels": 3}, None, task="rerank")
    with pytest.raises(ConfigError, match=r"scores pairs, but config.json names BertModel \(use the task embed"):
        choose_task(tmp_path, {"architectures": ["BertModel"]}, None, task="rerank")
    with pytest.raises(ManifestError, match="reads one score per pair"):
        open_task("rerank", {"activation": "sigmoid"}, tokenizer_directory, text_signature(logits(3)))


def test_an_unknown_activation_is_refused(tokenizer_directory: Path, tmp_path: Path) -> None:
    settings = {"activation_fn": "torch.nn.modules.activation.Hardshrink"}

    with pytest.raises(ConfigError, match="Hardshrink, which the task rerank does not compute"):
        choose_task(tmp_path, {"num_labels": 1, "sentence_transformers": settings}, None, task="rerank")
    with pytest.raises(ManifestError, match=r"'activation' must be one of .*, but is 'hardshrink'"):
        open_task("rerank", {"activation": "hardshrink"}, tokenizer_directory, text_signature(logits(1)))


@pytest.mark.parametrize(
    ("config", "activation"),
    [
        ({}, "sigmoid"),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"}, "identity"),
        ({"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}}, "identity"),
        ({"sentence_transformers": {"activation_fn": "someones.module.Activation"}}, "sigmoid"),
    ],
)
def test_the_activation_is_found_where_each_version_stored_it(
    tmp_path: Path, config: dict[str, Any], activation: str
) -> None:
    choice = choose_task(tmp_path, {"num_labels": 1, **config}, None, task="rerank")

    assert choice.options["activation"] == activation


def test_a_layer_that_reads_logits_is_refused(tmp_path: Path) -> None:
    kinds = ("base.modules.transformer.Transformer", "cross_encoder.modules.logit_score.LogitScore")
    modules = [
        {"name": str(index), "path": "", "type": f"sentence_transformers.{kind}"} for index, kind in enumerate(kinds)
    ]
    (tmp_path / "modules.json").write_text(json.dumps(modules))

    with pytest.raises(ConfigError, match=r"module 1 in modules\.json is of the type LogitScore, which reads a score"):
        choose_task(tmp_path, {"num_labels": 1}, None, task="rerank")


def test_samples_are_pairs(directory: Path) -> None:
    _, task = open_reranker(directory)

    for batch in task.samples():
        assert len(task.encode(batch)) == len(batch)


def score_layer(width: int, scores: int = 1, output: str = "scores") -> Dense:
    torch.manual_seed(scores)
    return Dense(width, scores, activation_function=torch.nn.Identity(), module_output_name=output)


@pytest.fixture
def encoder(directory: Path) -> Transformer:
    """The encoder of the classifier, of width 16, as the first of several modules."""
    module: Transformer = Transformer(str(directory))
    return module


def save_modules(path: Path, *modules: Any, **settings: Any) -> CrossEncoder:
    reference: CrossEncoder = CrossEncoder(modules=list(modules), device="cpu", **settings)
    reference.save_pretrained(str(path))
    return reference


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("pooling", ["cls", "mean", "lasttoken"])
def test_layers_of_its_own_equal_cross_encoder(
    encoder: Transformer, tmp_path: Path, pooling: Any, include_prompt: bool
) -> None:
    stored = tmp_path / "stored"
    reference = save_modules(
        stored,
        encoder,
        Pooling(16, pooling_mode=pooling, include_prompt=include_prompt),
        LayerNorm(16),
        Dense(16, 8, activation_function=torch.nn.GELU()),
        Normalize(),
        score_layer(8),
        prompts={"it": "rank: "},
        default_prompt_name="it",
    )
    model = torch_model(AutoModel.from_pretrained(stored), text_signature(token_vectors(16)))
    choice = choose_task(stored, json.loads((stored / "config.json").read_text()), model.signature)
    task = open_task(choice.name, json.loads(json.dumps(choice.options)), stored, model.signature)
    texts = varied_texts(40)
    pairs = list(zip(texts, texts[::-1], strict=True))

    scores = task.run(model, pairs)

    assert isinstance(task, RerankTask)
    assert set(choice.files) >= {"3_Dense/model.safetensors", "5_Dense/model.safetensors"}
    np.testing.assert_allclose(scores, reference.predict(pairs), atol=1e-5)
    assert len({round(score, 4) for score in scores}) > 10


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            lambda: [Pooling(16), score_layer(16, 3)],
            "2_Dense/config.json sets 'out_features' to 3, but the task rerank",
        ),
        (
            lambda: [Pooling(16)],
            "modules.json lists Transformer, Pooling; the last must be a Dense that computes the scores",
        ),
        (lambda: [Pooling(16), score_layer(16), Normalize()], "Pooling, Dense, Normalize; the last must be a Dense"),
        (lambda: [Pooling(16), score_layer(16, output="sentence_embedding")], "'module_output_name' to 'sentence_emb"),
        (lambda: [score_layer(16)], "modules.json lists Transformer, Dense; it must list one Transformer, one"),
    ],
)
def test_layers_that_give_no_score_are_refused(encoder: Transformer, tmp_path: Path, layers: Any, message: str) -> None:
    stored = tmp_path / "stored"
    save_modules(stored, encoder, *layers())

    with pytest.raises(ConfigError) as caught:
        choose_task(stored, json.loads((stored / "config.json").read_text()), None)

    assert message in str(caught.value)


def test_a_model_of_vectors_gives_no_scores(encoder: Transformer, tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    SentenceTransformer(modules=[encoder, Pooling(16)], device="cpu").save_pretrained(str(stored))

    with pytest.raises(
        ConfigError, match=r"the model_type SentenceTransformer: .* not scores of pairs \(use the task em"
    ):
        choose_task(stored, {"model_type": "bert"}, None, task="rerank")


def test_what_is_not_a_transformer_is_named(encoder: Transformer, tokenizer_directory: Path, tmp_path: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tokenizer_directory)
    pooled = [encoder, Pooling(16)]
    kinds = {
        "StaticEmbedding": (StaticEmbedding(tokenizer, embedding_dim=4), "averages the rows of a table"),
        "Router": (Router.for_query_document(pooled, pooled), "through different encoders"),
    }
    for kind, (module, what) in kinds.items():
        stored = tmp_path / kind
        SentenceTransformer(modules=[module], device="cpu").save_pretrained(str(stored))

        with pytest.raises(ConfigError, match=rf"module 0 in modules\.json is of the type {kind}, which .*{what}"):
            open_huggingface(stored, task=None)


def test_scores_of_a_language_model_are_refused_by_what_they_are(encoder: Transformer, tmp_path: Path) -> None:
    stored = tmp_path / "stored"
    save_modules(stored, encoder, LogitScore(5, 6))

    with pytest.raises(ConfigError, match=r"module 1 in modules\.json .* of the type LogitScore, which reads a score"):
        choose_task(stored, {"architectures": ["Qwen3ForCausalLM"]}, None)
