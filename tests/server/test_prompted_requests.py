"""The text that a model gets if a request chooses a prompt, in every protocol that can."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx2
import pytest

from inferox import Engine
from inferox.server import ModelSource, ServerConfig
from inferox.server.app import App
from inferox.server.service import Service
from tests.server.models import PROMPTED, made


def ask(path: str, body: dict[str, Any]) -> tuple[httpx2.Response, str]:
    """Returns an answer, and the text that the model computed for it."""

    async def ask() -> httpx2.Response:
        with Engine() as engine:
            service = Service(engine, timeout_s=20)
            service.load([ModelSource(PROMPTED, "model", {"trust_code": True})])
            transport = httpx2.ASGITransport(App(service, ServerConfig()))
            async with httpx2.AsyncClient(transport=transport, base_url="http://server") as http:
                return await http.post(path, json=body)

    answer = asyncio.run(ask())
    return answer, "".join(map(chr, made[-1].batches[0][0])) if made[-1].batches else ""


OPENAI = {"model": "model", "input": "a"}
COHERE = {"model": "model", "texts": ["a"]}


@pytest.mark.parametrize(
    ("path", "body", "computed"),
    [
        ("/v1/embeddings", OPENAI, "a"),
        ("/v1/embeddings", OPENAI | {"prompt_name": "query"}, "ask: a"),
        ("/v1/embeddings", OPENAI | {"input_type": "query"}, "ask: a"),
        ("/v1/embeddings", OPENAI | {"input_type": "passage"}, "a"),
        ("/v1/embeddings", OPENAI | {"task": "retrieval.query"}, "ask: a"),
        ("/v2/embed", COHERE | {"input_type": "search_query"}, "ask: a"),
        ("/v2/embed", COHERE | {"input_type": "search_document"}, "a"),
        ("/embed", {"inputs": "a", "prompt_name": "query"}, "ask: a"),
        ("/", {"inputs": "a", "prompt_name": "query"}, "ask: a"),
    ],
)
def test_the_text_has_its_prompt(path: str, body: dict[str, Any], computed: str) -> None:
    answer, text = ask(path, body)
    assert (answer.status_code, text) == (200, computed)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/embeddings", OPENAI | {"prompt_name": "search_query"}, 400),
        ("/v1/embeddings", OPENAI | {"task": "clustering"}, 400),
        ("/v1/embeddings", OPENAI | {"prompt_name": "query", "input_type": "query"}, 400),
        ("/v2/embed", COHERE | {"input_type": "clustering"}, 400),
        ("/embed", {"inputs": "a", "prompt_name": "search_query"}, 422),
    ],
)
def test_a_prompt_that_there_is_not_is_refused(path: str, body: dict[str, Any], status: int) -> None:
    answer, text = ask(path, body)
    assert (answer.status_code, text) == (status, "")


def test_vectors_that_the_model_does_not_scale_are_scaled_for_tei_unless_it_says_not_to() -> None:
    plain, _ = ask("/embed", {"inputs": ["a", "b"]})
    assert plain.json() == [[1.0], [1.0]]
    ours, _ = ask("/v1/embeddings", OPENAI)
    assert ours.json()["data"][0]["embedding"] == [2.0 * ord("a")]
