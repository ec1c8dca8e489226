"""The hub, as processes use it with their environment. A local server replaces it.

Separate processes show that the settings of the environment count, as huggingface_hub only reads them when it is
imported. All other tests run in this process, whose huggingface_hub gets those settings by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from inferox.core import PackageError
from inferox.sources import open_source
from inferox.sources.hub import fetch_model
from tests.sources.checkpoints import make_model, save_model
from tests.sources.fake_hub import MAIN, OLD, TOKEN, FakeHub, FakeRepository, addresses_at, go_to, serve

_FETCH = """
import json, sys
from inferox.sources.hub import fetch_model
found = fetch_model(sys.argv[1], lambda _: None)
print(json.dumps({"directory": str(found.directory), "revision": found.revision, "torch": "torch" in sys.modules}))
"""

_SAFE = {
    "config.json": b"{}",
    "model.safetensors": bytes(3_000_000),
    "tokenizer.json": b"{ }",
    "1_Pooling/config.json": b"{  }",
    "README.md": b"# Model",
}

_UNNEEDED = {
    ".gitattributes": b"x",
    "pytorch_model.bin": b"x",
    "model.fp16.safetensors": b"x",
    "onnx/model.onnx": b"x",
    "onnx/config.json": b"x",
    "openvino/openvino_model.bin": b"x",
    "tf_model.h5": b"x",
    "model.gguf": b"x",
    "training_args.bin": b"x",
    "1_Pooling/.hidden/x.json5": b"x",
}


@dataclass
class Client:
    """Fetches models from the hub, with a cache of its own."""

    hub: FakeHub
    home: Path
    patch: pytest.MonkeyPatch

    def fetch(self, source: str, *, offline: bool = False, token: str | None = None) -> dict[str, Any]:
        """Returns the outcome of fetching a model: the snapshot's facts, or the error."""
        self.set(HF_HUB_OFFLINE=offline)
        self.patch.setenv("HF_TOKEN", token or "")
        phrases: list[str] = []
        try:
            found = fetch_model(source, phrases.append)
        except PackageError as error:
            return {"error": str(error)}
        files = sorted(str(path.relative_to(found.directory)) for path in found.directory.rglob("*") if path.is_file())
        return {**vars(found), "name": found.name, "files": files, "phrases": phrases}

    def fetch_in_a_process(self, source: str, **environment: str) -> dict[str, Any]:
        """Returns the snapshot's facts from a process that only gets its environment."""
        done = subprocess.run(  # noqa: S603 - the program is this file's own
            [sys.executable, "-c", _FETCH, source],
            env=self._environment(environment),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        result: dict[str, Any] = json.loads(done.stdout)
        return result

    def go_to(self, endpoint: str) -> None:
        """Uses another hub from now on."""
        self.set(**addresses_at(endpoint))

    def set(self, **constants: Any) -> None:
        """Gives huggingface_hub settings that it would have read from the environment."""
        for name, value in constants.items():
            self.patch.setattr(f"huggingface_hub.constants.{name}", value)

    def _environment(self, changes: Mapping[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        own = {"HF_ENDPOINT": self.hub.endpoint, "HF_HOME": str(self.home)}
        return {**inherited, **own, **changes}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    repositories = {
        "org/model": FakeRepository({MAIN: {**_SAFE, **_UNNEEDED}, OLD: _SAFE}),
        "org/pickled": FakeRepository({MAIN: {"config.json": b"{}", "pytorch_model.bin": b"x", "rust_model.ot": b"x"}}),
        "org/gated": FakeRepository({MAIN: _SAFE}, access="gated"),
        "org/private": FakeRepository({MAIN: _SAFE}, access="private"),
        "org/data": FakeRepository({MAIN: {"README.md": b"x"}}),
        "org/gguf": FakeRepository({MAIN: {"config.json": b"{}", "model.gguf": b"x"}}),
    }
    with serve(repositories) as hub:
        go_to(hub, tmp_path / "home", monkeypatch)
        yield Client(hub, tmp_path / "home", monkeypatch)


def test_only_needed_files_are_fetched(client: Client) -> None:
    found = client.fetch("hf://org/model")
    assert found["files"] == sorted(_SAFE)
    assert client.hub.fetched() == set(_SAFE)
    assert (found["name"], found["repo_id"], found["revision"]) == ("model", "org/model", MAIN)


def test_a_process_finds_the_hub_and_the_cache_by_its_environment(client: Client) -> None:
    found = client.fetch_in_a_process("hf://org/model")
    assert client.hub.fetched() == set(_SAFE)
    assert Path(found["directory"]).is_relative_to(client.home)
    assert found["torch"] is False
    client.hub.requests.clear()
    assert client.fetch_in_a_process("hf://org/model", HF_HUB_OFFLINE="1")["revision"] == MAIN
    assert client.hub.requests == []
    assert client.fetch_in_a_process("hf://org/private", HF_TOKEN=TOKEN)["revision"] == MAIN


def test_progress_counts_megabytes(client: Client) -> None:
    phrases = client.fetch("hf://org/model")["phrases"]
    assert phrases[0] == "looking up org/model"
    assert phrases[-1] == "fetching org/model: 3 of 3 MB"


@pytest.mark.parametrize(("revision", "commit"), [("main", MAIN), ("v1", OLD), ("refs/pr/1", OLD), (OLD, OLD)])
def test_revision(revision: str, commit: str, client: Client) -> None:
    assert client.fetch(f"hf://org/model@{revision}")["revision"] == commit


def test_pickled_weights_where_there_are_no_safetensors(client: Client) -> None:
    assert client.fetch("hf://org/pickled")["files"] == ["config.json", "pytorch_model.bin"]


def test_second_fetch_transfers_nothing(client: Client) -> None:
    client.fetch("hf://org/model")
    client.hub.requests.clear()
    client.fetch("hf://org/model")
    assert client.hub.fetched() == set()


def test_broken_transfer_goes_on_where_it_broke(client: Client) -> None:
    repository = client.hub.repositories["org/model"]
    repository.cut_file, repository.cuts = "model.safetensors", 1
    found = client.fetch("hf://org/model")
    assert (Path(found["directory"]) / "model.safetensors").read_bytes() == _SAFE["model.safetensors"]
    assert client.hub.requests.count(f"GET /org/model/resolve/{MAIN}/model.safetensors") == 2


def test_transfer_that_breaks_again_and_again(client: Client) -> None:
    repository = client.hub.repositories["org/model"]
    repository.cut_file, repository.cuts = "model.safetensors", 1_000
    # The library waits a second before each of its tries.
    client.patch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda _: None))
    error = client.fetch("hf://org/model")["error"]
    assert error.startswith("fetching org/model failed: RemoteProtocolError: ")
    assert error.endswith("(try again: what was fetched already is kept)")
    repository.cuts = 0
    assert "error" not in client.fetch("hf://org/model")


def test_unknown_repository(client: Client) -> None:
    error = client.fetch("hf://org/absent")["error"]
    assert error.startswith(f"{client.hub.endpoint} has no repository org/absent, or you may not see it")
    assert "HF_TOKEN" in error


def test_unknown_revision(client: Client) -> None:
    assert "org/model has no revision 'v9'" in client.fetch("hf://org/model@v9")["error"]
    assert "has no revision" in client.fetch(f"hf://org/model@{'c' * 40}")["error"]


def test_gated_repository(client: Client) -> None:
    error = client.fetch("hf://org/gated")["error"]
    assert error.startswith("access to org/gated is restricted by its authors")
    assert "HF_TOKEN" in error
    assert client.fetch("hf://org/gated", token=TOKEN)["revision"] == MAIN


def test_private_repository_with_a_stored_token(client: Client) -> None:
    assert "has no repository org/private" in client.fetch("hf://org/private")["error"]
    client.home.mkdir(exist_ok=True)
    (client.home / "token").write_text(TOKEN)
    assert client.fetch("hf://org/private")["revision"] == MAIN


def test_offline(client: Client) -> None:
    error = client.fetch("hf://org/model", offline=True)["error"]
    cache = client.home / "hub"
    assert error.startswith(f"org/model at main is not in the cache {cache}, and HF_HUB_OFFLINE forbids fetching it")
    assert client.hub.requests == []
    client.fetch("hf://org/model")
    assert client.fetch("hf://org/model", offline=True)["revision"] == MAIN


def test_offline_with_a_part_in_the_cache(client: Client) -> None:
    found = client.fetch("hf://org/model")
    (Path(found["directory"]) / "model.safetensors").unlink()
    error = client.fetch("hf://org/model", offline=True)["error"]
    assert "is incomplete: 1 file(s) are missing (model.safetensors)" in error


def test_hub_out_of_reach(client: Client) -> None:
    nowhere = "http://127.0.0.1:9"
    client.go_to(nowhere)
    error = client.fetch("hf://org/model")["error"]
    assert f"and {nowhere} cannot be reached" in error
    assert "HF_ENDPOINT" in error
    client.go_to(client.hub.endpoint)
    client.fetch("hf://org/model")
    client.go_to(nowhere)
    assert client.fetch("hf://org/model")["revision"] == MAIN


def test_hub_that_fails(client: Client) -> None:
    client.hub.broken = True
    error = client.fetch("hf://org/model")["error"]
    assert f"{client.hub.endpoint} cannot be reached" in error
    assert "500 Internal Server Error" in error


@pytest.mark.parametrize("source", ["hf://", "hf://org/model@", "hf://@main", "hf://a/b/c", "hf://org/mo del"])
def test_malformed_name(source: str, client: Client) -> None:
    error = client.fetch(source)["error"]
    assert "is named hf://org/name" in error or "is not the name of a repository" in error
    assert client.hub.requests == []


def test_repository_that_is_not_a_model(client: Client) -> None:
    assert client.fetch("hf://org/data")["error"] == "org/data is not a model that can be packed: it has no config.json"
    assert "org/gguf has no weights for PyTorch" in client.fetch("hf://org/gguf")["error"]


def test_model_of_the_hub_is_opened(client: Client, tmp_path: Path) -> None:
    directory = save_model(make_model("bert", "Model"), tmp_path / "bert")
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    client.hub.repositories["org/bert"] = FakeRepository({MAIN: {**files, "README.md": b"---\nlicense: mit\n---\n"}})
    client.set(HF_HUB_OFFLINE=False)
    facts = open_source("hf://org/bert").facts
    assert (facts.name, facts.repo_id, facts.revision, facts.license) == ("bert", "org/bert", MAIN, "mit")
