"""OpenAI's own client against a real server.

It is imported in the tests: it takes half a second, which no other process of a run should wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from inferox import TaskModel
from tests.server.running import RunningServer

if TYPE_CHECKING:
    import openai

TEXTS = ["A cat sits on the mat.", "Interest rates rose again. " * 20, "", "Ünïcödé 🎉 \u0000"]
LONG = "word " * 2000


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Iterator[openai.OpenAI]:
    import openai

    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def vectors_of(answer: openai.types.CreateEmbeddingResponse) -> np.ndarray[Any, Any]:
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return np.array([item.embedding for item in answer.data], dtype=np.float32)


def test_vectors_are_those_of_the_package(client: openai.OpenAI, loaded: TaskModel) -> None:
    answer = client.embeddings.create(model="minilm", input=TEXTS)
    np.testing.assert_allclose(vectors_of(answer), loaded.embed(TEXTS), atol=1e-6)
    assert answer.model == "minilm"
    tokens = sum(loaded.task.encode([text]).lengths[0] for text in TEXTS)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == tokens


def test_one_text_need_not_be_in_a_list(client: openai.OpenAI, loaded: TaskModel) -> None:
    answer = client.embeddings.create(model="minilm", input=TEXTS[0], dimensions=384, user="somebody")
    np.testing.assert_allclose(vectors_of(answer), loaded.embed(TEXTS[:1]), atol=1e-6)


def test_numbers_and_base64_are_the_same(client: openai.OpenAI) -> None:
    texts = [f"text {number}" for number in range(70)]  # more than are written at once
    as_numbers = client.embeddings.create(model="minilm", input=texts, encoding_format="float")
    as_base64 = client.embeddings.create(model="minilm", input=texts, encoding_format="base64")
    packed = [item.embedding for item in as_base64.data]
    assert all(isinstance(text, str) for text in packed)  # the client only decodes what it requested by itself
    assert np.array_equal(vectors_of(as_numbers), vectors_of(client.embeddings.create(model="minilm", input=texts)))


def test_the_asynchronous_client_shares_batches(server: RunningServer, loaded: TaskModel) -> None:
    import openai

    texts = [f"text {number} " + "on and on " * number for number in range(20)]

    async def ask() -> list[openai.types.CreateEmbeddingResponse]:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            asked = (client.embeddings.create(model="minilm", input=text) for text in texts)
            return await asyncio.gather(*asked)

    found = np.concatenate([vectors_of(answer) for answer in asyncio.run(ask())])
    np.testing.assert_allclose(found, loaded.embed(texts), atol=1e-6)


def test_models_are_listed(client: openai.OpenAI) -> None:
    import openai

    assert [model.id for model in client.models.list()] == ["minilm"]
    assert client.models.retrieve("minilm").object == "model"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("other/model")


def test_an_unknown_model(client: openai.OpenAI) -> None:
    import openai

    with pytest.raises(openai.NotFoundError, match="this server has minilm") as caught:
        client.embeddings.create(model="text-embedding-3-small", input="a text")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert caught.value.request_id


def test_token_ids_are_refused(client: openai.OpenAI) -> None:
    import openai

    for ids in ([1, 2, 3], [[1, 2], [3]]):
        with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length") as caught:
            client.embeddings.create(model="minilm", input=ids)
        assert caught.value.param == "input"


def test_lists_of_lists_with_texts_are_not_taken_for_token_ids(client: openai.OpenAI) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="input must be a text or a list of texts"):
        client.embeddings.create(model="minilm", input=[["a"], ["b"]])


def test_other_dimensions_are_refused(client: openai.OpenAI) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="vectors of 384 numbers") as caught:
        client.embeddings.create(model="minilm", input="a text", dimensions=256)
    assert caught.value.param == "dimensions"


def test_a_text_that_is_too_long_is_refused_by_name(client: openai.OpenAI) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="text 1 has 2002 tokens") as caught:
        client.embeddings.create(model="minilm", input=["short", LONG])
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "input")


def test_a_text_is_cut_and_reported_if_requested(client: openai.OpenAI, loaded: TaskModel) -> None:
    asked = client.embeddings.with_raw_response
    raw = asked.create(model="minilm", input=["short", LONG], extra_body={"truncate_prompt_tokens": -1})
    assert raw.headers["x-inferox-cut-inputs"] == "1"
    answer = raw.parse()
    np.testing.assert_allclose(vectors_of(answer), loaded.embed(["short", LONG], truncate="cut"), atol=1e-6)
    assert answer.usage.prompt_tokens == loaded.task.encode(["short", LONG]).lengths.sum()


def test_as_many_texts_as_openai_takes(client: openai.OpenAI) -> None:
    import openai

    answer = client.embeddings.create(model="minilm", input=["a"] * 2048)
    assert len(answer.data) == 2048
    with pytest.raises(openai.BadRequestError, match="2,048 texts, but has 2,049"):
        client.embeddings.create(model="minilm", input=["a"] * 2049)
