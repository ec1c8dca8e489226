"""Cohere's embed, with a real server and Cohere's own client."""

from __future__ import annotations

import base64
from typing import Any

import cohere
import httpx2
import numpy as np
import pytest

from inferox import TaskModel
from tests.server.running import RunningServer

TEXTS = ["A cat sits on the mat.", "Interest rates rose again.", ""]
LONG = " ".join(f"word{number}" for number in range(500))


@pytest.fixture(scope="module")
def first(server: RunningServer) -> cohere.Client:
    return cohere.Client(base_url=server.url, api_key="none")


@pytest.fixture(scope="module")
def second(server: RunningServer) -> cohere.ClientV2:
    return cohere.ClientV2(base_url=server.url, api_key="none")


def test_numbers(second: cohere.ClientV2, loaded: TaskModel) -> None:
    for purpose in ("search_document", "search_query", "classification", "clustering"):
        answer = second.embed(model="minilm", texts=TEXTS, input_type=purpose, embedding_types=["float"])
        np.testing.assert_allclose(np.array(answer.embeddings.float_), loaded.embed(TEXTS), atol=1e-6)
        assert answer.texts == TEXTS
    assert answer.meta is not None
    assert answer.meta.billed_units is not None


def test_every_form(second: cohere.ClientV2) -> None:
    kinds: Any = ["base64", "ubinary", "binary", "float"]
    found = second.embed(model="minilm", texts=TEXTS, input_type="search_query", embedding_types=kinds).embeddings
    numbers = np.array(found.float_, dtype=np.float32)
    assert found.base64 is not None
    packed = [np.frombuffer(base64.b64decode(text), dtype="<f4") for text in found.base64]
    assert np.array_equal(packed, numbers)
    bits = np.array(found.ubinary, dtype=np.uint8)
    assert np.array_equal(np.unpackbits(bits, axis=1), numbers >= 0)
    assert np.array_equal(np.array(found.binary), bits.astype(int) - 128)
    assert found.int8 is None


def test_the_first_version_has_a_bare_list(first: cohere.Client, loaded: TaskModel) -> None:
    bare: Any = first.embed(model="minilm", texts=TEXTS, input_type="search_document")
    assert bare.response_type == "embeddings_floats"
    np.testing.assert_allclose(bare.embeddings, loaded.embed(TEXTS), atol=1e-6)
    typed: Any = first.embed(model="minilm", texts=TEXTS, input_type="search_document", embedding_types=["ubinary"])
    assert np.array(typed.embeddings.ubinary).shape == (3, 48)


def test_inputs_in_parts(second: cohere.ClientV2, loaded: TaskModel) -> None:
    inputs: Any = [{"content": [{"type": "text", "text": text}]} for text in TEXTS]
    answer = second.embed(model="minilm", inputs=inputs, input_type="search_document", embedding_types=["float"])
    np.testing.assert_allclose(np.array(answer.embeddings.float_), loaded.embed(TEXTS), atol=1e-6)


def test_long_texts(http: httpx2.Client, loaded: TaskModel) -> None:
    def ask(**more: Any) -> httpx2.Response:
        return http.post("/v2/embed", json={"model": "minilm", "texts": [LONG], **more})

    vectors = {}
    for side in ("START", "END"):
        answer = ask(truncate=side)
        assert answer.headers["x-inferox-cut-inputs"] == "1"
        vectors[side] = np.array(answer.json()["embeddings"]["float"])
    np.testing.assert_allclose(vectors["END"], loaded.embed([LONG], truncate="cut"), atol=1e-6)
    assert np.abs(vectors["START"] - vectors["END"]).max() > 1e-3
    np.testing.assert_array_equal(np.array(ask().json()["embeddings"]["float"]), vectors["END"])
    refused = ask(truncate="NONE")
    assert (refused.status_code, set(refused.json())) == (400, {"message"})


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"embedding_types": ["int8"]}, "lacks (pack it with --vector-ranges"),
        ({"embedding_types": ["uint8"]}, "lacks (pack it with --vector-ranges"),
        ({"embedding_types": ["float64"]}, "'float64'"),
        ({"output_dimension": 256}, "output_dimension is 256"),
        ({"input_type": "poetry"}, "'poetry'"),
        ({"images": ["data:image/png;base64,AAAA"]}, "images"),
        ({"texts": None}, "either texts or inputs"),
        ({"texts": []}, "empty list"),
        ({"inputs": [{"content": []}]}, "either texts or inputs"),
        ({"truncate": "MIDDLE"}, "MIDDLE"),
        ({"max_tokens": 5}, "cannot be cut to 5"),
        ({"priority": "high"}, "int"),
    ],
)
def test_what_cannot_be_taken(http: httpx2.Client, more: dict[str, Any], told: str) -> None:
    answer = http.post("/v2/embed", json={"model": "minilm", "texts": TEXTS} | more)
    assert answer.status_code == 400
    assert told in answer.json()["message"]


def test_errors_reach_the_client(second: cohere.ClientV2) -> None:
    with pytest.raises(cohere.NotFoundError) as caught:
        second.embed(model="embed-v4.0", texts=TEXTS, input_type="search_query", embedding_types=["float"])
    assert "this server has minilm" in caught.value.body["message"]
