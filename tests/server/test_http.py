"""Answers of a real server to requests as they come over the wire, right and wrong."""

from __future__ import annotations

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests.server.running import RunningServer

GOOD = {"model": "minilm", "input": "a text"}
JSON = {"content-type": "application/json"}


def error_of(answer: httpx2.Response) -> dict[str, Any]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert answer.headers["x-request-id"]
    assert isinstance(error["message"], str)
    assert error["message"]
    found: dict[str, Any] = error
    return found


def test_an_answer_says_how_it_was_computed(http: httpx2.Client) -> None:
    answer = http.post("/v1/embeddings", json=GOOD, headers={"x-request-id": "mine-1"})
    assert answer.status_code == 200
    told = {name: value for name, value in answer.headers.items() if name.startswith("x-")}
    space = told.pop("x-inferox-embedding-space")
    assert len(space) == 16
    assert told.pop("x-inferox-artifact").startswith("onnxruntime/onnx/fp32/")
    assert float(told.pop("x-inferox-queue-ms")) >= 0
    assert float(told.pop("x-inferox-compute-ms")) > 0
    assert told == {
        "x-request-id": "mine-1",
        "x-inferox-model": "minilm",
        "x-inferox-model-version": "1",
        "x-inferox-parity": "exact",
        "x-inferox-cut-inputs": "0",
    }


@pytest.mark.parametrize("prefix", ["/v1", "/openai/v1", "/v3", ""])
def test_the_routes_are_where_clients_look_for_them(http: httpx2.Client, prefix: str) -> None:
    assert len(http.post(f"{prefix}/embeddings", json=GOOD).json()["data"]) == 1
    assert http.get(f"{prefix}/models").json()["data"][0]["id"] == "minilm"
    assert http.get(f"{prefix}/models/minilm").json()["id"] == "minilm"
    assert http.head(f"{prefix}/models").content == b""


def test_probes(http: httpx2.Client) -> None:
    assert http.get("/health/live").json() == {"live": True}
    assert http.get("/health/ready").json() == {"ready": True}


def test_unknown_fields_are_ignored(http: httpx2.Client) -> None:
    more = {"user": 3, "priority": [{}], "encoding_format": None, "dimensions": None}
    assert http.post("/v1/embeddings", json=GOOD | more).status_code == 200


def test_fields_that_ask_for_what_there_is_change_nothing(http: httpx2.Client) -> None:
    written = {
        "add_special_tokens": True,
        "embed_dtype": "float32",
        "endianness": "native",
        "normalize": True,
        "normalized": True,
        "late_chunking": False,
    }
    plain, same = (http.post("/v1/embeddings", json=GOOD | more) for more in ({}, written))
    assert same.status_code == 200
    assert same.json() == plain.json()
    assert same.headers["x-inferox-embedding-space"] == plain.headers["x-inferox-embedding-space"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "a"}, "model"),
        ({"model": "minilm"}, "input"),
        ({"model": 3, "input": "a"}, "model"),
        ({"model": "minilm", "input": {"text": "a"}}, "input"),
        ({"model": "minilm", "input": ["a", None]}, "input[1]"),
        ({"model": "minilm", "input": ["a", 1.5]}, "input[1]"),
        ({"model": "minilm", "input": ["a", 3]}, "input"),
        ({"model": "minilm", "input": []}, "input"),
        (GOOD | {"encoding_format": "int8"}, "encoding_format"),
        (GOOD | {"dimensions": 0}, "dimensions"),
        (GOOD | {"dimensions": 100}, "dimensions"),
        (GOOD | {"truncate_prompt_tokens": 10}, "truncate_prompt_tokens"),
        (GOOD | {"add_special_tokens": False}, "add_special_tokens"),
        (GOOD | {"embed_dtype": "float16"}, "embed_dtype"),
        (GOOD | {"endianness": "big"}, "endianness"),
        (GOOD | {"normalize": False}, "normalize"),
        (GOOD | {"normalized": [{}]}, "normalized"),
        (GOOD | {"late_chunking": True}, "late_chunking"),
        ([], None),
    ],
)
def test_a_body_that_is_wrong_is_refused_by_its_field(http: httpx2.Client, body: object, param: str | None) -> None:
    answer = http.post("/v1/embeddings", json=body)
    assert answer.status_code == 400
    assert error_of(answer)["param"] == param


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model":"minilm","input":"a"} b',
        b'{"model":"minilm","input":"\xff"}',
        b'{"model":"minilm","input":"\\ud800"}',
        b'{"model":"minilm","input":"a","more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"model":"minilm","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=["empty", "cut", "trailing", "no UTF-8", "half a character", "deep", "deep input"],
)
def test_what_is_no_json_is_refused(http: httpx2.Client, body: bytes) -> None:
    answer = http.post("/v1/embeddings", content=body, headers=JSON)
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "invalid_json"


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (("GET", "/v1/nothing", {}), (404, "unknown_route")),
        (("GET", "/v1/models/other", {}), (404, "model_not_found")),
        (("GET", "/v1/models/..%2Fminilm", {}), (404, "model_not_found")),
        (("GET", "/v1/embeddings", {}), (405, "method_not_allowed")),
        (("OPTIONS", "/v1/embeddings", {}), (405, "method_not_allowed")),
        (("POST", "/health/ready", JSON), (405, "method_not_allowed")),
        (("POST", "/v1/embeddings", {}), (415, "unsupported_media_type")),
        (("POST", "/v1/embeddings", {"content-type": "text/plain"}), (415, "unsupported_media_type")),
        (("POST", "/v1/embeddings", JSON | {"content-encoding": "gzip"}), (415, "unsupported_media_type")),
    ],
)
def test_what_http_has_a_status_for(http: httpx2.Client, request_: tuple[str, str, dict[str, str]], told: Any) -> None:
    method, path, headers = request_
    answer = http.request(method, path, content=json.dumps(GOOD) if method == "POST" else None, headers=headers)
    assert (answer.status_code, error_of(answer)["code"]) == told
    assert ("allow" in answer.headers) == (answer.status_code == 405)


def test_a_foreign_request_id_that_is_not_harmless_is_replaced(http: httpx2.Client) -> None:
    answer = http.get("/health/live", headers={"x-request-id": "a b"})
    assert answer.headers["x-request-id"].startswith("req_")


def test_a_body_that_is_too_large(http: httpx2.Client) -> None:
    large = b'{"model":"minilm","input":"' + b"a" * (17 * 2**20) + b'"}'
    announced = http.post("/v1/embeddings", content=large, headers=JSON)
    chunked = http.post("/v1/embeddings", content=iter([large]), headers=JSON)
    for answer in (announced, chunked):
        assert (answer.status_code, error_of(answer)["code"]) == (413, "body_too_large")
        assert answer.headers["connection"] == "close"
    assert f"this one has {len(large):,} or more" in error_of(announced)["message"]  # known before it was read


def test_a_body_that_is_too_large_is_not_asked_for(server: RunningServer) -> None:
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=10) as connection:
        head = b"POST /v1/embeddings HTTP/1.1\r\ncontent-type: application/json\r\nexpect: 100-continue\r\n"
        connection.sendall(head + b"content-length: %d\r\n\r\n" % 2**30)
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_what_is_not_http_at_all(server: RunningServer) -> None:
    place = urlsplit(server.url)
    assert place.hostname is not None
    with socket.create_connection((place.hostname, place.port or 0), timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00 hello\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
