"""A shadow and a canary of a server, and its reports of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from inferox import Engine, EngineConfig, open_package
from inferox.engine import Shadow
from inferox.server import ModelSource
from inferox.server.service import Service
from tests.server.browser import browsing
from tests.server.running import RunningServer, running, wait_until
from tests.server.test_page import with_browser
from tests.shared import SharedFolders

BINARY = "backends/openvino/int8-packed.bin"


def spoil(package: Path) -> None:
    """Negates the int8 artifact's vectors if their tokens are in no stored sample, so that it still loads."""
    graph = (package / BINARY).with_suffix(".xml").read_text(encoding="utf-8")
    found = re.search(r'element_type="i8" shape="(8000), (\d+)" offset="(\d+)"', graph)
    assert found is not None
    tokens, width, offset = map(int, found.groups())
    samples = open_package(package).samples()
    assert samples is not None
    seen = {int(token) for batch in samples.batches for token in np.unique(batch.inputs["input_ids"])}
    content = bytearray((package / BINARY).read_bytes())
    table = np.frombuffer(content, np.int8, tokens * width, offset).reshape(tokens, width)
    table[[token for token in range(tokens) if token not in seen]] *= -1
    (package / BINARY).write_bytes(content)
    metadata = json.loads((package / "metadata.json").read_text(encoding="utf-8"))
    for file in metadata["files"]:
        if file["path"] == BINARY:
            file["sha256"] = sha256(content).hexdigest()
    (package / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")


@pytest.fixture(scope="module")
def server(shared_folders: SharedFolders, int8_package: Path) -> Iterator[RunningServer]:
    """A server on ONNX Runtime, with OpenVINO as its shadow, and a spoilt int8 artifact as its canary."""

    def fill(folder: Path) -> None:
        copytree(int8_package, folder / "bert")
        spoil(folder / "bert")

    package = shared_folders.get("spoilt", fill) / "bert"
    options = ("--backend", "onnxruntime", "--threads", "1", "--shadow", "openvino=1")
    with running(f"bert={package}", *options, "--canary", "openvino:int8=1.0", "--canary-any-space") as server:
        server.wait_until_ready()  # before the tried artifacts are loaded
        wait_until(lambda: {kind for _, kind in read_metrics(server)} == {"shadow", "canary"}, timeout_s=200)
        yield server


def read_metrics(server: RunningServer) -> dict[tuple[str, str], float]:
    """Returns the metrics of trials, by name and kind."""
    told = server.http.get("/metrics").text
    return {
        (sample.name.removeprefix("inferox_trial_"), sample.labels["trial"]): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
        if sample.name.startswith("inferox_trial_") and not {"reason", "le"} & sample.labels.keys()
    }


def ask(server: RunningServer) -> str:
    """Returns the artifact that answers."""
    body = {"model": "bert", "input": ["The zebra crosses a savanna.", "Violins resonate."]}
    answer = server.http.post("/v1/embeddings", json=body)
    assert answer.status_code == 200
    artifact = answer.headers["x-inferox-artifact"]
    assert isinstance(artifact, str)
    return artifact


def test_a_canary_whose_weights_were_spoilt_is_rolled_back(server: RunningServer) -> None:
    assert ask(server) == "openvino/openvino-ir/int8/packed"
    wait_until(lambda: ask(server).startswith("onnxruntime/onnx/fp32/"))
    assert all(ask(server).startswith("onnxruntime/onnx/fp32/") for _ in range(20))
    told = read_metrics(server)
    assert told["rolled_back", "canary"] == 1
    assert told["share_ratio", "canary"] == 0
    assert told["requests_total", "canary"] >= told["compared_total", "canary"] >= 5
    assert told["cosine_min", "canary"] < 0.98
    assert told["drift_sum", "canary"] / told["drift_count", "canary"] > 0.02
    assert server.process.stderr is not None
    line = server.process.stderr.readline()
    assert "bert: the canary openvino/openvino-ir/int8/packed is rolled back: its last" in line
    assert "is allowed" in line


def test_a_shadow_that_cannot_be_loaded_is_reported_and_the_server_goes_on(
    int8_package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Engine(EngineConfig(threads=1)) as engine:
        service = Service(engine, timeout_s=10)
        options = {"backend": "onnxruntime", "shadow": Shadow(backend="onnxruntime", share=1.0)}
        source = ModelSource(str(int8_package), "bert", options)
        service.load([source])
        assert not caplog.text
        assert [info.name for info in service.models()] == ["bert"]
        service.begin_trials()
        assert caplog.text.count("onnxruntime/onnx/fp32/packed would be the shadow of 'bert'") == 1
        service.load_again("bert", source)
        assert caplog.text.count("would be the shadow of 'bert'") == 2
        assert engine.stats("bert").trials == ()
        assert engine.infer("bert", ["a"]).version == "2"


def test_a_shadow_is_compared(server: RunningServer) -> None:
    wait_until(lambda: ask(server).startswith("onnxruntime/"))
    wait_until(lambda: read_metrics(server)["compared_total", "shadow"] > 0)
    told = read_metrics(server)
    assert told["errors_total", "shadow"] == 0
    assert told["cosine_min", "shadow"] > 0.9999
    assert (told["rolled_back", "shadow"], told["share_ratio", "shadow"]) == (0, 1)
    memory = server.http.get("/metrics").text
    assert 'inferox_memory_bytes{process="shadow"}' in memory
    assert "inferox_workers 1.0" in memory


@with_browser
def test_the_page_shows_both(server: RunningServer, tmp_path: Path) -> None:
    wait_until(lambda: ask(server).startswith("onnxruntime/"))
    with browsing(tmp_path) as browser:
        browser.show(f"{server.url}/", width=360, dark=False)
        browser.wait_for("document.querySelectorAll('.trials section').length === 2")
        shadow, canary = browser.run("[...document.querySelectorAll('.trials section')].map((one) => one.innerText)")
        assert "Shadow: openvino/onnx/fp32/packed 100 % of requests" in " ".join(shadow.split())
        assert "rolled back" in canary
        assert "compared drift by" in canary
        assert browser.run("document.documentElement.scrollWidth") <= 360
        assert browser.faults == []
