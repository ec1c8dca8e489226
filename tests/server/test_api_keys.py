"""API keys: who is admitted, how often, and how much at once."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path

import httpx2
import pytest

from inferox.core import ConfigError, OverloadedError
from inferox.server import ServerConfig
from inferox.server.api_key import ApiKey, read_key, read_key_file
from inferox.server.api_keys import ApiKeys, current_owner
from inferox.server.http_error import HttpError
from tests.server.test_app import Held, holding, run

KEYS = {"alice": b"secret of alice", "bob": b"secret of bob"}
DIGESTS = {name: sha256(key).hexdigest() for name, key in KEYS.items()}


def make(name: str = "alice", **limits: float) -> ApiKey:
    return ApiKey(name=name, sha256=DIGESTS[name], **limits)  # type: ignore[arg-type]


def test_a_request_is_made_on_behalf_of_its_key() -> None:
    keys = ApiKeys([make(), make("bob")])
    for name, key in KEYS.items():
        with keys.admit(key):
            assert current_owner.get() == name
    assert current_owner.get() is None
    for wrong in (None, b"", b"secret of alic", b"secret of alice "):
        with pytest.raises(HttpError) as raised, keys.admit(wrong):
            pytest.fail("it was let in")
        assert (raised.value.status, raised.value.headers) == (401, {"www-authenticate": "Bearer"})
    with ApiKeys([]).admit(None):
        assert current_owner.get() is None


def test_a_rate_is_kept_on_average_and_bursts_are_limited() -> None:
    now_s = 0.0
    keys = ApiKeys([make(requests_per_second=2, burst=3), make("bob")], clock=lambda: now_s)

    def count() -> int:
        with suppress(OverloadedError):
            for admitted in itertools.count():  # noqa: B007
                with keys.admit(KEYS["alice"]):
                    pass
        return admitted

    assert count() == 3
    now_s = 0.4
    with pytest.raises(OverloadedError, match="may send 2 requests per second") as raised, keys.admit(KEYS["alice"]):
        pytest.fail("it was let in")
    assert raised.value.retry_after_s == pytest.approx(0.1)
    now_s = 0.5
    assert count() == 1
    now_s = 1000.0
    assert count() == 3
    with keys.admit(KEYS["bob"]):
        pass  # another key is not affected


def test_unanswered_requests_are_limited() -> None:
    keys = ApiKeys([make(requests_at_once=2)])
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(keys.admit(KEYS["alice"]))
        with pytest.raises(OverloadedError, match="the API key 'alice' already has 2 unanswered requests"):
            stack.enter_context(keys.admit(KEYS["alice"]))
    with keys.admit(KEYS["alice"]):
        pass


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(
        f"[keys.alice]\nsha256 = '{DIGESTS['alice'].upper()}'\nrequests-per-second = 5\nrequests-at-once = 7\n"
        f"[keys.bob]\nsha256 = '{DIGESTS['bob']}'\n"
    )
    assert read_key_file(file) == [make(requests_per_second=5, requests_at_once=7), make("bob")]
    assert read_key(f"alice={DIGESTS['alice']}") == make()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "keys"),
        ("[keys]", "has no API keys"),
        ("[keys.a]\nsha256 = 'abc'", "64 hexadecimal digits"),
        ("[keys.a]\nkey = 'abc'", "is not a file of API keys"),
        (f"[keys.a]\nsha256 = '{DIGESTS['bob']}'\nrate = 3", "rate"),
        (f"[keys.a]\nsha256 = '{DIGESTS['bob']}'\nrequests-per-second = -1", "must be positive"),
        (f"[keys.a]\nsha256 = '{DIGESTS['bob']}'\nrequests-at-once = 0", "requests-at-once of API key 'a'"),
        (f"[keys.a]\nsha256 = '{DIGESTS['bob']}'\nburst = 3", "has a burst"),
        (f"[keys.'a b']\nsha256 = '{DIGESTS['bob']}'", "'a b' is not a valid name"),
        ("[keys.a", "is not a file of API keys"),
    ],
)
def test_a_file_that_is_wrong_is_refused(text: str, what: str, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=what):
        read_key_file(file)


def test_keys_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ConfigError, match="the same name: alice"):
        ApiKeys([make(), ApiKey(name="alice", sha256=DIGESTS["bob"])])
    with pytest.raises(ConfigError, match="the same sha256"):
        ApiKeys([make(), ApiKey(name="other", sha256=DIGESTS["alice"])])
    with pytest.raises(ConfigError, match="NAME=SHA256"):
        read_key("secret")


def test_the_server_requires_a_key_except_for_monitoring() -> None:
    async def ask(held: Held, headers: dict[str, str]) -> httpx2.Response:
        return await held.http.post("/v1/embeddings", json={"model": "model", "input": "a"}, headers=headers)

    async def test() -> None:
        async with holding(ServerConfig(api_keys=(make(), make("bob", requests_at_once=1)))) as held:
            for headers in ({}, {"authorization": "Bearer no"}, {"authorization": "Basic " + "secret of alice"}):
                refused = await ask(held, headers)
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
                assert "api_key" in refused.json()["error"]["code"]
            assert (await held.http.get("/v1/models")).status_code == 401
            assert (await held.http.get("/health/live")).status_code == 200
            for path in ("/health", "/ping", "/"):
                assert (await held.http.get(path)).status_code in {200, 503}
            for path in ("/", "/embed", "/v1/rerank", "/v2/embed"):
                assert (await held.http.post(path, json={})).status_code == 401
            first = asyncio.create_task(ask(held, {"api-key": "secret of bob"}))
            await held.until(held.model.has_begun.is_set)
            assert (await ask(held, {"x-api-key": "secret of bob"})).status_code == 429
            second = asyncio.create_task(ask(held, {"authorization": "bearer secret of alice"}))
            await held.until(lambda: held.engine.stats("model").waiting_rows == 1)
            held.model.may_go.set()
            assert {(await first).status_code, (await second).status_code} == {200}

    run(test)
