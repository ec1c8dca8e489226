"""Load, deadlines, clients that leave, and faults: the application with an engine whose model can be held."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from inferox import Engine, EngineConfig
from inferox.core import ConfigError
from inferox.server import ModelSource, ServerConfig
from inferox.server.app import App
from inferox.server.service import Service
from tests.engine.models import POISON, DoublingModel
from tests.server.models import HERE, made

JSON = {"content-type": "application/json"}


class Held:
    """An application, and the parts behind it."""

    def __init__(self, engine: Engine, config: ServerConfig, *, is_loaded: bool = True, source: str = HERE) -> None:
        self.engine = engine
        self._source = source
        self.service = Service(engine, timeout_s=config.timeout_s)
        if is_loaded:
            self.load()
        self.app = App(self.service, config)
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url="http://server")

    def load(self) -> None:
        self.service.load([ModelSource(self._source, "model", {"trust_code": True})])

    @property
    def model(self) -> DoublingModel:
        return made[-1]

    async def ask(self, *texts: str) -> httpx2.Response:
        return await self.http.post("/v1/embeddings", json={"model": "model", "input": texts})

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so():
                await asyncio.sleep(0.002)


@asynccontextmanager
async def holding(config: ServerConfig | None = None, *, source: str = HERE, **settings: Any) -> AsyncIterator[Held]:
    """Opens an application whose model only answers once it may."""
    with Engine(EngineConfig(refuse_non_finite=True, **settings)) as engine:
        held = Held(engine, config or ServerConfig(), source=source)
        held.model.may_go.clear()
        try:
            yield held
        finally:
            held.model.may_go.set()
            await held.http.aclose()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_after_late_answers_fewer_requests_are_admitted() -> None:
    async def test() -> None:
        async with holding(ServerConfig(timeout_s=0.2)) as held:
            late = await asyncio.gather(*[held.ask(f"text {number}") for number in range(20)])
            assert {answer.status_code for answer in late} == {504}
            metrics = (await held.http.get("/metrics")).text
            assert 'inferox_window_items{model="model"} 1.8' in metrics  # one was before the first that says something
            fewer = await asyncio.gather(*[held.ask(f"text {number}") for number in range(20)])
            assert [answer.status_code for answer in fewer] == [504] + [429] * 19
            assert {answer.json()["error"]["code"] for answer in fewer[1:]} == {"overloaded"}
            assert all(int(answer.headers["retry-after-ms"]) >= 1 for answer in fewer[1:])
            held.model.may_go.set()
            assert (await held.ask("text")).status_code == 200

    run(test)


def test_too_many_tokens_are_answered_with_429() -> None:
    async def test() -> None:
        async with holding(max_waiting_tokens=4) as held:
            first = asyncio.create_task(held.ask("abc"))
            await held.until(held.model.has_begun.is_set)
            second = asyncio.create_task(held.ask("abc"))
            await held.until(lambda: held.engine.stats("model").waiting_rows == 1)
            shed = await held.ask("abc")
            assert (shed.status_code, shed.json()["error"]["code"]) == (429, "overloaded")
            assert int(shed.headers["retry-after"]) >= 1
            assert int(shed.headers["retry-after-ms"]) >= 1
            held.model.may_go.set()
            assert {(await first).status_code, (await second).status_code} == {200}

    run(test)


def test_a_body_that_could_never_be_admitted_is_too_large_and_not_too_much_for_now() -> None:
    async def test() -> None:
        async with holding(ServerConfig(body_limit_bytes=100, held_limit_bytes=100)) as held:
            held.model.may_go.set()
            # Not even announced sizes that no server has room for are a reason to send the request again.
            for size_bytes in (101, 2**40):
                headers = JSON | {"content-length": f"{size_bytes}"}
                answer = await held.http.post("/v1/embeddings", content=as_chunks(b"{}"), headers=headers)
                assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
                assert "retry-after" not in answer.headers
            chunked = await held.http.post("/v1/embeddings", content=as_chunks(b" " * 60, b" " * 60), headers=JSON)
            assert chunked.status_code == 413
            largest = b'{"inputs":[{"name":"text","datatype":"BYTES","shape":[1],"data":["a"]}]}'.ljust(100)
            packed = await held.http.post(
                "/v2/models/model/infer", content=gzip.compress(largest), headers={"content-encoding": "gzip"}
            )
            assert packed.status_code == 200

    run(test)


def test_limits_that_would_never_admit_the_largest_body_are_refused() -> None:
    with pytest.raises(ConfigError, match="the largest would never be admitted"):
        ServerConfig(body_limit_bytes=101, held_limit_bytes=100)


@pytest.mark.parametrize("name", ["timeout_s", "body_timeout_s", "keep_alive_s", "drain_delay_s"])
def test_times_beyond_every_timer_are_refused(name: str) -> None:
    """The engine would refuse every request with such a time."""
    times: dict[str, Any] = {name: 365 * 24 * 3600}
    assert vars(ServerConfig(**times))[name] == times[name]
    for value in (1e9, 1e300, float("inf"), float("nan"), -1):
        times[name] = value
        with pytest.raises(ConfigError, match=f"{name} must be .* up to a year"):
            ServerConfig(**times)


async def as_chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize(
    ("config", "what"),
    [
        (ServerConfig(request_limit=1), "the server already has 1 unanswered request"),
        (ServerConfig(held_limit_bytes=60, body_limit_bytes=60), "would exceed the limit of 60"),
    ],
    ids=["requests", "bytes"],
)
def test_what_this_process_has_no_room_for_is_refused_before_it_is_read(config: ServerConfig, what: str) -> None:
    async def test() -> None:
        async with holding(config) as held:
            first = asyncio.create_task(held.ask("abc"))
            await held.until(held.model.has_begun.is_set)

            async def unread() -> AsyncIterator[bytes]:
                yield pytest.fail("it was read")

            headers = JSON | {"content-length": "40"}
            shed = await held.http.post("/v1/embeddings", content=unread(), headers=headers)
            assert shed.status_code == 429
            assert what in shed.json()["error"]["message"]
            scope = {"type": "http", "method": "POST", "path": "/v1/embeddings", "headers": []}
            early = held.app.refuse_early(scope)
            assert (early is not None) == (config.request_limit == 1)
            assert early is None or json.loads(early.body) == shed.json()
            assert (await held.http.get("/health/live")).status_code == 200
            held.model.may_go.set()
            assert (await first).status_code == 200
            assert (await held.ask("abc")).status_code == 200  # there is room again

    run(test)


def test_a_request_that_takes_too_long_is_answered_with_504_and_not_computed() -> None:
    async def test() -> None:
        async with holding(ServerConfig(timeout_s=0.05)) as held:
            first = asyncio.create_task(held.ask("abc"))
            await held.until(held.model.has_begun.is_set)
            late = await held.ask("def")
            assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
            assert late.headers["x-should-retry"] == "false"
            assert (await first).status_code == 504
            held.model.may_go.set()
            assert (await held.ask("g")).status_code == 200
            assert [[ord(letter) for letter in "def"]] not in held.model.batches

    run(test)


def test_a_client_that_goes_away_costs_nothing_more() -> None:
    async def test() -> None:
        async with holding() as held:
            first = asyncio.create_task(held.ask("abc"))
            await held.until(held.model.has_begun.is_set)
            leave, sent = asyncio.Event(), list[Any]()
            parts = [{"type": "http.request", "body": json.dumps({"model": "model", "input": "def"}).encode()}]

            async def receive() -> Any:
                if parts:
                    return parts.pop()
                await leave.wait()
                return {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                sent.append(message)

            scope = {"type": "http", "method": "POST", "path": "/v1/embeddings"}
            scope["headers"] = [(b"content-type", b"application/json")]  # type: ignore[assignment]
            second = asyncio.create_task(held.app(scope, receive, send))
            await held.until(lambda: held.engine.stats("model").waiting_rows == 1)
            leave.set()
            await second
            assert not sent
            held.model.may_go.set()
            assert (await first).status_code == 200
            assert (await held.ask("g")).status_code == 200
            assert [[ord(letter) for letter in "def"]] not in held.model.batches

    run(test)


def test_of_thousands_that_expired_or_whose_clients_went_none_is_computed() -> None:
    count = 1000

    async def test() -> None:
        async with holding(ServerConfig(timeout_s=3, request_limit=3 * count)) as held:
            first = asyncio.create_task(held.ask("abc"))
            await held.until(held.model.has_begun.is_set)
            leaving = [asyncio.create_task(held.ask(f"left{index}")) for index in range(count)]
            await held.until(lambda: held.engine.stats("model").waiting_rows >= 2)  # before any of them expires
            for task in leaving:
                task.cancel()
            expiring = [asyncio.create_task(held.ask(f"late{index}")) for index in range(count)]
            statuses = {answer.status_code for answer in await asyncio.gather(*expiring)}
            await asyncio.gather(first, *leaving, return_exceptions=True)
            assert statuses <= {429, 504}
            held.model.may_go.set()
            await held.until(lambda: not held.engine.stats("model").waiting_rows)
            assert (await held.ask("g")).status_code == 200
            computed = [row for batch in held.model.batches for row in batch]
            assert computed == [[ord(letter) for letter in text] for text in ("abc", "g")]

    run(test)


def test_internal_failures_are_only_reported_to_the_operator(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with holding() as held:
            held.model.may_go.set()
            answer = await held.ask("a", chr(POISON))
            error = answer.json()["error"]
            assert (answer.status_code, error["type"], error["code"]) == (500, "server_error", "internal_error")
            assert "input 1" in error["message"]
            assert answer.headers["x-request-id"] in error["message"]
            assert "poison" not in answer.text
            assert answer.headers["x-should-retry"] == "false"
            assert f"{answer.headers['x-request-id']} failed: " in caplog.text
            assert "poison" in caplog.text

    run(test)


def test_before_the_models_are_there() -> None:
    async def test() -> None:
        with Engine() as engine:
            held = Held(engine, ServerConfig(), is_loaded=False)
            early = await held.ask("a")
            assert (early.status_code, early.headers["retry-after"]) == (429, "1")
            assert (await held.http.get("/health/live")).status_code == 200
            ready = await held.http.get("/health/ready")
            assert (ready.status_code, ready.json()["reason"]) == (503, "models are being loaded")
            ready = await held.http.get("/v2/models/model/ready")
            assert (ready.status_code, ready.json()["ready"]) == (503, False)
            held.load()
            assert (await held.ask("a")).status_code == 200
            held.service.is_draining = True
            assert (await held.http.get("/health/ready")).status_code == 503
            last = await held.ask("a")
            assert (last.status_code, last.headers["connection"]) == (200, "close")

    run(test)


def test_a_body_that_does_not_come_is_given_up() -> None:
    async def test() -> None:
        async with holding(ServerConfig(body_timeout_s=0.02)) as held:

            async def slow() -> AsyncIterator[bytes]:
                yield b'{"model":'
                await asyncio.sleep(60)

            answer = await asyncio.wait_for(ask_slowly(held, slow()), 10)
            assert (answer["status"], answer["headers"][b"connection"]) == (408, b"close")

    async def ask_slowly(held: Held, parts: AsyncIterator[bytes]) -> dict[str, Any]:
        sent = list[Any]()

        async def receive() -> Any:
            return {"type": "http.request", "body": await anext(parts), "more_body": True}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/embeddings", "headers": headers}
        await held.app(scope, receive, send)
        return {"status": sent[0]["status"], "headers": dict(sent[0]["headers"])}

    run(test)


def test_a_closed_engine_is_503() -> None:
    async def test() -> None:
        async with holding() as held:
            held.model.may_go.set()
            held.engine.close()
            answer = await held.ask("a")
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")
            assert answer.headers["retry-after"] == "1"

    run(test)
