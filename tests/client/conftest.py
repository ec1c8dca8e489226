"""A server of a model for each task, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inferox import Client
from tests.server.running import RunningServer, running

TASKS = ("embed", "classify", "token-classify", "rerank", "image-classify", "raw")


@pytest.fixture(scope="session")
def server(packages: dict[str, Path]) -> Iterator[RunningServer]:
    """A server with one model per task, named after the task."""
    with running(*[f"{task}={packages[task]}" for task in TASKS], "--threads", "1", "--trust-code") as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="session")
def client(server: RunningServer) -> Iterator[Client]:
    """A client of that server, with at most three rows per request."""
    with Client(server.url, request_rows=3) as client:
        yield client
