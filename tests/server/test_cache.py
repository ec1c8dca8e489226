"""``--cache``: equal items of the same API key are answered without being computed again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.server.running import running
from tests.server.test_api_keys import make


@pytest.fixture(scope="module")
def client(minilm_package: Path) -> Iterator[httpx2.Client]:
    """A client of a server with two API keys that keeps answers."""
    keys = [f"--api-key={name}={make(name).sha256}" for name in ("alice", "bob")]
    options = ("--backend", "onnxruntime", "--threads", "1", "--cache", "1MiB")
    with running(f"minilm={minilm_package}", *options, *keys) as server:
        server.lines.append(server.process.stderr.readline() if server.process.stderr else "")
        yield server.http


def ask(client: httpx2.Client, name: str, *texts: str) -> list[list[float]]:
    key = {"authorization": f"Bearer secret of {name}"}
    answer = client.post("/v1/embeddings", json={"model": "minilm", "input": texts}, headers=key)
    assert answer.status_code == 200, answer.text
    return [item["embedding"] for item in answer.json()["data"]]


def count(client: httpx2.Client, what: str) -> float:
    told = client.get("/metrics", headers={"authorization": "Bearer secret of alice"}).text
    samples = (sample for family in text_string_to_metric_families(told) for sample in family.samples)
    return next(sample.value for sample in samples if sample.name == what)


def test_equal_items_are_computed_once_for_each_key(client: httpx2.Client) -> None:
    first = ask(client, "alice", "a cat", "a dog")
    computed = count(client, "inferox_rows_total")
    assert ask(client, "alice", "a dog", "a cat") == first[::-1]
    assert count(client, "inferox_cached_rows_total") == 2
    assert count(client, "inferox_rows_total") == computed
    assert ask(client, "bob", "a cat") == first[:1]
    assert count(client, "inferox_cached_rows_total") == 2
