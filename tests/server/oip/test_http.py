"""Answers of the server to requests of the protocol as they come over the wire, right and wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import httpx2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox import Engine, EngineConfig
from inferox.core import RequestError
from inferox.server import ModelSource, ServerConfig
from inferox.server.app import App
from inferox.server.oip.datatype import Datatype
from inferox.server.oip.exposed_tensor import ANY, ExposedTensor
from inferox.server.oip.exposure import Exposure
from inferox.server.oip.http_infer import read_infer
from inferox.server.service import Service
from tests.server.models import HERE

LENGTH = "inference-header-content-length"


class Nothing(Exposure):
    """A model with some tensors that computes nothing."""

    def write(self, answer: Any) -> list[Any]:
        raise AssertionError(answer)

    def _read(self, arrays: Any) -> list[Any]:
        return [arrays]


def model_of(*shape: int, datatype: Datatype = Datatype.FP32, more: int = 0, max_batch: int = 8) -> Exposure:
    inputs = [ExposedTensor(f"x{number}", datatype, shape) for number in range(1 + more)]
    return Nothing(inputs, inputs, max_batch=max_batch)


def body_of(head: Any, *binary: bytes) -> tuple[bytes, str]:
    text = json.dumps(head).encode()
    return b"".join([text, *binary]), str(len(text))


def ask(path: str, body: bytes | str | None = None, **headers: str) -> httpx2.Response:
    """Calls an application in this process, whose only model, ``model``, makes vectors of one number."""

    async def send() -> httpx2.Response:
        with Engine(EngineConfig(refuse_non_finite=True)) as engine:
            service = Service(engine, timeout_s=20)
            service.load([ModelSource(HERE, "model", {"trust_code": True})])
            app = App(service, ServerConfig(body_limit_bytes=10_000))
            async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server") as http:
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                return await http.request("GET" if body is None else "POST", path, content=body, headers=named)

    return asyncio.run(send())


TEXTS = {"name": "text", "datatype": "BYTES", "shape": [2], "data": ["a", "b"]}


def test_json_both_ways() -> None:
    answer = ask("/v2/models/model/infer", json.dumps({"inputs": [TEXTS], "id": "mine"}))
    assert answer.status_code == 200
    told = answer.json()
    assert told.pop("parameters")["inferox_cut_inputs"] == 0
    assert told == {
        "id": "mine",
        "model_name": "model",
        "model_version": "1",
        "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [2, 1], "data": [194.0, 196.0]}],
    }
    assert answer.headers["x-inferox-model"] == "model"


def test_outputs_are_binary_if_requested() -> None:
    for asked in (
        {"parameters": {"binary_data_output": True}},
        {"outputs": [{"name": "embedding", "parameters": {"binary_data": True}}]},
    ):
        answer = ask("/v2/models/model/versions/1/infer", json.dumps({"inputs": [TEXTS], **asked}))
        size = int(answer.headers[LENGTH])
        (output,) = json.loads(answer.content[:size])["outputs"]
        assert output["parameters"] == {"binary_data_size": 8}
        assert "data" not in output
        assert np.frombuffer(answer.content[size:], "<f4").tolist() == [194, 196]
        assert answer.headers["content-type"] == "application/octet-stream"
    not_binary = {"outputs": [{"name": "embedding", "parameters": {"binary_data": False}}]}
    answer = ask(
        "/v2/models/model/infer",
        json.dumps({"inputs": [TEXTS], "parameters": {"binary_data_output": True}, **not_binary}),
    )
    assert LENGTH not in answer.headers


@pytest.mark.parametrize(("coding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_bodies_may_be_compressed(coding: str, compress: Callable[[bytes], bytes]) -> None:
    size = struct.pack("<I", 1)
    head = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": 5}}]}
    body, length = body_of(head, size, b"a")
    headers = {"content_encoding": coding, LENGTH: length}
    assert ask("/v2/models/model/infer", compress(body), **headers).status_code == 200
    large = ask("/v2/models/model/infer", compress(b" " * 10_001), content_encoding=coding)
    assert (large.status_code, "after decompression" in large.json()["error"]) == (413, True)
    for damaged in (compress(body)[:-1], compress(body) + b"a", body):
        answer = ask("/v2/models/model/infer", damaged, **headers)
        assert (answer.status_code, f"not valid {coding}" in answer.json()["error"]) == (400, True)


def test_a_body_without_json_is_the_one_input() -> None:
    answer = ask("/v2/models/model/infer", b"ab", **{LENGTH: "0"})
    size = int(answer.headers[LENGTH])
    assert json.loads(answer.content[:size])["outputs"][0]["shape"] == [1, 1]
    assert np.frombuffer(answer.content[size:], "<f4").tolist() == [2 * (97 + 98)]


def test_a_body_without_json_is_the_one_input_that_is_needed() -> None:
    inputs = [
        ExposedTensor("text", Datatype.BYTES, (ANY,)),
        ExposedTensor("text_pair", Datatype.BYTES, (ANY,), is_optional=True),
    ]
    request = read_infer(b"a cat", "0", Nothing(inputs, inputs), None)
    assert {name: tensor.array.tolist() for name, tensor in request.inputs.items()} == {"text": [b"a cat"]}


@pytest.mark.parametrize(
    ("shape", "max_batch", "size_bytes", "found"),
    [
        ((ANY, 3), 8, 12, (1, 3)),
        ((ANY, 3, ANY), 8, 24, (1, 3, 2)),
        ((ANY, ANY), 8, 0, (1, 0)),
        ((2, ANY), 0, 16, (2, 2)),
    ],
)
def test_the_size_of_a_body_tells_an_extent(shape: Any, max_batch: int, size_bytes: int, found: Any) -> None:
    request = read_infer(bytes(size_bytes), "0", model_of(*shape, max_batch=max_batch), None)
    assert request.inputs["x0"].array.shape == found
    assert request.binary_output


@pytest.mark.parametrize(
    ("model", "size_bytes", "what"),
    [
        (model_of(ANY, 3), 13, "takes 12 bytes, but there are 13"),
        (model_of(ANY, ANY, ANY), 12, "needs JSON with its extents"),
        (model_of(ANY, ANY, max_batch=0), 12, "needs JSON"),
        (model_of(ANY, 3, more=1), 12, "but the model needs x0, x1"),
        (model_of(ANY, 0, ANY), 12, "takes 0 bytes, but there are 12"),
    ],
)
def test_a_body_without_json_that_says_too_little(model: Exposure, size_bytes: int, what: str) -> None:
    with pytest.raises(RequestError, match=what):
        read_infer(bytes(size_bytes), "0", model, None)


def binary(size: Any, **more: Any) -> dict[str, Any]:
    return {"name": "x0", "datatype": "FP32", "shape": [1, 1], "parameters": {"binary_data_size": size}, **more}


GOOD = {"name": "x0", "datatype": "FP32", "shape": [1, 1], "data": [1]}


@pytest.mark.parametrize(
    ("head", "content", "what"),
    [
        ({"inputs": [binary(4)]}, bytes(3), "4 bytes of binary data, but 3 are left"),
        ({"inputs": [binary(4)]}, bytes(5), "the binary data is 1 byte longer than the inputs"),
        ({"inputs": [binary(-1)]}, bytes(4), "-1 bytes"),
        ({"inputs": [binary("4")]}, bytes(4), "must be of the type int"),
        ({"inputs": [binary(True)]}, bytes(4), "must be of the type int"),
        ({"inputs": [binary(4, data=[1])]}, bytes(4), "has both data and"),
        ({"inputs": [binary(None)]}, b"", "has neither data nor"),
        ({"inputs": [GOOD | {"datatype": "FLOAT"}]}, b"", "one of the data types BOOL"),
        ({"inputs": [GOOD | {"parameters": {"shared_memory_region": "a"}}]}, b"", "shared memory"),
        ({"inputs": [GOOD], "outputs": [{"name": "x0", "parameters": {"classification": 2}}]}, b"", "classification"),
        (
            {"inputs": [GOOD], "outputs": [{"name": "x0", "parameters": {"output_datatype": "BF16"}}]},
            b"",
            "output_datatype is a parameter of the request, not of output 'x0'",
        ),
        ({"inputs": [GOOD | {"parameters": {"artifact": ""}}]}, b"", "artifact is a parameter of the request"),
        ({"inputs": [GOOD], "parameters": {"timeout": -1}}, b"", "timeout must be from 0"),
        ({"inputs": [GOOD], "parameters": {"timeout": 10**400}}, b"", "timeout must be from 0"),
        ({"inputs": [GOOD], "parameters": {"priority": 10**400}}, b"", "priority must be from 0 to 9"),
        ({"inputs": [GOOD], "parameters": {"timeout": 1.5}}, b"", "type int, but is 1.5"),
        ({"inputs": [GOOD], "parameters": {"truncate": 1}}, b"", "type bool"),
        ({"inputs": {}}, b"", "Expected `array`"),
        ({}, b"", "missing required field `inputs`"),
    ],
)
def test_what_is_wrong_in_a_request_is_named(head: Any, content: bytes, what: str) -> None:
    body, length = body_of(head, content)
    with pytest.raises(RequestError, match=what):
        read_infer(body, length, model_of(ANY, 1), None)


@pytest.mark.parametrize("length", ["-1", "1000", "1.0", "", "٣", "9" * 5000])
def test_a_length_of_json_that_cannot_be(length: str) -> None:
    with pytest.raises(RequestError, match="at most the 2 of the body"):
        read_infer(b"{}", length, model_of(ANY, 1), None)


@given(st.binary(max_size=200), st.none() | st.integers(0, 200).map(str))
def test_any_bytes_are_a_request_or_refused(body: bytes, length: str | None) -> None:
    with pytest.raises(RequestError):
        # None of these is an honest request, which has more bytes of JSON.
        read_infer(b"{" + body, length if length != "0" else None, model_of(ANY, 1), None)


def test_parameters_mean_what_triton_says() -> None:
    parameters = {"priority": 1, "timeout": 1_500_000, "prompt_name": "query", "truncate": True, "anything": "else"}
    body, _ = body_of({"inputs": [GOOD], "parameters": parameters})
    options = read_infer(body, None, model_of(ANY, 1), "2").options
    assert (options.priority, options.timeout_s, options.prompt, options.cut) == (-4, 1.5, "query", True)
    assert options.version == "2"
    plain = read_infer(
        body_of({"inputs": [GOOD], "parameters": {"priority": 0}})[0], None, model_of(ANY, 1), None
    ).options
    assert (plain.priority, plain.timeout_s, plain.prompt, plain.cut) == (0, None, None, False)


@pytest.mark.parametrize(
    ("path", "body", "headers", "told"),
    [
        ("/v2/models/other/infer", "{}", {}, (404, "there is no model 'other'")),
        ("/v2/models/model/ready", "{}", {}, (405, "takes GET, HEAD, not 'POST'")),
        ("/v2/models/model/infer", None, {}, (405, "takes POST, not 'GET'")),
        ("/v2/models/", None, {}, (404, "there is nothing at")),
        ("/v2/models/model/versions/3", None, {}, (404, "'model' has no version '3'")),
        ("/v2/models/model/infer", "{", {}, (400, "not JSON")),
        ("/v2/models/model/infer", "{}", {"content_type": "text/plain"}, (415, "text/plain")),
        ("/v2/models/model/infer", "{}", {"content_encoding": "br"}, (415, "deflate or gzip")),
        ("/v2/models/model/infer", " " * 10_001, {}, (413, "10,000 bytes")),
        ("/v2/repository/models/model/load", "{}", {}, (403, "when the server starts")),
        ("/v2/logging", None, {}, (501, "not supported")),
    ],
)
def test_errors_are_those_of_the_protocol(path: str, body: str | None, headers: Mapping[str, str], told: Any) -> None:
    answer = ask(path, body, **headers)
    assert set(answer.json()) == {"error", "inferox"}
    assert answer.status_code == told[0]
    assert told[1] in answer.json()["error"]


def test_a_server_that_cannot_compute_says_so() -> None:
    # The engine of this application has no worker processes, like one that has lost them.
    assert ask("/v2/health/live").json() == {"live": True}
    ready = ask("/v2/health/ready")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    ready = ask("/v2/models/model/ready")
    assert (ready.status_code, ready.json()["name"]) == (503, "model")
    index = ask("/v2/repository/index", "").json()
    assert [(item["state"], item["reason"]) for item in index] == [
        ("UNAVAILABLE", "no worker process can compute model")
    ]
    assert ask("/v2/repository/index", '{"ready":true}').json() == []
