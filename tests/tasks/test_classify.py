"""Labels of texts, against transformers' own pipeline."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification, pipeline

from inferox.core import ManifestError, Signature
from inferox.tasks import ClassifyTask, choose_task, open_task

from .models import FunctionModel, logits, text_signature, torch_model
from .test_embed import varied_texts


def save_classifier(directory: Path, tokenizer: Path, **settings: Any) -> None:
    """Saves a small seeded BERT that classifies."""
    torch.manual_seed(3)
    config = BertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.5,
        **settings,
    )
    BertForSequenceClassification(config).save_pretrained(directory)
    shutil.copytree(tokenizer, directory, dirs_exist_ok=True)
    tokenizer_config = json.loads((directory / "tokenizer_config.json").read_text())
    (directory / "tokenizer_config.json").write_text(json.dumps({**tokenizer_config, "model_max_length": 64}))


def open_classifier(directory: Path, labels: int) -> tuple[FunctionModel, ClassifyTask]:
    module = AutoModelForSequenceClassification.from_pretrained(directory)
    model = torch_model(module, text_signature(logits(labels)))
    choice = choose_task(
        directory, json.loads((directory / "config.json").read_text()), model.signature, task="classify"
    )
    task = open_task("classify", json.loads(json.dumps(choice.options)), directory, model.signature)
    assert isinstance(task, ClassifyTask)
    return model, task


@pytest.mark.parametrize(
    "settings",
    [
        {"id2label": {0: "bad", 1: "neutral", 2: "good"}},
        {"id2label": {0: "bad", 1: "good"}, "problem_type": "single_label_classification"},
        {"num_labels": 4, "problem_type": "multi_label_classification"},
        {"num_labels": 1},
        {"num_labels": 1, "problem_type": "regression"},
        {"num_labels": 3, "problem_type": "regression"},
    ],
)
def test_equals_transformers_pipeline(tokenizer_directory: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    save_classifier(tmp_path, tokenizer_directory, **settings)
    count = len(settings.get("id2label", ())) or settings["num_labels"]
    model, task = open_classifier(tmp_path, count)
    texts = varied_texts(30)

    results = task.run(model, texts)

    reference: Any = pipeline("text-classification", model=str(tmp_path), device="cpu", top_k=None)
    for text, result in zip(texts, results, strict=True):
        (expected,) = reference([text], truncation=True)
        assert [item.label for item in result] == [item["label"] for item in expected]
        np.testing.assert_allclose(
            [item.score for item in result], [item["score"] for item in expected], atol=1e-5, rtol=1e-5
        )
    assert len(set(task.labels)) == count


def test_pairs_equal_transformers_pipeline(tokenizer_directory: Path, tmp_path: Path) -> None:
    save_classifier(tmp_path, tokenizer_directory, num_labels=3)
    model, task = open_classifier(tmp_path, 3)

    ((best, *_),) = task.run(model, [("a premise", "a hypothesis")])

    reference: Any = pipeline("text-classification", model=str(tmp_path), device="cpu")
    expected = reference({"text": "a premise", "text_pair": "a hypothesis"})
    assert best.label == expected["label"]
    assert best.score == pytest.approx(expected["score"], abs=1e-5)


def test_no_texts_give_no_results(tokenizer_directory: Path, tmp_path: Path) -> None:
    save_classifier(tmp_path, tokenizer_directory, num_labels=2)
    model, task = open_classifier(tmp_path, 2)

    assert task.run(model, []) == []


@pytest.mark.parametrize(
    ("options", "signature", "message"),
    [
        ({}, text_signature(logits(3)), r"there are 2 labels, but the model gives logits: f32\[batch, 3\]"),
        ({}, text_signature(logits("labels")), r"reads one output \[batch, labels\], but the model gives"),
        ({}, text_signature(), r"reads one output \[batch, labels\]"),
        ({"activation": "tanh"}, text_signature(logits(2)), "'activation' must be one of softmax, sigmoid, identity"),
        ({"labels": [1, 2]}, text_signature(logits(2)), r"'labels\[0\]' must be of the type str"),
        ({"labels": None}, text_signature(logits(2)), "the task's options need 'labels'"),
    ],
)
def test_wrong_options_are_refused(
    tokenizer_directory: Path, options: dict[str, Any], signature: Signature, message: str
) -> None:
    right = {"labels": ["no", "yes"], "activation": "softmax"}

    with pytest.raises(ManifestError, match=message):
        open_task("classify", {**right, **options}, tokenizer_directory, signature)


def test_samples_are_texts(tokenizer_directory: Path) -> None:
    options = {"labels": ["no", "yes"], "activation": "softmax", "max_length": 16}
    task = open_task("classify", options, tokenizer_directory, text_signature(logits(2)))

    assert max(len(row["input_ids"]) for batch in task.samples() for row in task.encode(batch)) == 16
