"""The description of the routes matches the routes."""

from __future__ import annotations

from typing import Any

from inferox.server import ServerConfig
from tests.server.test_api_keys import make
from tests.server.test_app import Held, holding, run

_NAMES = {"{id}": "model", "{name}": "model", "{version}": "1"}


async def read(held: Held) -> Any:
    answer = await held.http.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*map(references, node.values()))
    return set[str]().union(*map(references, node)) if isinstance(node, list) else set()


def find(response: Any, shared: Any) -> Any:
    """Finds a response, wherever it is described."""
    return shared[response["$ref"].rpartition("/")[2]] if "$ref" in response else response


def test_every_route_is_there_with_its_methods() -> None:
    async def test() -> None:
        async with holding() as held:
            paths = (await read(held))["paths"]
            described = {path: {name.upper() for name in methods} - {"PARAMETERS"} for path, methods in paths.items()}
            for path, (methods, _) in held.app._routes.items():
                assert described[path] == set(methods) - {"HEAD"}, path
            for start in held.app._families:
                if any(path.startswith(f"{start}{{") for path in described):
                    continue
                # Anything without a path of its own there is refused.
                refused = await held.http.post(f"{start}x", json={})
                assert refused.status_code in {403, 501}, start

    run(test)


def test_every_route_that_is_described_is_answered_as_described() -> None:
    async def test() -> None:
        async with holding() as held:
            held.model.may_go.set()
            document = await read(held)
            for path, methods in document["paths"].items():
                place = path
                for parameter, name in _NAMES.items():
                    place = place.replace(parameter, name)
                assert "{" not in place
                assert len(methods.get("parameters", ())) == path.count("{")
                if "get" in methods:
                    # This engine has no worker processes, so probes find it not ready.
                    assert (await held.http.get(place)).status_code in {200, 503}, path
                if "post" in methods:
                    # A body of the wrong kind is refused by the reader of bodies, not because there is no route.
                    status = (await held.http.post(place, json=[1])).status_code
                    assert status in {400, 422}, path

    run(test)


def test_bodies_are_described_by_what_reads_them() -> None:
    async def test() -> None:
        async with holding() as held:
            document = await read(held)
            schemas = document["components"]["schemas"]
            shared = {kind: document["components"][kind] for kind in ("schemas", "responses", "parameters")}
            assert references(document) == {f"#/components/{kind}/{name}" for kind in shared for name in shared[kind]}
            for path, methods in document["paths"].items():
                assert ("requestBody" in methods.get("post", {})) == ("post" in methods), path
            fields = schemas["EmbeddingsRequest"]
            assert fields["required"] == ["model", "input"]
            assert {"dimensions", "encoding_format", "prompt_name"} <= set(fields["properties"])

    run(test)


def test_errors_are_described_as_each_protocol_writes_them() -> None:
    async def test() -> None:
        async with holding() as held:
            document = await read(held)
            paths, shared = document["paths"], document["components"]["responses"]
            for path in ("/v1/embeddings", "/embed", "/v2/embed", "/v2/models/model/infer"):
                said = (await held.http.post(path, json={})).json()
                responses = paths[path.replace("/model/", "/{name}/")]["post"]["responses"]
                (shown,) = [
                    content["example"]
                    for response in responses.values()
                    if "example" in (content := find(response, shared)["content"].get("application/json", {}))
                ]
                assert said.keys() == shown.keys(), path

    run(test)


def test_it_needs_no_key() -> None:
    async def test() -> None:
        async with holding(ServerConfig(api_keys=(make(),))) as held:
            assert (await held.http.get("/openapi.json")).status_code == 200
            assert (await held.http.get("/docs")).status_code == 200

    run(test)
