"""Vectors that are cut, or in 8-bit integers, where the package allows it, against sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import quantize_embeddings

import inferox
from tests.packing.test_kinds import save_text_model
from tests.server.running import RunningServer, running

TEXTS = ["A cat sits on the mat.", "Interest rates rose again.", "why?"]

KINDS = ["Transformer", "Pooling", "Normalize"]


def save_encoder(directory: Path, minilm: Path) -> None:
    """Writes a small sentence encoder with vectors of 16 numbers, whose config states the lengths to cut them to."""
    model = save_text_model(directory, minilm, "bert", "Model")
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": f"{index}_{kind}" if index else "",
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(KINDS)
    ]
    (directory / "modules.json").write_text(json.dumps(modules))
    (directory / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": model.config.hidden_size, "pooling_mode_mean_tokens": True}
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (directory / "2_Normalize").mkdir()
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "matryoshka_dimensions": [16, 8, 4, 32]}))


@pytest.fixture(scope="module")
def source(minilm_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("encoder") / "source"
    save_encoder(directory, minilm_directory)
    return directory


@pytest.fixture(scope="module")
def package(source: Path) -> Path:
    target = source.parent / "encoder"
    inferox.pack(source, target, backends=["onnxruntime"], precisions=["fp32"], vector_ranges=True)
    return target


@pytest.fixture(scope="module")
def encoder(package: Path) -> Iterator[RunningServer]:
    with running(f"encoder={package}", "--threads", "1") as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="module")
def defining(source: Path) -> SentenceTransformer:
    return SentenceTransformer(str(source), device="cpu")


@pytest.fixture(scope="module")
def ranges(package: Path) -> Any:
    options = json.loads((package / "model_info.json").read_text())["task_options"]
    return np.array(options["vector_ranges"], np.float32)


@pytest.mark.parametrize("length", [4, 8])
def test_a_length_that_the_package_allows(encoder: RunningServer, defining: SentenceTransformer, length: int) -> None:
    client = openai.OpenAI(base_url=f"{encoder.url}/v1", api_key="none")
    expected = defining.encode(TEXTS, truncate_dim=length, normalize_embeddings=True)
    found = [item.embedding for item in client.embeddings.create(model="encoder", input=TEXTS, dimensions=length).data]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    vectors = encoder.http.post("/embed", json={"inputs": TEXTS, "dimensions": length}).json()
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    body = {"model": "encoder", "texts": TEXTS, "output_dimension": length}
    answer = encoder.http.post("/v2/embed", json=body).json()["embeddings"]
    np.testing.assert_allclose(answer["float"], expected, atol=1e-6)


def test_bits_of_cut_vectors(encoder: RunningServer, defining: SentenceTransformer) -> None:
    def ask(length: int) -> httpx2.Response:
        body = {"model": "encoder", "texts": TEXTS, "output_dimension": length, "embedding_types": ["ubinary"]}
        return encoder.http.post("/v2/embed", json=body)

    bits = np.unpackbits(np.array(ask(8).json()["embeddings"]["ubinary"], np.uint8), axis=1)
    assert np.array_equal(bits, defining.encode(TEXTS)[:, :8] >= 0)
    assert ask(4).status_code == 400
    assert "vectors of 4 numbers have no bits" in ask(4).json()["message"]


def test_vectors_that_are_not_scaled_are_cut_only(encoder: RunningServer, defining: SentenceTransformer) -> None:
    body = {"inputs": TEXTS, "dimensions": 8, "normalize": False}
    features = defining.preprocess(TEXTS)
    pooled = defining[1](defining[0](features))["sentence_embedding"].detach().numpy()
    np.testing.assert_allclose(encoder.http.post("/embed", json=body).json(), pooled[:, :8], atol=1e-5)


def test_each_length_is_a_space_of_its_own(encoder: RunningServer) -> None:
    def space(**more: Any) -> str:
        response = encoder.http.post("/v1/embeddings", json={"model": "encoder", "input": "a", **more})
        return response.headers["x-inferox-embedding-space"]

    assert len({space(), space(dimensions=4), space(dimensions=8)}) == 3
    assert space(dimensions=8) == space(dimensions=8)


@pytest.mark.parametrize("length", [0, -1, 7, 15, 32, 10**9])
def test_other_lengths_are_refused(encoder: RunningServer, length: int) -> None:
    body = {"model": "encoder", "texts": TEXTS, "output_dimension": length}
    response = encoder.http.post("/v2/embed", json=body)
    assert response.status_code == 400
    assert f"allows only 4, 8 beside that, but output_dimension is {length}" in response.json()["message"]


def test_integers(encoder: RunningServer, defining: SentenceTransformer, ranges: Any) -> None:
    body = {"model": "encoder", "texts": TEXTS, "embedding_types": ["int8", "uint8", "float"]}
    answer = encoder.http.post("/v2/embed", json=body).json()["embeddings"]
    numbers = np.array(answer["float"], np.float32)
    for kind in ("int8", "uint8"):
        expected = quantize_embeddings(numbers, precision=kind, ranges=ranges)
        assert np.array_equal(answer[kind], expected)
    steps = (ranges[1] - ranges[0]) / 255
    inside = (numbers >= ranges[0]) & (numbers <= ranges[1])
    restored = np.array(answer["uint8"]) * steps + ranges[0]
    assert inside.mean() > 0.75
    assert (np.abs(restored - numbers) <= steps * 1.01)[inside].all()
    np.testing.assert_allclose(numbers, defining.encode(TEXTS), atol=1e-6)


def test_integers_of_cut_vectors_are_refused(encoder: RunningServer) -> None:
    body = {"model": "encoder", "texts": TEXTS, "embedding_types": ["int8"], "output_dimension": 8}
    response = encoder.http.post("/v2/embed", json=body)
    assert response.status_code == 400
    assert "those of whole vectors, but output_dimension is 8" in response.json()["message"]
