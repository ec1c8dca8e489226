"""The fixtures of tests of the server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from inferox import TaskModel, load
from tests.server.running import RunningServer, running
from tests.shared import SharedFolders


@pytest.fixture(scope="session")
def int8_package(shared_folders: SharedFolders, bert_in_all_forms: Path) -> Path:
    """A small BERT for ONNX Runtime and OpenVINO, in fp32 and in int8, as a folder."""
    from tests.fewer_artifacts import keep_artifacts

    def fill(folder: Path) -> None:
        keep_artifacts(bert_in_all_forms, folder / "bert", lambda artifact: artifact.backend != "torch")

    return shared_folders.get("bert-int8", fill) / "bert"


@pytest.fixture(scope="session")
def server(minilm_package: Path) -> Iterator[RunningServer]:
    """A server of all-MiniLM-L6-v2 on ONNX Runtime."""
    with running(f"minilm={minilm_package}", "--backend", "onnxruntime", "--threads", "1") as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="session")
def http(server: RunningServer) -> httpx2.Client:
    """A client of it."""
    return server.http


@pytest.fixture(scope="session")
def loaded(minilm_package: Path) -> Iterator[TaskModel]:
    """The same model, without a server."""
    with load(minilm_package, "onnxruntime", threads=1) as model:
        yield model


@pytest.fixture(scope="session")
def tasks_server(minilm_package: Path, served_packages: dict[str, Path]) -> Iterator[RunningServer]:
    """A server with a model for each task that reads texts, named after the task, and all-MiniLM-L6-v2."""
    named = [f"{task}={served_packages[task]}" for task in ("classify", "rerank", "token-classify")]
    with running(f"minilm={minilm_package}", *named, "--threads", "1") as server:
        server.wait_until_ready()
        yield server


@pytest.fixture(scope="session")
def tasks_http(tasks_server: RunningServer) -> httpx2.Client:
    """A client of it."""
    return tasks_server.http


@pytest.fixture(scope="session")
def reranker(served_packages: dict[str, Path]) -> Iterator[TaskModel]:
    """Its model for rerank, without a server."""
    with load(served_packages["rerank"], threads=1) as model:
        yield model


@pytest.fixture(scope="session")
def classifier(served_packages: dict[str, Path]) -> Iterator[TaskModel]:
    """Its model for classify, without a server."""
    with load(served_packages["classify"], threads=1) as model:
        yield model
