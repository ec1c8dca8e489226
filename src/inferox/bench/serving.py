"""Load benchmarks of an embedding server: closed loops of callers, then open loops at rates."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import SplitResult

from inferox.bench.embedding_api import APIS, EmbeddingApi
from inferox.bench.http_connection import Connections, HttpAnswer
from inferox.bench.loops import FailedAskError, Observed, run_load
from inferox.bench.results import LoadReport, LoadStep
from inferox.bench.sweep import CALLERS, Progress, check_loads, collect_steps, count_loads, describe_step, sweep
from inferox.core import ConfigError, RequestError, UnreachableError, printable
from inferox.machine.description import this_machine
from inferox.machine.server_address import PORTS, parse_server_address
from inferox.measuring.comparison.workload import mixed_texts
from inferox.measuring.time_budget import Ending

_FIRST_ANSWER_S = 30.0
"""The time that a first answer may take: a server may load its model for it."""

_TEXTS, _LONGEST_WORDS = 4096, 150
"""The texts and their most words: few models take fewer, and OpenAI's protocol refuses texts that are too long."""

_TRIES, _BETWEEN_TRIES_S = 3, 0.2
"""The number of tries to reach a server, as any may close one connection; and the wait between them."""

_OK = 200
_SHOWN_CHARACTERS = 200

Result = TypeVar("Result")


def bench_server(
    url: str,
    *,
    api: str = "openai",
    model: str | None = None,
    api_key: str | None = None,
    rows: int = 1,
    callers: Sequence[int] = CALLERS,
    rates_per_s: Sequence[float] | None = None,
    seconds: float = 60.0,
    progress: Progress = lambda *_: None,
) -> LoadReport:
    """Measures an embedding server under load, with requests of mixed lengths.

    Responses are read in full, but only the first is parsed, so that the client uses little CPU.

    Args:
        url: The address, such as ``http://127.0.0.1:8000``; it may end in a path that precedes the protocol's own.
        api: ``openai`` (``/v1/embeddings``) or ``tei`` (``/embed``).
        model: The name of the model in requests; ``None`` for the only one that OpenAI's ``/v1/models`` lists.
        api_key: The key to send as ``authorization: Bearer``; ``None`` for none.
        rows: The number of texts of each request.
        callers: The numbers of concurrent callers, each with a connection of its own (at most 512 in all), which send
            their next request once they have their answer.
        rates_per_s: The rates at which requests are sent, per second, whether those before are answered or not;
            ``None`` for shares of the highest throughput of the callers. Latency counts from when a request is due.
        seconds: The duration of the whole benchmark.
        progress: Called before each step.

    Returns:
        The measurements, and the fault if any: the benchmark ends early if the server is gone, or if the user stops it
        (``KeyboardInterrupt``) after the first load.

    Raises:
        ConfigError: If a setting is out of range, or the address is invalid.
        UnreachableError: If the server cannot be reached.
        RequestError: If the server does not answer with vectors.
    """
    check_loads(callers, rates_per_s, seconds)
    _check_requests(api, rows, model)
    server = _Server.at(url, APIS[api], api_key)
    if model is None and api == "openai":
        model = server.find_model()
    texts = [" ".join(text.split()[:_LONGEST_WORDS]) for text in mixed_texts(_TEXTS)]
    asked = server.write_requests(texts, rows, model)
    first = server.ask_once(asked[0])
    if first.status != _OK or not server.api.is_answer(bytes(first.body), rows):
        raise RequestError(
            f"{url} answered {first.status} without a vector for each text: {_shown(first)}",
            hint="see --api, --model and --api-key",
        )

    def measure(callers: int | None, rate_per_s: float | None, step_s: float) -> LoadStep:
        began_s = time.process_time()
        observed = server.load(asked, callers, rate_per_s, step_s)
        cpu_s = time.process_time() - began_s
        sent = len(observed.latencies_s) + observed.failed.total()
        return replace(describe_step(callers, rate_per_s, observed), client_cpu_s=cpu_s / max(1, sent))

    def measured() -> Iterator[LoadStep]:
        for step in sweep(measure, callers, rates_per_s, seconds, progress):
            yield step
            server.check_there(asked[0])

    steps: list[LoadStep] = []
    fault, ending = None, Ending.COMPLETE
    try:
        ending = collect_steps(measured(), steps)
    except UnreachableError as error:
        fault = (
            f"the server is gone, after {len(steps)} of the {count_loads(callers, rates_per_s)} loads: {error.message}"
        )
    if fault is None and not any(step.answered for step in steps):
        fault = f"{url} answered no request"
    return LoadReport(
        name=model or url,
        task="embed",
        artifact=first.headers.get("x-inferox-artifact"),
        threads=None,
        machine=this_machine(),
        steps=steps,
        url=url,
        api=api,
        rows=rows,
        fault=fault,
        ending=ending,
    )


def _check_requests(api: str, rows: int, model: str | None) -> None:
    if api not in APIS:
        raise ConfigError(f"api must be one of {', '.join(APIS)}, but is {api!r}")
    if type(rows) is not int or rows < 1:
        raise ConfigError(f"rows must be a positive integer, but is {rows!r}")
    if model == "":
        raise ConfigError("the name of the model must not be empty", hint="None means the only one")


@dataclass(frozen=True)
class _Server:
    """A server under measurement.

    Attributes:
        parts: Its address.
        api: The protocol of the requests.
        tls: The TLS settings; ``None`` without TLS.
        head: The headers of every request.
    """

    parts: SplitResult
    api: EmbeddingApi
    tls: ssl.SSLContext | None
    head: str

    @classmethod
    def at(cls, url: str, api: EmbeddingApi, api_key: str | None) -> _Server:
        parts = parse_server_address(url)
        if api_key is not None and not (api_key.isascii() and api_key.isprintable() and api_key):
            raise ConfigError("the API key must be printable ASCII characters", hint="leave it out if there is none")
        if parts.username is not None:
            raise ConfigError("the address has a user name, which would not be sent", hint="give an API key")
        head = f"host: {parts.netloc.rpartition('@')[2]}\r\nuser-agent: inferox-bench\r\n"
        if api_key is not None:
            head += f"authorization: Bearer {api_key}\r\n"
        return cls(parts, api, ssl.create_default_context() if parts.scheme == "https" else None, head)

    def write_requests(self, texts: Sequence[str], rows: int, model: str | None) -> list[bytes]:
        """Returns the requests to be sent in turn, fully encoded."""
        groups = [texts[start : start + rows] for start in range(0, len(texts) - rows + 1, rows)] or [
            [texts[index % len(texts)] for index in range(rows)]
        ]
        path = self.parts.path.rstrip("/") + self.api.path
        requests = []
        for group in groups:
            body = json.dumps(self.api.write(group, model)).encode()
            size = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n"
            requests.append(f"POST {path} HTTP/1.1\r\n{self.head}{size}\r\n".encode("ascii") + body)
        return requests

    def find_model(self) -> str:
        """Returns the name of the server's only model."""
        path = self.parts.path.rstrip("/") + "/v1/models"
        request = f"GET {path} HTTP/1.1\r\n{self.head}\r\n".encode("ascii")
        answer = self.ask_once(request)
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise RequestError(f"{path} refuses the API key: {_shown(answer)}", hint="give the server's with --api-key")
        try:
            names = [str(item["id"]) for item in json.loads(answer.body)["data"]]
        except (ValueError, TypeError, KeyError):
            names = []
        if len(names) != 1:
            told = ", ".join(map(printable, names)) or f"{answer.status}: {_shown(answer)}"
            raise RequestError(f"{path} does not name one model: {told}", hint="name it with --model")
        return names[0]

    def ask_once(self, request: bytes) -> HttpAnswer:
        """Sends a request before the measurement.

        Raises:
            UnreachableError: If there is no answer in time.
        """

        async def ask(connections: Connections) -> HttpAnswer:
            try:
                async with asyncio.timeout(_FIRST_ANSWER_S):
                    return await connections.ask(request)
            except TimeoutError as error:
                raise UnreachableError(
                    f"{self.parts.geturl()} accepts connections, but did not answer within {_FIRST_ANSWER_S:g} s"
                ) from error

        return self.run(ask)

    def check_there(self, request: bytes) -> None:
        """Checks that the server still answers, even with an error, within a few tries.

        Args:
            request: The request to send.

        Raises:
            UnreachableError: If it does not.
        """
        for _ in range(_TRIES - 1):
            try:
                self.ask_once(request)
            except UnreachableError:
                time.sleep(_BETWEEN_TRIES_S)
            else:
                return
        self.ask_once(request)

    def load(
        self, requests: Sequence[bytes], callers: int | None, rate_per_s: float | None, seconds: float
    ) -> Observed:
        """Sends requests for a while, from callers or at a rate."""

        def send(connections: Connections) -> Coroutine[Any, Any, Observed]:
            async def ask(number: int) -> None:
                try:
                    answer = await connections.ask(requests[number % len(requests)])
                except OSError as error:
                    raise FailedAskError(type(error).__name__) from error
                if answer.status != _OK:
                    raise FailedAskError(f"HTTP {answer.status}")

            return run_load(ask, callers, rate_per_s, seconds)

        return self.run(send)

    def run(self, work: Callable[[Connections], Awaitable[Result]]) -> Result:
        """Runs work that uses connections, in an event loop of its own."""
        assert self.parts.hostname is not None  # noqa: S101 - checked before
        port = self.parts.port or PORTS[self.parts.scheme]
        host, tls = self.parts.hostname, self.tls

        async def run() -> Result:
            connections = Connections(host, port, tls)
            try:
                return await work(connections)
            finally:
                connections.close()

        try:
            with asyncio.Runner(loop_factory=_fast_loop()) as runner:
                return runner.run(run())
        except OSError as error:
            raise UnreachableError(f"{self.parts.geturl()} cannot be reached: {error}") from error


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Returns the factory of uvloop's event loops, which use less CPU; ``None`` for Python's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _shown(answer: HttpAnswer) -> str:
    return printable(answer.body[:_SHOWN_CHARACTERS].decode("utf-8", "replace"))
