"""Requests refused by their headers, as no model has room: the errors equal those after a body was read."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from inferox.server import ModelSource, ServerConfig
from inferox.server.http_response import HttpResponse
from inferox.server.log_writer import LogWriter
from inferox.server.request_log import RequestLog
from inferox.server.request_observer import RequestObserver
from tests.server.models import SUMS
from tests.server.test_api_keys import KEYS, make
from tests.server.test_app import Held, holding, run

TEXTS = ["a"]
BODIES: dict[str, Any] = {
    "/v1/embeddings": {"model": "model", "input": TEXTS},
    "/openai/v1/embeddings": {"model": "model", "input": TEXTS},
    "/embed": {"inputs": TEXTS},
    "/embed_all": {"inputs": TEXTS},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": TEXTS}},
    "/": {"inputs": TEXTS},
    "/vertex": {"instances": [{"inputs": TEXTS}]},
    "/score": {"model": "model", "text_1": "a", "text_2": TEXTS},
    "/v1/embed": {"model": "model", "texts": TEXTS},
    "/v2/embed": {"model": "model", "texts": TEXTS, "embedding_types": ["float"]},
    "/v2/models/model/infer": {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": TEXTS}]},
}


@asynccontextmanager
async def crowded(config: ServerConfig | None = None, **headers: str) -> AsyncIterator[Held]:
    """An application whose model has no room, since one owner has so much in progress."""
    async with holding(config or ServerConfig(timeout_s=1.0)) as held:
        held.http.headers.update(headers)
        late = await asyncio.gather(*[held.ask(f"text {number}") for number in range(8)])
        assert {answer.status_code for answer in late} == {504}
        under_way = [asyncio.create_task(held.ask(f"text {number}")) for number in range(4)]
        model = held.model
        await held.until(lambda: held.service.has_full)
        yield held
        model.may_go.set()
        # The window has room for one: a single request was ahead of the first late one that counts.
        assert sorted([(await task).status_code for task in under_way]) == [200, 429, 429, 429]


def refuse(held: Held, path: str, method: str = "POST", **headers: str) -> HttpResponse | None:
    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return held.app.refuse_early({"type": "http", "method": method, "path": path, "headers": encoded})


def test_early_refusals_are_the_same_errors_in_every_protocol() -> None:
    trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

    async def test() -> None:
        async with crowded() as held:
            for path, body in BODIES.items():
                early = refuse(held, path, x_request_id="mine", traceparent=trace)
                assert early is not None, path
                headers = {"x-request-id": "mine", "traceparent": trace}
                late = await held.http.post(path, json=body, headers=headers)
                assert (early.status, json.loads(early.body)) == (late.status_code, late.json()) == (429, late.json())
                told = {name.decode(): value.decode() for name, value in early.encode_headers()}
                assert told.keys() == late.headers.keys(), path
                varied = {"retry-after-ms", "traceparent"}
                assert {(name, told[name]) for name in told.keys() - varied} <= late.headers.items(), path
                assert told["traceparent"][:35] == trace[:35]

    run(test)


def test_what_computes_nothing_is_not_refused_nor_what_has_no_protocol_yet() -> None:
    async def test() -> None:
        async with crowded() as held:
            for path in held.app._routes:
                assert refuse(held, path, "GET") is None
            for path in ("/tokenize", "/decode", "/v2/repository/index", "/health/live", "/nowhere", "/v2/logging"):
                assert refuse(held, path) is None
            assert refuse(held, "/rerank") is None  # whose body says which of two protocols its client speaks
            held.service.is_draining = True  # every answer then says that the connection is closed
            assert refuse(held, "/embed") is None
            held.service.is_draining = False

    run(test)


def test_refusals_are_counted_and_logged() -> None:
    async def test() -> None:
        written = io.BytesIO()
        async with crowded() as held:
            before = dict(held.app._answers)
            writer = LogWriter(written, lambda lines: b"%d" % lines)
            held.app.observer = RequestObserver(RequestLog("json", writer))
            assert refuse(held, "/embed", x_request_id="mine") is not None
            held.app.observer = RequestObserver()
            writer.close()
            assert (
                f'inferox_http_requests_total{{status="429"}} {before.get(429, 0) + 1}.0'
                in (await held.http.get("/metrics")).text
            )
        line = json.loads(written.getvalue())
        assert (line["request_id"], line["path"], line["status"]) == ("mine", "/embed", 429)

    run(test)


def test_keys_are_checked_first_and_every_owner_has_a_share() -> None:
    async def test() -> None:
        config = ServerConfig(timeout_s=1.0, api_keys=(make(), make("bob")))
        async with crowded(config, **{"x-api-key": KEYS["alice"].decode()}) as held:
            for headers in ({}, {"x_api_key": "unknown"}):
                assert refuse(held, "/embed", **headers) is None  # and the application answers 401
            assert refuse(held, "/embed", x_api_key=KEYS["alice"].decode()) is not None
            bob = {"x-api-key": KEYS["bob"].decode()}
            assert refuse(held, "/embed", x_api_key=bob["x-api-key"]) is None
            taken = asyncio.create_task(held.http.post("/embed", json={"inputs": "b"}, headers=bob))
            await held.until(lambda: held.service._congestions["model"].find_refusal("bob", 2) is not None)
            held.model.may_go.set()
            assert (await taken).status_code == 200

    run(test)


def test_a_model_with_room_is_asked_if_it_has_a_task_of_the_route() -> None:
    async def test() -> None:
        async with crowded() as held:
            held.service.load_again("other", held.service.sources["model"])
            assert refuse(held, "/embed") is None
            held.service.unload("other")
            held.service.load_again("sums", ModelSource(SUMS, "sums", {"trust_code": True}))
            for path in ("/embed", "/v1/embeddings", "/v2/embed", "/", "/score"):
                assert refuse(held, path) is not None, path
            for path in ("/predict", "/v1/rerank", "/v2/models/sums/infer"):  # which is not for the full model
                assert refuse(held, path) is None, path

    run(test)


def test_a_model_that_is_loaded_anew_begins_without_a_limit() -> None:
    async def test() -> None:
        async with crowded() as held:
            assert held.service.window("model") == pytest.approx(1.8)
            first, again = held.model, held.service.sources["model"]
            loading = asyncio.create_task(asyncio.to_thread(held.service.load_again, "model", again))
            await held.until(lambda: held.service.window("model") == float("inf"))
            first.may_go.set()
            await loading

    run(test)
