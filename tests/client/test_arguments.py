"""The arguments of a client: each setting and argument is checked, and named if it is wrong."""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from inferox import AsyncClient, Client
from inferox.client import ClientConfig
from inferox.client.deadline import read_deadline
from inferox.core import ConfigError, InferoxError, RequestError
from tests.client.scripted import vector
from tests.client.test_sending import run

NAN = float("nan")


@pytest.mark.parametrize(
    ("option", "values"),
    [
        ("model", ["", 5, "a\n", "\ud800"]),
        ("api_key", ["", 5, "é", "a\n"]),
        ("timeout_s", [0, -1, NAN, float("inf"), 1e9, 1.7e308, 10**400, True, "5", None]),
        ("retries", [-1, 1.5, True, NAN, "2", None]),
        ("concurrency", [0, 2.0, NAN, True, None]),
        ("request_rows", [0, 2049, 1.5, NAN, True]),
        ("request_bytes", [0, 1e6, NAN, True]),
        ("ca_file", ["", 5, b"a"]),
        ("cert_file", ["", 5]),
        ("key_file", ["", 5]),
        ("embedding_spaces", [None, [], {"a": 5}, {5: "a"}, {"": "a"}]),
        ("headers", [None, "a: b", {"a": 5}, {"a b": "c"}, {"a": "b\r\nc: d"}, {"a": "é"}, {"é": "a"}]),
        ("colour", ["red"]),
    ],
)
def test_every_setting_is_checked(option: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(ConfigError, match=option):
            AsyncClient("http://a", **{option: value})


def test_every_setting_is_among_those_that_are_checked() -> None:
    (mark,) = test_every_setting_is_checked.pytestmark
    assert {option for option, _ in mark.args[1]} == {*ClientConfig.__dataclass_fields__, "colour"}


@pytest.mark.parametrize(
    "url", [5, None, b"http://a", "http://a:0", "http://a b", "http://[zz]", "http://a..b", f"http://{'ö' * 80}"]
)
def test_what_is_no_address_is_refused(url: Any) -> None:
    with pytest.raises(ConfigError, match="the address of a server must be"):
        AsyncClient(url)


CALLS: list[tuple[str, Callable[[AsyncClient], Awaitable[Any]]]] = [
    ("model must be", lambda client: client.embed("a", model="")),
    ("model must be", lambda client: client.embed("a", model=5)),  # type: ignore[arg-type]
    ("model must be", lambda client: client.infer("", {})),
    ("model must be", lambda client: client.describe("")),
    ("version must be", lambda client: client.infer("m", {"x": [1]}, version="")),
    ("version must be", lambda client: client.infer("m", {"x": [1]}, version=2)),  # type: ignore[arg-type]
    ("inputs must map names to values", lambda client: client.infer("m", [1, 2])),  # type: ignore[arg-type]
    ("inputs must map names to values", lambda client: client.infer("m", {5: [1]})),  # type: ignore[dict-item]
    ("outputs must be a list of names", lambda client: client.infer("m", {"x": [1]}, outputs="y")),
    ("parameters must map names to values", lambda client: client.infer("m", {"x": [1]}, parameters=[])),  # type: ignore[arg-type]
    ("must be JSON values", lambda client: client.infer("m", {"x": [1]}, parameters={"a": NAN})),
    ("input 'x' must be an array", lambda client: client.infer("m", {"x": [[1], [1, 2]]})),
    ("input 'x' must hold texts or bytes", lambda client: client.infer("m", {"x": {1: 2}})),  # type: ignore[dict-item]
    ("expected a list of items, but got a value of the type int", lambda client: client.embed(5)),  # type: ignore[arg-type]
    ("expected a list of items, but got a value of the type int", lambda client: client.classify(5)),  # type: ignore[arg-type]
    ("expected a list of items, but got a value of the type ndarray", lambda client: client.embed(np.array("a"))),
    ("text 0", lambda client: client.token_classify([None])),  # type: ignore[list-item]
    ("expected a list of documents, but got a value of the type NoneType", lambda client: client.rerank("a", None)),  # type: ignore[arg-type]
    ("top_k must be", lambda client: client.rerank("a", ["b"], top_k=1.5)),  # type: ignore[arg-type]
    ("top_k must be", lambda client: client.rerank("a", ["b"], top_k=True)),
    ("the first text of pair 0", lambda client: client.rerank(5, ["b"])),  # type: ignore[arg-type]
    ("normalize must be", lambda client: client.embed("a", normalize="no")),  # type: ignore[arg-type]
    ("dtype must be", lambda client: client.embed("a", dtype=None)),
    ("truncate must be", lambda client: client.score([("a", "b")], truncate=["cut"])),  # type: ignore[arg-type]
    *[
        ("deadline_s must be", lambda client, given=given: client.embed("a", deadline_s=given))
        for given in (0, -1, NAN, float("inf"), 1e9, 1.7e308, True, "5")
    ],
    *[
        ("timeout_s must be", lambda client, given=given: client.wait_until_ready(given))
        for given in (NAN, 0, -1, 1.7e308, True, None, "5")
    ],
]


def test_every_argument_is_checked_before_anything_is_sent() -> None:
    async def test(client: AsyncClient, server: Any) -> None:
        for what, ask in CALLS:
            with pytest.raises(InferoxError, match=what) as raised:
                await ask(client)
            assert isinstance(raised.value, ConfigError | RequestError)
        wrong: list[Any] = ["", 5, []]
        for name in wrong:
            with pytest.raises(RequestError, match="model must be"):
                client.embedding_space(name)
        assert not server.asked

    run([vector("space", 1.0)], test)


FORMS: list[dict[str, Any]] = [
    {"truncate": "nope"},
    {"dtype": np.dtype("float64")},
    {"dtype": np.array(["int8", "float32"])},
    {"truncate_dim": 0},
    {"normalize": 1},
]


@pytest.mark.parametrize("options", FORMS)
def test_options_are_checked_before_a_model_is_chosen(options: dict[str, Any]) -> None:
    async def test(_client: AsyncClient, server: Any) -> None:
        async with AsyncClient(server.url) as other:
            with pytest.raises(ConfigError, match=next(iter(options))):
                await other.embed(iter(["a"]), **options)
        assert not server.asked

    run([vector("space", 1.0)], test)


def test_a_closed_client_says_so() -> None:
    async def test(client: AsyncClient, _server: Any) -> None:
        await client.close()
        with pytest.raises(ConfigError, match="this client is closed"):
            await client.embed("a")

    run([vector("space", 1.0)], test)


def test_a_server_that_never_answers_is_not_live() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(url, timeout_s=0.2) as client:
            assert not client.is_live()
            assert not client.is_ready()


def test_letters_of_any_script_may_stand_in_an_address() -> None:
    async def test(_client: AsyncClient, server: Any) -> None:
        async with AsyncClient(f"{server.url}/é".replace("http", "HTTP"), model="model") as other:
            await other.embed("a")
        assert [path for path, _ in server.asked] == ["/%C3%A9/v2/models/model/infer"]

    run([vector("space", 1.0)], test)


@pytest.mark.parametrize("timeout", [np.float32(0.1), np.float16(5), Fraction(1, 2)])
def test_times_of_any_kind_of_number_are_counted_as_python_floats(
    timeout: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "monotonic", lambda: 3e6)  # where a float32 has steps of a quarter
    deadline = read_deadline(timeout)
    assert deadline is not None
    assert deadline.left_s == pytest.approx(float(timeout), abs=1e-6)
    assert type(ClientConfig(timeout_s=timeout).timeout_s) is float
