"""Artifacts that a request chooses by name, if the operator offers them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest

from tests.server.browser import browsing
from tests.server.oip.triton import triton_client
from tests.server.running import RunningServer, running
from tests.server.test_page import with_browser

TEXTS = ["The zebra crosses a savanna.", "Violins resonate."]

SERVING = "onnxruntime/onnx/fp32/packed"
INT8 = "openvino/openvino-ir/int8/packed"


@pytest.fixture(scope="module")
def server(int8_package: Path) -> Iterator[RunningServer]:
    """A server on ONNX Runtime, which offers OpenVINO in int8, and itself."""
    options = ("--backend", "onnxruntime", "--precision", "fp32", "--threads", "1", "--grpc-port", "0")
    with running(f"bert={int8_package}", *options, "--offer-artifacts", "openvino:int8,onnxruntime:fp32") as server:
        server.wait_until_ready()
        yield server


def ask(server: RunningServer, artifact: str | None = None, path: str = "/v1/embeddings", **body: Any) -> Any:
    headers = {} if artifact is None else {"inferox-artifact": artifact}
    return server.http.post(path, json={"model": "bert", **(body or {"input": TEXTS})}, headers=headers)


def vectors_of(answer: httpx2.Response) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    return np.array([item["embedding"] for item in answer.json()["data"]])


def test_a_request_gets_the_artifact_that_it_chooses(server: RunningServer) -> None:
    served = ask(server)
    assert served.headers["x-inferox-artifact"] == SERVING
    for name in ("openvino:int8", INT8):
        asked = ask(server, name)
        assert asked.headers["x-inferox-artifact"] == INT8
        assert (asked.headers["x-inferox-model"], asked.headers["x-inferox-model-version"]) == ("bert", "1")
        assert (asked.headers["x-inferox-parity"], served.headers["x-inferox-parity"]) == ("close", "exact")
        apart = np.abs(vectors_of(asked) - vectors_of(served)).max()
        assert 0 < apart < 0.2
    for name in ("onnxruntime:fp32", SERVING):
        assert ask(server, name).headers["x-inferox-artifact"] == SERVING
    assert ask(server).headers["x-inferox-artifact"] == SERVING


def test_it_can_be_chosen_in_every_protocol(server: RunningServer) -> None:
    assert ask(server, "openvino:int8", "/embed", inputs=TEXTS).headers["x-inferox-artifact"] == INT8
    assert ask(server, "openvino:int8", "/v2/embed", texts=TEXTS).headers["x-inferox-artifact"] == INT8
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": TEXTS}
    body = {"inputs": [tensor], "parameters": {"artifact": "openvino:int8"}}
    told = server.http.post("/v2/models/bert/infer", json=body).json()
    assert told["parameters"]["inferox_artifact"] == INT8
    assert (told["model_name"], told["model_version"]) == ("bert", "1")
    with triton_client("grpc", server.grpc_place) as client:
        text = {"name": "text", "datatype": "BYTES", "data": TEXTS}
        answer = client.call("infer", model_name="bert", inputs=[text], parameters={"artifact": "openvino:int8"})
        assert answer["response"]["parameters"]["inferox_artifact"] == {"string_param": INT8}


def test_what_is_not_offered_is_refused(server: RunningServer) -> None:
    for name in ("openvino", "torch", "openvino/openvino-ir/fp32/packed", ""):
        answer = ask(server, name)
        assert answer.status_code == 400
        assert "'bert' offers no artifact" in answer.json()["error"]["message"]
        assert "it offers openvino:int8, onnxruntime:fp32" in answer.json()["error"]["message"]
    two = [("inferox-artifact", "openvino:int8"), ("inferox-artifact", "onnxruntime:fp32")]
    answer = server.http.post("/v1/embeddings", json={"model": "bert", "input": TEXTS}, headers=two)
    assert "offers no artifact 'openvino:int8, onnxruntime:fp32'" in answer.json()["error"]["message"]
    tensor = {"name": "text", "datatype": "BYTES", "shape": [2], "data": TEXTS}
    body = {"inputs": [tensor], "parameters": {"artifact": ""}}
    assert "'bert' offers no artifact" in server.http.post("/v2/models/bert/infer", json=body).json()["error"]


def test_nothing_is_in_memory_twice(server: RunningServer) -> None:
    (model,) = server.http.get("/page/state").json()["models"]
    assert model["offered"] == {"openvino:int8": INT8, "onnxruntime:fp32": SERVING}
    assert model["artifact"] == SERVING


@with_browser
def test_the_page_shows_two_side_by_side(server: RunningServer, tmp_path: Path) -> None:
    expected = [
        float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
        for one, other in zip(vectors_of(ask(server)), vectors_of(ask(server, INT8)), strict=True)
    ]
    with browsing(tmp_path) as browser:
        browser.show(f"{server.url}/", width=1100)
        browser.wait_for("document.getElementById('other') !== null")
        browser.run("texts.value = " + json.dumps("\n".join(TEXTS)))
        browser.run("other.focus()")
        browser.press("ArrowDown", 40)
        browser.press("ArrowDown", 40)
        assert browser.run("other.value") == "openvino:int8"
        browser.run("texts.focus()")
        browser.press("Enter", 13, modifiers=2)
        browser.wait_for("document.getElementById('difference') !== null")
        heads = browser.run("[...document.querySelectorAll('.sides h3')].map((head) => head.textContent)")
        assert heads == [SERVING, INT8]
        cells = browser.run("[...document.querySelectorAll('#difference td')].map((cell) => cell.textContent)")
        assert [float(cell) for cell in cells[::2]] == pytest.approx(expected, abs=2e-6)
        browser.show(f"{server.url}/", width=360)
        assert browser.run("document.documentElement.scrollWidth") <= 360
        assert browser.faults == []
