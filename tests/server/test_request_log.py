"""The log of requests: what is in it, and what is not."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.server import ServerConfig
from inferox.server.app import App
from inferox.server.log_format import LogFormat
from inferox.server.log_writer import LogWriter
from inferox.server.request_log import RequestLog
from inferox.server.request_observer import RequestObserver
from inferox.server.trace_context import TraceContext, read_trace_context
from tests.server.models import HERE
from tests.server.otlp_receiver import receiving
from tests.server.running import PROGRAM, running
from tests.server.test_api_keys import make
from tests.server.test_app import Held, holding, run

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
LINES = 5_000
PRIVATE = "a text that nobody is to read"


def logged(kind: LogFormat, ask: Callable[[Held, httpx2.AsyncClient], Any], **config: Any) -> list[str]:
    """Returns the lines that requests have left in the log."""
    stream = io.BytesIO()
    writer = LogWriter(stream, lambda lines: f"lost {lines}".encode())

    async def test() -> None:
        settings = ServerConfig(**config)
        async with holding(settings) as held:
            held.model.may_go.set()
            app = App(held.service, settings, RequestObserver(RequestLog(kind, writer)))
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server") as http:
                await ask(held, http)

    run(test)
    writer.close()
    return stream.getvalue().decode().splitlines()


async def ask_for_vectors(held: Held, http: httpx2.AsyncClient) -> None:
    del held
    headers = {"x-request-id": "mine", "traceparent": f"00-{TRACE}-{PARENT}-01"}
    headers["authorization"] = "Bearer secret of alice"
    body = {"model": "model", "input": PRIVATE}
    answer = await http.post("/v1/embeddings?user=hidden", json=body, headers=headers)
    assert answer.status_code == 200
    trace = read_trace_context(answer.headers)
    assert trace is not None
    assert (trace.trace_id, trace.flags) == (TRACE, "01")
    assert trace.parent_id != PARENT
    await http.get("/nothing%0Aforged line", headers={"traceparent": "00-nonsense"})


def test_a_line_of_json_says_what_came_of_a_request() -> None:
    found, missing = map(json.loads, logged("json", ask_for_vectors, api_keys=(make(),)))
    assert found["time"].endswith("Z")
    assert found["duration_ms"] > 0
    assert found["received_bytes"] > len(PRIVATE)
    assert found["sent_bytes"] > 0
    assert re.fullmatch("[0-9a-f]{16}", found["span_id"])
    told = {"method", "path", "status", "request_id", "model", "api_key", "trace_id", "parent_span_id", "protocol"}
    assert {name: found[name] for name in told} == {
        "protocol": "http",
        "method": "POST",
        "path": "/v1/embeddings",
        "status": 200,
        "request_id": "mine",
        "model": "model",
        "api_key": "alice",
        "trace_id": TRACE,
        "parent_span_id": PARENT,
    }
    assert (missing["status"], missing["path"]) == (404, "/nothing\nforged line")
    assert not {"model", "api_key", "trace_id"} & set(missing)


@pytest.mark.parametrize("kind", ["text", "json"])
def test_what_requests_say_is_not_logged(kind: LogFormat) -> None:
    lines = logged(kind, ask_for_vectors, api_keys=(make(),))
    assert len(lines) == 2
    assert not any(word in line for line in lines for word in (PRIVATE, "hidden", "secret of alice"))


def test_a_line_of_text_has_a_word_for_each_fact() -> None:
    found, missing = logged("text", ask_for_vectors, api_keys=(make(),))
    assert " request protocol=http method=POST path=/v1/embeddings status=200 duration_ms=" in found
    assert " model=model api_key=alice " in found
    assert r"path=/nothing\nforged%20line status=404" in missing


def test_a_client_that_has_gone_is_logged_as_such() -> None:
    async def test() -> None:
        stream = io.BytesIO()
        writer = LogWriter(stream, lambda lines: f"lost {lines}".encode())
        async with holding() as held:
            app = App(held.service, ServerConfig(), RequestObserver(RequestLog("json", writer)))
            body = json.dumps({"model": "model", "input": "a"}).encode()
            messages = iter([{"type": "http.request", "body": body}, {"type": "http.disconnect"}])

            async def receive() -> Any:
                return next(messages)

            async def send(message: Any) -> None:
                raise AssertionError(message)

            headers = [(b"content-type", b"application/json")]
            scope = {"type": "http", "method": "POST", "path": "/v1/embeddings", "headers": headers}
            await app(scope, receive, send)
        writer.close()
        (line,) = stream.getvalue().splitlines()
        assert (json.loads(line)["status"], json.loads(line)["received_bytes"]) == (499, len(body))

    run(test)


def test_every_line_of_a_server_is_json_and_the_last_traces_are_sent_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # so that its worker finds the model
    monkeypatch.setenv("OTEL_SERVICE_NAME", "search")
    options = ("--trust-code", "--log-format", "json", "--access-log")
    with receiving() as receiver, running(f"model={HERE}", *options, "--otlp-endpoint", receiver.url) as server:
        server.wait_until_ready()
        asked = server.http.post("/v1/embeddings", json={"model": "model", "input": "a"})
        assert asked.status_code == 200
        server.process.send_signal(signal.SIGINT)
        _, rest = server.process.communicate(timeout=20)
    lines = [json.loads(line) for line in [*server.lines, *rest.splitlines()]]
    # Requests are logged by a thread of their own, and so beside the rest.
    messages = sorted(line["message"] for line in lines[1:])
    assert messages == ["ready: model", "request", "request", "shutting down"]
    probed, computed = [line for line in lines if line["message"] == "request"]
    assert [probed["path"], computed["path"]] == ["/health/ready", "/v1/embeddings"]
    span, *phases = sorted(receiver.spans, key=lambda span: (span.start_time_unix_nano, span.parent_span_id))
    assert (span.trace_id.hex(), span.span_id.hex()) == (computed["trace_id"], computed["span_id"])
    assert [phase.name for phase in phases] == ["tokenise", "queue", "compute"]
    assert {phase.parent_span_id for phase in phases} == {span.span_id}
    assert phases[-1].end_time_unix_nano <= span.end_time_unix_nano  # by the clock of a worker process
    assert {resource["service.name"] for resource in receiver.resources} == {"search"}


@pytest.mark.parametrize(
    ("arguments", "code", "what"),
    [
        (["/not/there"], 3, "there is no package at /not/there"),
        (["/not/there", "--host", "192.0.2.1"], 2, "cannot listen on port 0 of 192.0.2.1"),
        (["/not/there", "--tls-cert", "a.pem"], 2, "TLS needs both a certificate and its key"),
        (["/not/there", "--canary", "onnxruntime"], 2, "--canary must be BACKEND=SHARE"),
    ],
    ids=["package", "address", "certificate", "canary"],
)
def test_the_error_that_ends_a_server_is_a_line_of_json_too(arguments: list[str], code: int, what: str) -> None:
    command = [*PROGRAM, "serve", *arguments, "--port", "0", "--log-format", "json"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)  # noqa: S603 - our command
    *_, last = map(json.loads, ended.stderr.splitlines())
    assert (ended.returncode, last["level"]) == (code, "critical")
    assert what in last["message"]


def test_lines_that_nobody_reads_hold_nothing_up_and_are_counted() -> None:
    reader, end = os.pipe()
    with os.fdopen(reader, "rb") as read, os.fdopen(end, "wb") as write:
        writer = LogWriter(write, lambda lines: f"lost {lines}".encode(), most_lines=100)
        for number in range(LINES):  # more than fits into a pipe
            writer.write(b"%05d" % number + b"x" * 200)
        closing = threading.Thread(target=writer.close)
        closing.start()
        numbers: list[int] = []
        lost = 0
        while len(numbers) + lost < LINES:
            line = read.readline().decode()
            if line.startswith("lost"):
                lost += int(line.removeprefix("lost "))
            else:
                numbers.append(int(line[:5]))
        closing.join()
    assert lost > 0
    assert numbers == sorted(set(numbers))


hexadecimal = st.text("0123456789abcdef", min_size=16, max_size=16)


@given(hexadecimal, hexadecimal, hexadecimal, st.sampled_from(["00", "01", "02", "fe", "ff"]))
def test_a_trace_goes_on(high: str, low: str, parent: str, flags: str) -> None:
    trace_id = high + low
    found = read_trace_context({"traceparent": f"00-{trace_id}-{parent}-{flags}"})
    if not trace_id.strip("0") or not parent.strip("0"):
        assert found is None
        return
    assert isinstance(found, TraceContext)
    assert (found.trace_id, found.parent_id) == (trace_id, parent)
    known = {"ff": "03", "fe": "02"}.get(flags, flags)  # fields outside the recommendation are not passed on
    assert found.flags == known
    following = read_trace_context(found.headers)
    assert following is not None
    assert (following.trace_id, following.parent_id, following.flags) == (trace_id, found.span_id, known)


@pytest.mark.parametrize(
    ("header", "is_taken"),
    [
        (None, False),
        ("", False),
        (f"00-{TRACE}-{PARENT}-01-more", False),
        (f"01-{TRACE}-{PARENT}-01-more", True),
        (f"01-{TRACE}-{PARENT}-01more", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{TRACE}-{PARENT}", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
    ],
)
def test_an_invalid_trace_is_ignored(header: str | None, is_taken: bool) -> None:
    headers = {} if header is None else {"traceparent": header}
    assert (read_trace_context(headers) is not None) is is_taken
