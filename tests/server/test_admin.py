"""The operator's listener: models that are loaded and unloaded while the server runs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from inferox import Engine
from inferox.core import ConfigError
from inferox.server import ModelRepository, ModelSource, ServerConfig
from inferox.server.admin_app import AdminApp
from inferox.server.model_control import ModelControl
from inferox.server.request_observer import RequestObserver
from tests.server.models import HERE
from tests.server.running import running
from tests.server.test_api_keys import make
from tests.server.test_app import Held, holding, run

LOAD, UNLOAD = "/v2/repository/models/model/load", "/v2/repository/models/model/unload"


@asynccontextmanager
async def administered(
    config: ServerConfig | None = None, folder: Path | None = None
) -> AsyncIterator[tuple[Held, httpx2.AsyncClient, list[str]]]:
    """An application with a model that may be unloaded, its operator's client, and the output on the operator's
    terminal.
    """
    told: list[str] = []
    async with holding(config) as held:
        held.model.may_go.set()
        control = ModelControl(held.service, ModelRepository([], folder, {"trust_code": True}), told.append)
        app = AdminApp(held.service, control, config or ServerConfig(), RequestObserver())
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://admin") as http:
            yield held, http, told


async def version_of(held: Held) -> str:
    answer = await held.ask("a")
    assert answer.status_code == 200
    return answer.headers["x-inferox-model-version"]


def test_a_model_is_loaded_anew_while_it_answers() -> None:
    async def test() -> None:
        async with administered() as (held, http, told):
            first = held.model
            first.may_go.clear()
            waiting = asyncio.create_task(held.ask("abc"))
            await held.until(first.has_begun.is_set)
            loading = asyncio.create_task(http.post(LOAD))
            await held.until(lambda: held.model is not first)
            await held.until(lambda: held.service.find("model").version == "2")
            following = asyncio.create_task(held.ask("d"))
            assert not loading.done()  # the previous version still has a request
            first.may_go.set()
            assert (await waiting).headers["x-inferox-model-version"] == "1"
            assert (await following).headers["x-inferox-model-version"] == "2"
            assert (await loading).status_code == 200
            assert first.is_closed
            assert told == ["loaded model, version 2, at an admin's request"]

    run(test)


def test_a_model_is_unloaded_and_loaded_again() -> None:
    async def test() -> None:
        async with administered() as (held, http, _):
            assert (await http.post(UNLOAD, json={"parameters": {"unload_dependents": False}})).status_code == 200
            assert held.model.is_closed
            assert (await held.ask("a")).status_code == 404
            (listed,) = (await http.post("/v2/repository/index")).json()
            assert listed == {"name": "model", "version": "", "state": "UNAVAILABLE", "reason": "unloaded"}
            assert (await http.post("/v2/repository/index", json={"ready": True})).json() == []
            assert (await http.post(UNLOAD)).status_code == 404
            assert (await http.post(LOAD)).status_code == 200
            assert await version_of(held) == "2"  # a number stands for one package

    run(test)


def test_a_package_whose_name_is_not_valid_in_requests_hides_no_others(tmp_path: Path) -> None:
    for name in ("late.mlpkg", "a b.mlpkg", os.fsdecode(b"\xff.mlpkg")):
        (tmp_path / name).touch()

    async def test() -> None:
        async with administered(folder=tmp_path) as (_, http, _):
            listed = (await http.post("/v2/repository/index")).json()
            found = [(item["name"], item["reason"]) for item in listed if item["name"] != "model"]
            assert found == [("a b", "invalid name"), ("late", "unloaded"), (r"\udcff", "invalid name")]

    run(test)


def test_a_package_has_one_name(tmp_path: Path) -> None:
    (tmp_path / "late.mlpkg").touch()
    (tmp_path / "folder.mlpkg").mkdir()
    (tmp_path / "folder.mlpkg" / "metadata.json").touch()
    repository = ModelRepository([], tmp_path)
    assert [source.name for source in repository.list_folder()] == ["folder", "late"]
    for name in ("folder", "late"):
        assert repository.find_new(name) is not None
        assert repository.find_new(f"{name}.mlpkg") is None


def test_a_model_that_is_unloaded_during_a_scrape_is_left_out() -> None:
    async def test() -> None:
        async with holding() as held:
            held.model.may_go.set()
            held.engine.unload("model")  # which the list of models does not know yet
            metrics = await held.http.get("/metrics")
            assert (metrics.status_code, 'inferox_rows_total{model="model"}' in metrics.text) == (200, False)
            assert (await held.http.get("/page/state")).json()["models"] == []
            assert (await held.http.get("/v2/models/stats")).json() == {"model_stats": []}
            assert (await held.http.get("/v2/models/model/stats")).status_code == 404

    run(test)


def test_a_model_that_cannot_be_loaded_leaves_what_there_is() -> None:
    async def test() -> None:
        async with administered() as (held, http, told):
            held.service.sources["model"] = ModelSource("missing.mlpkg", "model")
            failed = await http.post(LOAD)
            assert failed.status_code == 409
            assert failed.json()["error"].startswith("model cannot be loaded: there is no package at missing.mlpkg")
            assert await version_of(held) == "1"
            assert told == []

    run(test)


def test_a_client_that_leaves_leaves_nothing_half_done() -> None:
    async def test() -> None:
        async with administered() as (held, http, told):
            first = held.model
            first.may_go.clear()
            waiting = asyncio.create_task(held.ask("abc"))
            await held.until(first.has_begun.is_set)
            asked = asyncio.create_task(http.post(UNLOAD))
            await held.until(lambda: not held.service.models())
            asked.cancel()
            loading = asyncio.create_task(http.post(LOAD))
            await asyncio.wait([loading], timeout=0.2)
            assert held.model is first  # a request in progress goes first
            first.may_go.set()
            assert (await waiting).status_code == 200
            assert (await loading).status_code == 200
            assert [line.split()[0] for line in told] == ["unloaded", "loaded"]

    run(test)


def test_nothing_is_unknown_while_the_first_models_are_loaded() -> None:
    async def test() -> None:
        with Engine() as engine:
            held = Held(engine, ServerConfig(), is_loaded=False)
            app = AdminApp(
                held.service,
                ModelControl(held.service, ModelRepository([]), print),
                ServerConfig(),
                RequestObserver(),
            )
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://admin") as http:
                for path in (LOAD, UNLOAD):
                    early = await http.post(path)
                    assert (early.status_code, early.headers["retry-after"]) == (429, "1")

    run(test)


def test_the_main_listener_changes_nothing() -> None:
    async def test() -> None:
        async with administered() as (held, _, _):
            for path in (LOAD, UNLOAD):
                refused = await held.http.post(path)
                assert refused.status_code == 403
                assert "--admin-port" in refused.json()["error"]
            assert await version_of(held) == "1"

    run(test)


@pytest.mark.parametrize(
    ("path", "body", "headers", "expected"),
    [
        (LOAD, None, {"origin": "http://page.example"}, (403, "web pages")),
        (UNLOAD, None, {"sec-fetch-site": "cross-site"}, (403, "web pages")),
        (LOAD, {"parameters": {"config": "{}"}}, {}, (400, "config")),
        (LOAD, {"parameters": {"file:1/model.onnx": "aGk="}}, {}, (400, "file:1/model.onnx")),
        ("/v2/repository/models/other/load", None, {}, (404, "no package for a model 'other'")),
        ("/v2/repository/models/../secret/load", None, {}, (404, "")),
        ("/v2/repository/models/..%2Fsecret/load", None, {}, (404, "no package for a model '../secret'")),
        ("/v2/repository/models/model/drop", None, {}, (404, "nothing at")),
        ("/v2/repository/models/load", None, {}, (404, "nothing at")),
        ("/v1/embeddings", {"model": "model", "input": "a"}, {}, (404, "nothing at")),
    ],
)
def test_what_is_refused(
    path: str, body: dict[str, object] | None, headers: dict[str, str], expected: tuple[int, str], tmp_path: Path
) -> None:
    status, what = expected
    folder = tmp_path / "served"
    folder.mkdir()
    (tmp_path / "secret.mlpkg").write_bytes(b"")

    async def test() -> None:
        async with administered(folder=folder) as (held, http, _):
            refused = await http.post(path, json=body, headers=headers)
            assert refused.status_code == status
            assert what in refused.text
            assert await version_of(held) == "1"

    run(test)


def test_only_the_operators_keys_count() -> None:
    async def test() -> None:
        config = ServerConfig(api_keys=(make(),), admin_keys=(make("bob"),))
        async with administered(config) as (_, http, _):
            assert (await http.post(LOAD)).status_code == 401
            for name, status in (("alice", 401), ("bob", 200)):
                key = {"authorization": f"Bearer secret of {name}"}
                assert (await http.post(LOAD, headers=key)).status_code == status

    run(test)


def test_others_reach_the_listener_by_keys_alone() -> None:
    with pytest.raises(ConfigError, match=r"anyone who can reach 0\.0\.0\.0 could load"):
        ServerConfig(admin_port=0, admin_host="0.0.0.0")  # noqa: S104 - it is refused
    ServerConfig(admin_port=0, admin_host="0.0.0.0", admin_keys=(make(),))  # noqa: S104 - nothing listens
    ServerConfig(admin_port=0, admin_host="::1")


def test_packages_that_come_into_the_folder_are_found(tmp_path: Path) -> None:
    repository = ModelRepository([], tmp_path)
    assert repository.list_folder() == []
    assert repository.find_new("late") is None
    (tmp_path / "late.mlpkg").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    assert repository.find_new("late") == ModelSource(str(tmp_path / "late.mlpkg"), "late")
    assert repository.list_folder() == [ModelSource(str(tmp_path / "late.mlpkg"), "late")]
    assert [repository.find_new(name) for name in ("notes.txt", "..", ".", "a/late", "../late")] == [None] * 5


def test_a_server_has_the_listener_beside_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))  # so that its worker finds the model
    with running(f"model={HERE}", "--trust-code", "--admin-port", "0") as server:
        place = server.lines[0].partition(", ")[2].partition(" for admins")[0]
        assert place.startswith("http://127.0.0.1:")
        server.wait_until_ready()
        with httpx2.Client(base_url=place, timeout=20) as admin:
            assert admin.post(LOAD).status_code == 200
            asked = server.http.post("/v1/embeddings", json={"model": "model", "input": "a"})
            assert asked.headers["x-inferox-model-version"] == "2"
            (listed,) = admin.post("/v2/repository/index").json()
            assert (listed["name"], listed["version"], listed["state"]) == ("model", "2", "READY")
            measured = server.http.get("/metrics").text.splitlines()
            memory = dict(line.split() for line in measured if line.startswith("inferox_memory_bytes{"))
            assert set(memory) == {f'inferox_memory_bytes{{process="{kind}"}}' for kind in ("front", "worker")}
            assert all(float(size) > 2**20 for size in memory.values())
            assert "inferox_workers 1.0" in measured
            assert admin.post(UNLOAD).status_code == 200
            assert server.http.post("/v1/embeddings", json={"model": "model", "input": "a"}).status_code == 404
            assert server.http.get("/health/ready").status_code == 200  # it is not supposed to exist
        server.process.terminate()
        server.process.communicate(timeout=20)
        assert server.process.returncode == 0
