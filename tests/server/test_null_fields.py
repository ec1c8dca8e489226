"""Fields of null, which clients send that write out every field of a request: each means what leaving it out means."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Any, get_args

import httpx2
import msgspec
import pytest

from inferox import Engine, EngineConfig
from inferox.server import ServerConfig
from inferox.server.admin_app import AdminApp
from inferox.server.app import App
from inferox.server.model_control import ModelControl
from inferox.server.model_repository import ModelRepository
from inferox.server.request_observer import RequestObserver
from inferox.server.service import Service

TEXT = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a cat"]}
QUERY = {"name": "query", "datatype": "BYTES", "shape": [1], "data": ["what is a cat?"]}


def structs_of(kind: Any) -> Iterator[Any]:
    """Yields the types of objects within a type."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from structs_of(field.type)
    for part in get_args(kind):
        yield from structs_of(part)


def test_every_field_that_may_be_left_out_may_be_null() -> None:
    config = ServerConfig()
    with Engine(EngineConfig()) as engine:
        service = Service(engine, timeout_s=1)
        control = ModelControl(service, ModelRepository([]), print)
        apps = (App(service, config), AdminApp(service, control, config, RequestObserver()))
        operations = [
            operation
            for app in apps
            for methods, _ in (*app._routes.values(), *app._families.values())
            for operation in methods.values()
        ]
    kinds = {kind for operation in operations for body in operation.bodies for kind in structs_of(body)}
    assert len(kinds) > 15
    fields = [(kind, field) for kind in kinds for field in msgspec.structs.fields(kind) if not field.required]
    takes_null = {NoneType, Any, msgspec.Raw}
    refused = [
        f"{kind.__name__}.{field.name}"
        for kind, field in fields
        if not takes_null & {field.type, *get_args(field.type)}
    ]
    assert refused == []


@pytest.mark.parametrize(
    ("path", "body", "left_out"),
    [
        ("/v2/embed", {"model": "minilm", "texts": ["a"]}, ["truncate", "priority", "inputs", "embedding_types"]),
        ("/v2/rerank", {"query": "q", "documents": ["a", "b"]}, ["raw_scores", "priority", "return_documents"]),
        ("/rerank", {"query": "q", "documents": ["a", "b"]}, ["texts", "raw_scores"]),
        ("/rerank", {"query": "q", "texts": ["a", "b"]}, ["raw_scores", "return_text", "documents"]),
        ("/score", {"text_1": "a", "text_2": "b"}, ["priority", "queries", "truncate_prompt_tokens"]),
        ("/", {"inputs": "a", "model": "minilm"}, ["texts", "normalize"]),
        ("/predict", {"inputs": "a", "model": "classify"}, ["raw_scores", "parameters"]),
        ("/tokenize", {"inputs": "a", "model": "minilm"}, ["add_special_tokens"]),
        ("/decode", {"ids": [101, 1037], "model": "minilm"}, ["skip_special_tokens"]),
        ("/v2/models/minilm/infer", {"inputs": [TEXT]}, ["outputs", "id", "parameters"]),
        ("/v2/repository/index", {}, ["ready"]),
    ],
)
def test_null_is_as_if_left_out(
    tasks_http: httpx2.Client, path: str, body: dict[str, Any], left_out: list[str]
) -> None:
    plain, written = (tasks_http.post(path, json=asked) for asked in (body, body | dict.fromkeys(left_out)))
    assert (plain.status_code, written.status_code) == (200, 200), written.text
    assert forget_ids(written.json()) == forget_ids(plain.json())


def forget_ids(answer: Any) -> Any:
    """Returns an answer without what differs each time."""
    return {key: answer[key] for key in answer.keys() - {"id", "created"}} if isinstance(answer, dict) else answer


def test_null_within_tensors(tasks_http: httpx2.Client) -> None:
    path, plain = "/v2/models/rerank/infer", {"inputs": [QUERY, TEXT], "outputs": [{"name": "score"}]}
    written = {
        "inputs": [item | {"parameters": None} for item in (QUERY, TEXT)],
        "outputs": [{"name": "score", "parameters": None}],
    }
    assert tasks_http.post(path, json=written).json() == tasks_http.post(path, json=plain).json()
    without = tasks_http.post(path, json={"inputs": [QUERY, TEXT | {"data": None}]})
    assert (without.status_code, "neither data nor" in without.json()["error"]) == (400, True)
