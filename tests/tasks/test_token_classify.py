"""Spans of texts, against transformers' own pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, BertConfig, BertForTokenClassification, pipeline

from inferox.core import ManifestError, RequestError
from inferox.tasks import Span, TokenClassifyTask, choose_task, open_task

from .models import FunctionModel, text_signature, token_logits, torch_model
from .test_embed import varied_texts

LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def save_tagger(directory: Path, tokenizer: Path, labels: list[str]) -> None:
    torch.manual_seed(5)
    config = BertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.3,
        id2label=dict(enumerate(labels)),
        label2id={label: index for index, label in enumerate(labels)},
    )
    BertForTokenClassification(config).save_pretrained(directory)
    shutil.copytree(tokenizer, directory, dirs_exist_ok=True)
    tokenizer_config = json.loads((directory / "tokenizer_config.json").read_text())
    (directory / "tokenizer_config.json").write_text(json.dumps({**tokenizer_config, "model_max_length": 64}))


@pytest.mark.parametrize(
    "labels", [LABELS, ["O", "PER", "LOC"], ["O", "B-a-b", "I-a-b", "S-c"], ["B-X", "I-X"], ["B-O", "I-O", "N-1"]]
)
def test_equals_transformers_pipeline(tokenizer_directory: Path, tmp_path: Path, labels: list[str]) -> None:
    save_tagger(tmp_path, tokenizer_directory, labels)
    module = AutoModelForTokenClassification.from_pretrained(tmp_path)
    model = torch_model(module, text_signature(token_logits(len(labels))))
    choice = choose_task(tmp_path, json.loads((tmp_path / "config.json").read_text()), model.signature)
    assert choice.name == "token-classify"
    task = open_task(choice.name, json.loads(json.dumps(choice.options)), tmp_path, model.signature)
    texts = varied_texts(30)

    results = task.run(model, texts)

    reference: Any = pipeline("token-classification", model=str(tmp_path), device="cpu", aggregation_strategy="simple")
    spans = 0
    for text, result in zip(texts, results, strict=True):
        expected = reference(text) if text else []
        found = [(span.label, span.start, span.end) for span in result]
        assert found == [(item["entity_group"], item["start"], item["end"]) for item in expected]
        np.testing.assert_allclose([span.score for span in result], [item["score"] for item in expected], atol=1e-5)
        assert all(span.text == text[span.start : span.end] for span in result)
        spans += len(result)
    assert spans > 30


def tagging_model(tags: list[str]) -> FunctionModel:
    """A model that gives the tokens of every row the same labels, special tokens included."""
    signature = text_signature(token_logits(len(LABELS)))

    def tag(inputs: Any) -> dict[str, Any]:
        rows, length = inputs["input_ids"].shape
        scores = np.zeros((rows, length, len(LABELS)), dtype=np.float32)
        for index, label in enumerate(tags):
            scores[:, index, LABELS.index(label)] = 10
        return {"logits": scores}

    return FunctionModel(signature, tag)


def open_tagger(directory: Path, **options: Any) -> TokenClassifyTask:
    task = open_task(
        "token-classify", {"labels": LABELS, **options}, directory, text_signature(token_logits(len(LABELS)))
    )
    assert isinstance(task, TokenClassifyTask)
    return task


def test_a_span_covers_its_characters(minilm_directory: Path) -> None:
    text = "🙂 Ada Lovelace saw  Zürich"
    tags = ["B-PER", "O", "B-PER", "I-PER", "I-PER", "O", "B-LOC", "I-LOC"]

    (spans,) = open_tagger(minilm_directory).run(tagging_model(tags), [text])

    assert [(span.label, span.text) for span in spans] == [("PER", "Ada Lovelace"), ("LOC", "Zürich")]
    assert isinstance(spans[0], Span)
    assert spans[0].score == pytest.approx(1, abs=1e-3)


def test_b_begins_a_new_span(tokenizer_directory: Path) -> None:
    (spans,) = open_tagger(tokenizer_directory).run(
        tagging_model(["O", "I-PER", "B-PER", "I-PER", "I-LOC"]), ["one two three four"]
    )

    assert [(span.label, span.text) for span in spans] == [("PER", "one"), ("PER", "two three"), ("LOC", "four")]


def test_an_empty_text_has_no_spans(tokenizer_directory: Path) -> None:
    assert open_tagger(tokenizer_directory).run(tagging_model(["B-PER", "B-PER"]), [""]) == [()]


def test_pairs_are_refused(tokenizer_directory: Path) -> None:
    with pytest.raises(RequestError, match="text 0 must be a string"):
        open_tagger(tokenizer_directory).encode([("a", "b")])  # type: ignore[list-item] # the mistake under test


def test_a_model_without_logits_for_each_token_is_refused(tokenizer_directory: Path) -> None:
    with pytest.raises(ManifestError, match=r"reads one output \[batch, seq, labels\]"):
        open_task("token-classify", {"labels": LABELS}, tokenizer_directory, text_signature())
