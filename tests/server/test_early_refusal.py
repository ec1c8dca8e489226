"""Requests refused by their headers, as no model has room: the errors equal those after a body was read."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
import pytest

from inferox.server import ModelSource, ServerConfig
from inferox.server.http_response import HttpResponse
from inferox.server.log_writer import LogWriter
from inferox.server.oip.model_path import START
from inferox.server.protocol import ErrorForm
from inferox.server.request_log import RequestLog
from inferox.server.request_observer import RequestObserver
from inferox.server.rerank.error_body import RANKING_ERRORS
from inferox.server.tei.error_body import TEI_ERRORS
from tests.server.models import HERE, RANKER, SUMS
from tests.server.test_api_keys import KEYS, make
from tests.server.test_app import Held, holding, run

TEXTS = ["a"]
EMBEDDINGS: Any = {"model": "model", "input": TEXTS}
PAIRS: Any = {"model": "model", "text_1": "a", "text_2": TEXTS}
DOCUMENTS: Any = {"query": "a", "documents": TEXTS}
RANKED: Any = {"query": "a", "texts": TEXTS}
VECTORS: dict[str, Any] = {
    **dict.fromkeys(("/v1/embeddings", "/openai/v1/embeddings", "/v3/embeddings", "/embeddings"), EMBEDDINGS),
    "/embed": {"inputs": TEXTS},
    "/embed_all": {"inputs": TEXTS},
    "/similarity": {"inputs": {"source_sentence": "a", "sentences": TEXTS}},
    "/": {"inputs": TEXTS},
    "/invocations": {"inputs": TEXTS},
    "/vertex": {"instances": [{"inputs": TEXTS}]},
    **dict.fromkeys(("/score", "/v1/score"), PAIRS),
    "/v1/embed": {"model": "model", "texts": TEXTS},
    "/v2/embed": {"model": "model", "texts": TEXTS, "embedding_types": ["float"]},
    "/v2/models/model/infer": {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": TEXTS}]},
}
INPUTS = [{"name": name, "datatype": "BYTES", "shape": [1], "data": TEXTS} for name in ("query", "text")]
RANKS: dict[str, Any] = {
    **dict.fromkeys(("/v1/rerank", "/v2/rerank", "/openai/v1/rerank", "/v3/rerank"), DOCUMENTS),
    **dict.fromkeys(("/score", "/v1/score"), PAIRS),
    "/predict": {"inputs": [["a", "b"]]},
    **dict.fromkeys(("/", "/invocations"), RANKED),
    "/vertex": {"instances": [RANKED]},
    "/v2/models/model/infer": {"inputs": INPUTS},
}
BODIES = {HERE: VECTORS, RANKER: RANKS}
"""What each route that computes takes, by the model that computes it."""


@asynccontextmanager
async def crowded(config: ServerConfig | None = None, source: str = HERE, **headers: str) -> AsyncIterator[Held]:
    """An application whose model has no room, since one owner has so much in progress."""
    async with holding(config or ServerConfig(timeout_s=1.0), source=source) as held:

        async def ask(number: int) -> httpx2.Response:
            if source == HERE:
                return await held.ask(f"text {number}")
            return await held.http.post("/v1/rerank", json={"query": "a", "documents": [f"text {number}"]})

        held.http.headers.update(headers)
        late = await asyncio.gather(*map(ask, range(8)))
        assert {answer.status_code for answer in late} == {504}
        under_way = [asyncio.create_task(ask(number)) for number in range(4)]
        model = held.model
        # The window has room for one: a single request was ahead of the first late one that counts.
        await held.until(lambda: sum(task.done() for task in under_way) == 3)
        assert held.service.has_full
        yield held
        model.may_go.set()
        assert sorted([(await task).status_code for task in under_way]) == [200, 429, 429, 429]


def refuse(held: Held, path: str, method: str = "POST", **headers: str) -> HttpResponse | None:
    encoded = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return held.app.refuse_early({"type": "http", "method": method, "path": path, "headers": encoded})


@pytest.mark.parametrize("source", BODIES)
def test_early_refusals_are_the_same_errors_in_every_protocol(source: str) -> None:
    trace = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"

    async def test() -> None:
        async with crowded(source=source) as held:
            for path, body in BODIES[source].items():
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


def test_a_body_that_is_too_large_is_refused_as_such_while_models_have_no_room() -> None:
    async def test() -> None:
        async with crowded() as held:
            assert refuse(held, "/tokenize", content_length=f"{2**40}") is None
            headers = {"content-type": "application/json", "content-length": f"{2**40}"}
            late = await held.http.post("/tokenize", content=b"{}", headers=headers)
            assert late.status_code == 413

    run(test)


def test_every_route_that_computes_is_refused_early_but_one() -> None:
    async def test() -> None:
        async with holding() as held:
            found = (held.app._routes | held.app._families).items()
            computing = {path for path, (methods, _) in found if "POST" in methods and methods["POST"].computes != ()}
        paths = {path.replace(f"{START}model/infer", START) for bodies in BODIES.values() for path in bodies}
        assert computing == paths | {"/rerank"}

    run(test)


@pytest.mark.parametrize(
    ("field", "writer"), [("documents", RANKING_ERRORS), ("texts", TEI_ERRORS)], ids=["documents", "texts"]
)
def test_where_the_body_says_who_asks_it_is_refused_once_it_has(field: str, writer: ErrorForm) -> None:
    async def test() -> None:
        async with crowded(source=RANKER) as held:
            assert refuse(held, "/rerank") is None
            for items in (TEXTS, "no list, which nobody reads"):
                refused = await held.http.post("/rerank", json={"query": "a", field: items})
                assert refused.status_code == 429
                assert int(refused.headers["retry-after-ms"]) >= 1
                msgspec.json.decode(refused.content, type=writer.body)
            held.service.load_again("other", held.service.sources["model"])
            wrong = await held.http.post("/rerank", json={"query": "a", field: "no list", "model": "other"})
            assert wrong.status_code == (400 if writer is RANKING_ERRORS else 422)

    run(test)


def test_what_this_process_has_no_room_for_is_refused_early_on_every_route_that_reads_a_body() -> None:
    async def test() -> None:
        async with holding(ServerConfig(request_limit=1)) as held:
            first = asyncio.create_task(held.ask("abc"))
            await held.until(lambda: held.app.intake.is_full)
            reading = [path for path, (methods, _) in held.app._routes.items() if "POST" in methods]
            assert {"/rerank", "/tokenize", "/decode", "/v2/repository/index"} <= set(reading)
            for path in (*reading, f"{START}model/infer", f"{START}model/versions/1/infer"):
                early = refuse(held, path)
                assert early is not None, path
                late = await held.http.post(path, json={})
                assert (early.status, json.loads(early.body)) == (late.status_code, late.json()), path
                assert (early.status, "the server already has 1" in early.body.decode()) == (429, True)
            for path in ("/v2/logging", "/v2/repository/models/model/load", "/nowhere"):
                assert refuse(held, path) is None, path
            held.model.may_go.set()
            assert (await first).status_code == 200

    run(test)


def test_what_computes_nothing_is_not_refused_nor_what_has_no_protocol_yet() -> None:
    async def test() -> None:
        async with crowded() as held:
            for path in held.app._routes:
                assert refuse(held, path, "GET") is None
            for path in ("/tokenize", "/decode", "/v2/repository/index", "/health/live", "/nowhere", "/v2/logging"):
                assert refuse(held, path) is None
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
            for path in ("/predict", "/v1/rerank"):  # which is not for the full model
                assert refuse(held, path) is None, path

    run(test)


def test_a_path_that_names_a_model_is_about_that_one() -> None:
    async def test() -> None:
        async with crowded() as held:
            held.service.load_again("me/other", held.service.sources["model"])
            for place in ("model", "model/versions/1"):
                assert refuse(held, f"{START}{place}/infer") is not None
            for place in ("me/other/infer", "me/other/versions/1/infer", "nobody/infer", "model/ready", "model", ""):
                assert refuse(held, f"{START}{place}") is None, place

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
