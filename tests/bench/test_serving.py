"""A server under load, from outside: the counts, and the start of latency."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from inferox.bench import LoadReport
from inferox.bench.serving import bench_server
from inferox.core import ConfigError, RequestError, UnreachableError
from tests.client.scripted import HANG_UP, Reply, refusal, scripted

Answer = Callable[[str, bytes], Reply]


def openai(path: str, body: bytes) -> Reply:
    """Answers as OpenAI's API does."""
    if path == "/v1/models":
        return 200, {}, b'{"data": [{"id": "tiny"}]}'
    asked = json.loads(body)
    assert (path, asked["model"]) == ("/v1/embeddings", "tiny")
    return (
        200,
        {"x-inferox-artifact": "it"},
        json.dumps({"data": [{"embedding": [0.5]} for _ in asked["input"]]}).encode(),
    )


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Runs a server in a thread of its own; gives its address."""
    urls: list[str] = []
    loop = asyncio.new_event_loop()
    is_up, is_over = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with scripted(answer) as server:
            urls.append(server.url)
            is_up.set()
            await is_over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert is_up.wait(10)
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(is_over.set)
        thread.join()
        loop.close()


def test_callers_and_rates_are_measured() -> None:
    rows: list[int] = []

    def answer(path: str, body: bytes) -> Reply:
        if body:
            rows.append(len(json.loads(body)["input"]))
        return openai(path, body)

    with serving(answer) as url:
        found = bench_server(url, callers=[1, 4], rates_per_s=[50], rows=3, seconds=1)
    assert (found.name, found.url, found.api, found.artifact, found.rows) == ("tiny", url, "openai", "it", 3)
    assert set(rows) == {3}
    assert [(step.callers, step.offered_per_s) for step in found.steps] == [(1, None), (4, None), (None, 50)]
    for step in found.steps:
        assert step.answered > 0
        assert set(step.failed) <= {"unanswered"}  # where this process stood still until the end of the second
        assert step.client_cpu_s is not None
        assert 0 < step.client_cpu_s < 0.1
        assert step.latency_s["50"] <= step.latency_s["max"]
    assert json.loads(json.dumps(found.to_json()))["steps"][2]["answered"] == found.steps[2].answered


def test_refusals_and_lost_connections_are_counted_by_name() -> None:
    asked = 0

    def answer(path: str, body: bytes) -> Reply:  # noqa: ARG001
        nonlocal asked
        asked += 1
        if asked == 1:
            return 200, {}, b"[[1.0]]"
        return (refusal(429), HANG_UP, (200, {"connection": "close"}, b"[[1.0]]"))[asked % 3]

    with serving(answer) as url:
        found = bench_server(url, api="tei", callers=[2], rates_per_s=[], seconds=0.6)
    (step,) = found.steps
    assert set(step.failed) >= {"HTTP 429", "ConnectionError"}
    assert step.answered > 0


def test_time_counts_from_when_a_request_was_due() -> None:
    stalls_s = [time.monotonic()]

    def answer(path: str, body: bytes) -> Reply:  # noqa: ARG001
        if time.monotonic() - stalls_s[-1] > 0.5:
            time.sleep(0.25)  # the whole server blocks, and with it everything that is due
            stalls_s.append(time.monotonic())
        return 200, {}, b"[[1.0]]"

    with serving(answer) as url:
        found = bench_server(url, api="tei", callers=[], rates_per_s=[100], seconds=3)
    (step,) = found.steps
    # A third of all requests were due while it was blocked; a caller that waits would have noticed only one each time.
    assert step.latency_s["90"] > 0.1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (refusal(404), "answered 404 without a vector for each text"),
        ((200, {}, b"hello"), "answered 200 without a vector for each text: hello"),
        ((200, {}, b'{"data": []}'), "answered 200 without a vector"),
        ((200, {}, b'{"data": [{"embedding": []}]}'), "answered 200 without a vector"),
        ((200, {}, b'{"data": [{"embedding": [1.0, NaN]}]}'), "answered 200 without a vector"),
        ((200, {}, b'{"data": [{"embedding": [null]}]}'), "answered 200 without a vector"),
        ((200, {}, b'{"data": [{"embedding": {"a": 1}}]}'), "answered 200 without a vector"),
    ],
)
def test_what_is_no_server_of_embeddings_is_refused(reply: Reply, message: str) -> None:
    with serving(lambda _path, _body: reply) as url, pytest.raises(RequestError, match=message):
        bench_server(url, model="tiny", callers=[1], seconds=0.1)


def test_of_several_models_one_must_be_named() -> None:
    models = {"data": [{"id": "a"}, {"id": "b"}]}
    with (
        serving(lambda _path, _body: (200, {}, json.dumps(models).encode())) as url,
        pytest.raises(RequestError, match=r"does not name one model: a, b \(name it with --model\)"),
    ):
        bench_server(url, callers=[1], seconds=0.1)


@pytest.mark.parametrize("status", [401, 403])
def test_a_server_that_wants_an_api_key(status: int) -> None:
    refusal: Reply = (status, {}, b'{"error": {"message": "an API key is needed"}}')
    with (
        serving(lambda _path, _body: refusal) as url,
        pytest.raises(RequestError, match=r"refuses the API key: .*an API key is needed.* \(give .* with --api-key\)"),
    ):
        bench_server(url, callers=[1], seconds=0.1)


@pytest.mark.parametrize("api", ["openai", "tei"])
def test_who_never_answers_is_not_waited_for(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferox.bench.serving._FIRST_ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UnreachableError, match=r"did not answer within 0\.2 s"):
            bench_server(url, api=api, callers=[1], seconds=0.1)


def test_nobody_there_is_one_clear_error() -> None:
    with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        bench_server("http://127.0.0.1:9", callers=[1], seconds=0.1)


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("http://", {}, "must be http://HOST:PORT"),
        ("ftp://a", {}, "must be http://HOST:PORT"),
        ("http://a", {"api": "cohere"}, "api must be one of openai, tei"),
        ("http://a", {"rows": 0}, "rows must be a positive integer"),
        ("http://a", {"callers": [], "rates_per_s": []}, "there is nothing to measure"),
        ("http://a", {"api_key": "a\r\nx: y"}, "the API key must be printable"),
    ],
)
def test_settings_that_cannot_be(url: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bench_server(url, **options)


def test_a_server_that_dies_meanwhile_ends_it_and_what_was_measured_is_kept() -> None:
    is_dead = False

    def answer(path: str, body: bytes) -> Reply:
        return HANG_UP if is_dead else openai(path, body)

    def die(_what: str, done: int, _all: int) -> None:
        nonlocal is_dead
        is_dead = done == 1

    with serving(answer) as url:
        found = bench_server(url, callers=[1], rates_per_s=[20, 20, 20], seconds=2, progress=die)
    assert [bool(step.answered) for step in found.steps] == [True, False]
    assert found.fault is not None
    assert found.fault.startswith(f"the server is gone, after 2 of the 4 loads: {url} cannot be reached")
    assert json.loads(json.dumps(found.to_json()))["fault"] == found.fault


def test_an_interruption_keeps_what_was_measured() -> None:
    def stop(after: int) -> LoadReport:
        def progress(_what: str, done: int, _all: int) -> None:
            if done == after:
                raise KeyboardInterrupt

        with serving(openai) as url:
            return bench_server(url, callers=[1], rates_per_s=[20, 20], seconds=0.7, progress=progress)

    found = stop(2)
    assert [bool(step.answered) for step in found.steps] == [True, True]
    assert (found.fault, found.to_json()["ending"]) == (None, "interrupted")
    with pytest.raises(KeyboardInterrupt):
        stop(0)


def test_that_nothing_was_answered_is_a_fault_and_that_something_was_refused_is_none() -> None:
    asked = 0

    def refuse(path: str, body: bytes) -> Reply:
        nonlocal asked
        asked += 1
        return openai(path, body) if asked <= 2 or (is_kind and asked % 2) else refusal(429)

    for is_kind in (False, True):
        asked = 0
        with serving(refuse) as url:
            found = bench_server(url, callers=[1], rates_per_s=[20], seconds=0.6)
        assert sum(step.failed.get("HTTP 429", 0) for step in found.steps)
        assert found.fault == (None if is_kind else f"{url} answered no request")


def test_an_address_may_be_written_in_any_script() -> None:
    with serving(lambda path, body: openai(path.removeprefix("/%C3%A9"), body)) as url:
        found = bench_server(f"{url}/é".replace("http", "HTTP"), callers=[1], rates_per_s=[20], seconds=0.4)
    assert found.steps[0].answered


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"api_key": ""}, "the API key must be printable ASCII"),
        ({"api_key": "é"}, "the API key must be printable ASCII"),
        ({"model": ""}, "the name of the model must not be empty"),
        ({"rows": 1.5}, "rows must be a positive integer"),
        ({"callers": [1.5]}, "callers must be positive integers"),
        ({"rates_per_s": [float("inf")]}, "rates must be positive numbers"),
        ({"seconds": float("inf")}, "seconds must be a positive number"),
        ({"url": "http://me:secret@127.0.0.1:9"}, "user name, which would not be sent"),
    ],
)
def test_what_cannot_be_sent_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        bench_server(**{"url": "http://127.0.0.1:9", **options})
