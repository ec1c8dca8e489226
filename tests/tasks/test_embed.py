"""Vectors of texts, against sentence-transformers."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tests.tasks.conftest import FunctionModel

from inferox.tasks import EmbedTask, choose_task, open_task

SCRIPTS = [
    "hello",
    "world",
    "naïve",
    "café",
    "東京",
    "привет",
    "مرحبا",
    "नमस्ते",
    "🙂👩‍👩‍👧",
    "e=mc²",
    "a-b",
    "ﬁ",
    "İ",
    "\x00x",
]


def varied_texts(count: int) -> list[str]:
    draw = random.Random(7)
    return [" ".join(draw.choices(SCRIPTS, k=draw.choice([0, 1, 2, 5, 10, 20, 60, 400]))) for _ in range(count)]


def open_embed(directory: Path, model: FunctionModel) -> EmbedTask:
    config = json.loads((directory / "config.json").read_text())
    choice = choose_task(directory, config, model.signature)
    assert choice.name == "embed"
    options = json.loads(json.dumps(choice.options))
    task = open_task("embed", options, directory, model.signature)
    assert isinstance(task, EmbedTask)
    return task


@pytest.fixture(scope="module")
def reference(minilm_directory: Path) -> SentenceTransformer:
    return SentenceTransformer(str(minilm_directory), device="cpu")


def test_equals_sentence_transformers_on_varied_texts(
    minilm_directory: Path, minilm: FunctionModel, reference: SentenceTransformer
) -> None:
    texts = varied_texts(200)
    task = open_embed(minilm_directory, minilm)

    vectors = task.to_matrix(task.run(minilm, texts))

    assert vectors.dtype == np.float32
    assert vectors.shape == (200, 384)
    np.testing.assert_allclose(vectors, reference.encode(texts), atol=1e-5)
