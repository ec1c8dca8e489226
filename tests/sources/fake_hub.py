"""A hub on this machine that answers the routes which huggingface_hub calls."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

MAIN, OLD = "a" * 40, "b" * 40
"""The commits of every repository: those of ``main`` and of the tag ``v1``."""

TOKEN = "hf_secret"  # noqa: S105 - it opens the fake alone


@dataclass
class FakeRepository:
    """A model on the hub.

    Attributes:
        files: The content of each file by commit and path.
        access: ``public``; ``gated``, whose file list everyone sees; or ``private``, which is hidden.
        cut_file: A file whose transfer breaks in the middle.
        cuts: The number of times that it does.
    """

    files: dict[str, dict[str, bytes]]
    access: str = "public"
    cut_file: str | None = None
    cuts: int = 0

    def resolve(self, revision: str) -> str | None:
        """Returns the commit of a revision."""
        commit = {"main": MAIN, "v1": OLD, "refs/pr/1": OLD}.get(revision, revision)
        return commit if commit in self.files else None


@dataclass
class FakeHub:
    """The hub's state, and the address at which it answers."""

    repositories: dict[str, FakeRepository]
    endpoint: str = ""
    requests: list[str] = field(default_factory=list)
    broken: bool = False

    def fetched(self) -> set[str]:
        """The files whose contents were requested."""
        return {line.split("/", 5)[-1] for line in self.requests if line.startswith("GET") and "/resolve/" in line}

    def counts(self) -> Counter[str]:
        """The number of requests of each kind: ``revision``, ``tree`` and ``resolve``."""
        return Counter(
            kind for line in self.requests for kind in ("revision", "tree", "resolve") if f"/{kind}/" in line
        )


@contextmanager
def serve(repositories: dict[str, FakeRepository]) -> Iterator[FakeHub]:
    """Runs a hub until the block ends."""
    hub = FakeHub(repositories)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def go_to(hub: FakeHub, home: Path, patch: pytest.MonkeyPatch) -> None:
    """Makes huggingface_hub in this process use a hub, with a cache in a folder; it reads its environment only once."""
    folders = {"HF_HUB_CACHE": "hub", "HF_XET_CACHE": "xet", "HF_TOKEN_PATH": "token"}
    for name, value in {
        **addresses_at(hub.endpoint),
        **{key: str(home / each) for key, each in folders.items()},
    }.items():
        patch.setattr(f"huggingface_hub.constants.{name}", value)
    for name in ("NO_PROXY", "no_proxy"):
        patch.setenv(name, "127.0.0.1")


def addresses_at(endpoint: str) -> dict[str, str]:
    """Returns the settings of huggingface_hub with the hub's address."""
    return {
        "ENDPOINT": endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    }


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Logs nothing."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        self.hub.requests.append(f"{self.command} /{path}")
        if self.hub.broken:
            return self._fail(500, "", "the hub is down")
        kind, repository, revision, rest = _parse(path, self.hub.repositories)
        if repository is None or (repository.access == "private" and not self._authorised()):
            return self._fail(401, "RepoNotFound", "Repository not found")
        if repository.access == "gated" and kind == "resolve" and not self._authorised():
            return self._fail(403, "GatedRepo", "Access to this model is restricted")
        commit = repository.resolve(revision)
        if commit is None:
            return self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if kind == "resolve":
            return self._send_file(repository, commit, rest)
        files = repository.files[commit]
        if kind == "tree":
            return self._send_json([_entry(name, content) for name, content in files.items()])
        siblings = [{"rfilename": name} for name in files]
        return self._send_json({"id": "", "sha": commit, "siblings": siblings, "tags": [], "private": False})

    def _authorised(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _send_file(self, repository: FakeRepository, commit: str, name: str) -> None:
        content = repository.files[commit].get(name)
        if content is None:
            return self._fail(404, "EntryNotFound", f"{name} does not exist")
        start = 0
        if asked := self.headers.get("Range"):
            start = int(asked.removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{_blob_id(content)}"')
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "HEAD":
            return None
        if name == repository.cut_file and repository.cuts > 0:
            repository.cuts -= 1
            # Enough of the first transfer arrives for it to be resumed.
            self.wfile.write(content[start : max(start, len(content) // 2)])
            self.close_connection = True
            return None
        self.wfile.write(content[start:])
        return None

    def _send_json(self, value: Any) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _fail(self, status: int, code: str, message: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _parse(path: str, repositories: dict[str, FakeRepository]) -> tuple[str, FakeRepository | None, str, str]:
    """Parses the kind of a request, its repository and revision, and its file."""
    parts = path.removeprefix("api/models/").split("/")
    if parts[0] in repositories:  # one of the few without an owner
        parts.insert(0, "")
    repository = repositories.get("/".join(parts[:2]).removeprefix("/"))
    kind, rest = (parts[2], parts[3:]) if len(parts) > 2 else ("revision", ["main"])
    if kind == "resolve":
        return kind, repository, rest[0], "/".join(rest[1:])
    return kind, repository, "/".join(rest), ""


def _entry(name: str, content: bytes) -> dict[str, Any]:
    return {"type": "file", "path": name, "size": len(content), "oid": _blob_id(content)}


def _blob_id(content: bytes) -> str:
    """Returns git's id of the content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
