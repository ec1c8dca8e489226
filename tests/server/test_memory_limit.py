"""``--memory-limit``: a row that can never have room is refused in every protocol, and everybody else is answered."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest

from inferox import Client
from inferox.core import InputTooLargeError
from tests.conftest import Command
from tests.server.models import WIDE, WIDTH
from tests.server.oip.test_grpc import MESSAGES, infer_of
from tests.server.running import RunningServer, running

LIMIT_BYTES = 64 * 2**20
LONG = "a" * 100
NEEDED_BYTES = len(LONG) * WIDTH * 8
"""The memory that its outputs take; it is more once a batch has been measured."""

RUNNING = (f"model={WIDE}", "--trust-code", "--memory-limit", "64MiB", "--grpc-port", "0", "--threads", "1")


@pytest.fixture(scope="module", autouse=True)
def _workers_find_the_model() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        yield


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    """A server whose only model returns 800 kB for each character of a text."""
    with running(*RUNNING) as server:
        server.wait_until_ready()
        yield server


def assert_says_why(message: str, label: str, limit_bytes: int = LIMIT_BYTES - 1) -> None:
    """Checks the error; a model counts as at least one byte."""
    form = (
        rf"{label}: a row of 100 tokens needs about ([\d,]+) bytes of memory beside .* can have {limit_bytes:,} at most"
    )
    found = re.match(form, message)
    assert found is not None, message
    assert int(found[1].replace(",", "")) >= NEEDED_BYTES
    assert "--memory-limit" in message


def test_the_answers_of_openai_and_tei_say_what_it_needs_and_what_there_is(server: RunningServer) -> None:
    refused = server.http.post("/v1/embeddings", json={"model": "model", "input": ["ab", LONG]})
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert_says_why(error["message"], "item 1")
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", None, None)

    refused = server.http.post("/embed", json={"inputs": ["ab", LONG]})
    assert refused.status_code == 422  # which TEI's clients expect instead of 400
    assert_says_why(refused.json()["error"], "item 1")
    assert refused.json()["error_type"] == "Validation"


def test_grpc_says_the_same_and_a_stream_goes_on(server: RunningServer) -> None:
    with grpc.insecure_channel(server.grpc_place) as channel:
        service = "/inference.GRPCInferenceService"
        read = MESSAGES.of("ModelInferResponse").FromString
        ask = channel.unary_unary(f"{service}/ModelInfer", lambda sent: sent.SerializeToString(), read)
        with pytest.raises(grpc.RpcError) as caught:
            ask(infer_of("ab", LONG), timeout=20)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert_says_why(caught.value.details(), "item 1")

        read = MESSAGES.of("ModelStreamInferResponse").FromString
        stream = channel.stream_stream(f"{service}/ModelStreamInfer", lambda sent: sent.SerializeToString(), read)
        before, refused, after = stream(iter([infer_of("ab"), infer_of(LONG), infer_of("c")]), timeout=20)
    assert_says_why(refused.error_message, "item 0")
    assert [list(told.infer_response.outputs[0].contents.fp32_contents) for told in (before, after)] == [
        [vector_of("ab")],
        [vector_of("c")],
    ]


def test_the_client_raises_what_the_server_raised(server: RunningServer) -> None:
    with Client(server.url) as client, pytest.raises(InputTooLargeError) as caught:
        client.infer("model", {"text": ["ab", LONG]})
    assert (caught.value.item, caught.value.limit_bytes) == (1, LIMIT_BYTES - 1)
    assert caught.value.needed_bytes >= NEEDED_BYTES


def test_neighbours_are_answered(server: RunningServer) -> None:
    async def ask(http: httpx2.AsyncClient, text: str) -> tuple[int, Any]:
        answer = await http.post("/v1/embeddings", json={"model": "model", "input": text})
        return answer.status_code, answer.json()

    async def ask_all() -> list[tuple[int, Any]]:
        async with httpx2.AsyncClient(base_url=server.url, timeout=20) as http:
            return await asyncio.gather(*[ask(http, text) for text in texts])

    texts = [LONG if number % 4 == 1 else chr(ord("b") + number) for number in range(16)]
    for text, (status, body) in zip(texts, asyncio.run(ask_all()), strict=True):
        if text is LONG:
            assert status == 400
        else:
            assert (status, body["data"][0]["embedding"]) == (200, [vector_of(text)])
    assert server.http.get("/health/ready").status_code == 200


def test_workers_share_the_limit() -> None:
    with running(*RUNNING, "--workers", "2") as server:
        server.wait_until_ready()
        refused = server.http.post("/v1/embeddings", json={"model": "model", "input": LONG})
    assert refused.status_code == 400
    assert_says_why(refused.json()["error"]["message"], "item 0", LIMIT_BYTES // 2 - 1)


def test_a_model_that_never_has_room_ends_the_server(inferox: Command, minilm_package: Path) -> None:
    done = inferox("serve", minilm_package, "--backend", "onnxruntime", "--memory-limit", "1.5MB", "--port", "0")
    assert done.returncode == 2
    (message,) = [line for line in done.stderr.decode().splitlines() if "the model needs" in line]
    assert message.startswith("inferox: the model needs about ")
    assert "but memory_limit_bytes is 1,500,000" in message


def vector_of(text: str) -> float:
    return float(2 * WIDTH * sum(map(ord, text)))
