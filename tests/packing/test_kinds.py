"""Every kind of model: packed, loaded again, and equal to transformers' own output."""

from __future__ import annotations

import inspect
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import inferox
from inferox.parity import ParityClass
from tests.small_tokenizer import VOCABULARY, write_small_tokenizer
from tests.sources.checkpoints import TEXT_CONFIGS, make_model, save_model

TEXTS = ["one", "a few words", "the quick brown fox jumps over the lazy dog", "", "naïve café 東京 🙂 " * 3]
PAIRS = [("what is it?", "a fox"), ("who?", "the lazy dog that the quick brown fox jumps over"), ("", "nothing")]

WITH_TOKENIZER = {"vocab_size": VOCABULARY, "pad_token_id": 0}
"""The settings that make a small model fit the tokenizer."""

FURTHER = [pytest.param(name, marks=[] if name == "bert" else pytest.mark.slow) for name in TEXT_CONFIGS]
"""Each encoder is packed in every run, and each one with each head among the slow tests."""


def save_text_model(directory: Path, minilm: Path, model_type: str, head: str, **settings: Any) -> Any:
    """A small model with a part of MiniLM's tokenizer: a BERT of one layer, the others of two, for quick exports."""
    layers = {"num_hidden_layers": 1} if model_type == "bert" else {}
    model = make_model(model_type, head, **WITH_TOKENIZER, **{**layers, **settings})
    save_model(model, directory)
    write_small_tokenizer(directory, minilm, ("tokenizer.json", "tokenizer_config.json"))
    return model


def one_layer(model_type: str) -> dict[str, int]:
    """Returns the setting that gives a model a single layer, for exports: MiniLM covers several layers.

    A ModernBERT keeps its two, as they differ: the first attends to every token, and the next to those nearby.
    """
    names = {"distilbert": "n_layers", "modernbert": None}
    name = names.get(model_type, "num_hidden_layers")
    return {} if name is None else {name: 1}


def reference(model: Any, minilm: Path, texts: Any, *, limit: int = 40) -> Any:
    """Computes transformers' own outputs for each text, one at a time, so that nothing is padded."""
    with tempfile.TemporaryDirectory() as folder:
        write_small_tokenizer(Path(folder), minilm)
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    takes = set(inspect.signature(model.forward).parameters)
    if getattr(model.config, "type_vocab_size", 0) < 2:
        takes.discard("token_type_ids")
    outputs = []
    for text in texts:
        pair = text if isinstance(text, tuple) else (text,)
        tokens = tokenizer(*pair, truncation=True, max_length=limit, return_tensors="pt")
        with torch.inference_mode():
            outputs.append(model(**{name: value for name, value in tokens.items() if name in takes}))
    return outputs


def limit_of(model_type: str) -> int:
    # RoBERTa and its kin count positions from after the padding token's id.
    return {"roberta": 39, "xlm-roberta": 39, "mpnet": 38}.get(model_type, 40)


@pytest.mark.parametrize("model_type", TEXT_CONFIGS)
def test_bare_encoders(tmp_path: Path, minilm_directory: Path, model_type: str) -> None:
    model = save_text_model(tmp_path / "source", minilm_directory, model_type, "Model")
    report = inferox.pack(tmp_path / "source", tmp_path / "model.mlpkg")
    assert report.task == "embed"
    layouts = ["padded"] if model_type == "mpnet" else ["packed", "padded"]
    assert [item.artifact for item in report.evidence] == [f"torch/safetensors/fp32/{layout}" for layout in layouts]
    assert {item.parity_class for item in report.evidence} == {ParityClass.EXACT}
    assert report.refused.keys() == ({"torch/fp32/packed"} if model_type == "mpnet" else set())
    with inferox.load(tmp_path / "model.mlpkg") as loaded:
        vectors = loaded.embed(TEXTS)
    outputs = reference(model, minilm_directory, TEXTS, limit=limit_of(model_type))
    expected = np.stack([output.last_hidden_state[0].mean(dim=0).numpy() for output in outputs])
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


@pytest.mark.parametrize("model_type", FURTHER)
def test_sequence_classifiers(tmp_path: Path, minilm_directory: Path, model_type: str) -> None:
    head = "ForSequenceClassification"
    model = save_text_model(tmp_path / "source", minilm_directory, model_type, head, num_labels=3)
    assert inferox.pack(tmp_path / "source", tmp_path / "package").task == "classify"
    with inferox.load(tmp_path / "package") as loaded:
        results = loaded.classify(TEXTS)
    for result, output in zip(
        results, reference(model, minilm_directory, TEXTS, limit=limit_of(model_type)), strict=True
    ):
        expected = dict(enumerate(output.logits[0].softmax(dim=-1).tolist()))
        scores = {label.label: label.score for label in result}
        for index, score in expected.items():
            assert scores[model.config.id2label[index]] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("model_type", FURTHER)
def test_token_classifiers(tmp_path: Path, minilm_directory: Path, model_type: str) -> None:
    head = "ForTokenClassification"
    model = save_text_model(tmp_path / "source", minilm_directory, model_type, head, num_labels=4)
    assert inferox.pack(tmp_path / "source", tmp_path / "package").task == "token-classify"
    texts = TEXTS[:3]
    with inferox.load(tmp_path / "package") as loaded:
        spans = loaded.token_classify(texts)
        rows = loaded.task.encode(texts)
        outputs = [loaded.model.compute(rows.select([index])).of_tokens("logits")[None] for index in range(3)]
    for output, expected in zip(
        outputs, reference(model, minilm_directory, texts, limit=limit_of(model_type)), strict=True
    ):
        np.testing.assert_allclose(output, expected.logits.numpy(), atol=1e-5)
    assert all(
        text[span.start : span.end] == span.text for text, found in zip(texts, spans, strict=True) for span in found
    )


@pytest.mark.parametrize("model_type", FURTHER)
def test_cross_encoders(tmp_path: Path, minilm_directory: Path, model_type: str) -> None:
    head = "ForSequenceClassification"
    model = save_text_model(tmp_path / "source", minilm_directory, model_type, head, num_labels=1)
    assert inferox.pack(tmp_path / "source", tmp_path / "package", task="rerank").task == "rerank"
    with inferox.load(tmp_path / "package") as loaded:
        scores = loaded.run(PAIRS)
        query, documents = PAIRS[0][0], [document for _, document in PAIRS]
        ranked = loaded.rerank(query, documents)
    outputs = reference(model, minilm_directory, PAIRS, limit=limit_of(model_type))
    np.testing.assert_allclose(scores, [output.logits[0, 0].sigmoid().item() for output in outputs], atol=1e-5)
    assert [item.score for item in ranked] == sorted((item.score for item in ranked), reverse=True)


@pytest.mark.parametrize("model_type", ["vit", "resnet"])
def test_image_classifiers(tmp_path: Path, model_type: str) -> None:
    model: Any = make_model(model_type, "ForImageClassification", num_labels=5)
    directory = save_model(model, tmp_path / "source")
    size = {"height": 16, "width": 16} if model_type == "vit" else {"height": 32, "width": 32}
    settings = {"image_processor_type": "ViTImageProcessor", "do_resize": True, "size": size, "do_normalize": True}
    (directory / "preprocessor_config.json").write_text(
        json.dumps({**settings, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_rescale": True, "resample": 2})
    )
    assert inferox.pack(directory, tmp_path / "package").task == "image-classify"
    random = np.random.default_rng(3)
    images = [random.integers(0, 256, (height, 40, 3), dtype=np.uint8) for height in (20, 55)]
    with inferox.load(tmp_path / "package") as loaded:
        results = loaded.classify_images(images)
    processor = transformers.AutoImageProcessor.from_pretrained(directory, backend="pil")
    for image, result in zip(images, results, strict=True):
        with torch.inference_mode():
            logits = model(**processor(image, return_tensors="pt")).logits[0]
        scores = {label.label: label.score for label in result}
        for index, score in enumerate(logits.softmax(dim=-1).tolist()):
            assert scores[model.config.id2label[index]] == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("model_type", ["vit", "resnet"])
def test_bare_vision_models(tmp_path: Path, model_type: str) -> None:
    model = make_model(model_type, "Model")
    directory = save_model(model, tmp_path / "source")
    assert inferox.pack(directory, tmp_path / "package").task == "raw"
    with inferox.load(tmp_path / "package") as loaded:
        shape = [dim if isinstance(dim, int) else 3 for dim in loaded.signature.inputs[0].dims]
        pixels = np.random.default_rng(4).standard_normal(shape).astype(np.float32)
        output = loaded.forward(pixels)["last_hidden_state"].numpy()
    with torch.inference_mode():
        expected = model(torch.from_numpy(pixels)).last_hidden_state.numpy()
    np.testing.assert_allclose(output, expected, atol=1e-5)
