"""A server with a model for each task, for clients of the protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from inferox import TaskModel, load
from tests.server.oip.triton import TritonClient, triton_client
from tests.server.running import RunningServer, running

TASKS = ("embed", "classify", "token-classify", "rerank", "image-classify", "raw")


@pytest.fixture(scope="session")
def task_server(served_packages: dict[str, Path]) -> Iterator[RunningServer]:
    """A server with all of them, each named after its task."""
    named = [f"{task}={served_packages[task]}" for task in TASKS]
    with running(*named, "--threads", "1", "--grpc-port", "0") as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="session")
def task_http(task_server: RunningServer) -> httpx2.Client:
    """A client of that server."""
    return task_server.http


@pytest.fixture(scope="session")
def task_models(served_packages: dict[str, Path]) -> Iterator[Callable[[str], TaskModel]]:
    """The same models, without a server."""
    opened: dict[str, TaskModel] = {}
    with ExitStack() as stack:

        def find(task: str) -> TaskModel:
            if task not in opened:
                opened[task] = stack.enter_context(load(served_packages[task], threads=1))
            return opened[task]

        yield find


@pytest.fixture(scope="session", params=["http", "http.aio", "grpc", "grpc.aio"])
def client(request: pytest.FixtureRequest, task_server: RunningServer) -> Iterator[TritonClient]:
    """Each of Triton's clients."""
    place = task_server.grpc_place if "grpc" in request.param else task_server.url.removeprefix("http://")
    with triton_client(request.param, place) as client:
        yield client
