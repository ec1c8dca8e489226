"""Triton's own clients against a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from inferox import TaskModel
from tests.server.oip.conftest import TASKS
from tests.server.oip.triton import TritonClient, TritonError
from tests.server.running import wait_until
from tests.tasks.test_images import encoded

Models = Callable[[str], TaskModel]

TEXTS = ["A cat sits on the mat.", "Ünïcödé 🎉", ""]


def of_texts(name: str, texts: list[str], **more: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "data": [text.encode().decode("latin-1") for text in texts], **more}


def array_of(answer: Any, name: str) -> np.ndarray[Any, Any]:
    return np.array(answer["outputs"][name], answer["dtypes"][name])


def test_the_server_says_what_it_is(client: TritonClient) -> None:
    assert client.call("is_server_live") is True
    assert client.call("is_server_ready") is True
    told = client.call("get_server_metadata")
    assert told["name"] == "inferox"
    assert "binary_tensor_data" in told["extensions"]


@pytest.mark.parametrize("task", TASKS)
def test_every_model_is_ready_and_described(client: TritonClient, task: str) -> None:
    assert client.call("is_model_ready", model_name=task) is True
    assert client.call("is_model_ready", model_name=task, model_version="1") is True
    assert client.call("is_model_ready", model_name=task, model_version="2") is False
    told = client.call("get_model_metadata", model_name=task)
    assert (told["name"], told["versions"]) == (task, ["1"])
    assert told["platform"].startswith(("onnxruntime_", "candle_"))
    configured = client.call("get_model_config", model_name=task)
    configured = configured.get("config", configured)
    assert configured["max_batch_size"] == 2048
    for side, told_side in (("input", "inputs"), ("output", "outputs")):
        assert [item["name"] for item in configured[side]] == [item["name"] for item in told[told_side]]


def test_the_models_are_listed(client: TritonClient) -> None:
    told = client.call("get_model_repository_index")
    models = told if isinstance(told, list) else told["models"]
    assert {(item["name"], item["version"], item["state"]) for item in models} == {
        (task, "1", "READY") for task in TASKS
    }


@pytest.mark.parametrize("method", ["load_model", "unload_model"])
def test_models_are_not_loaded_by_requests(client: TritonClient, method: str) -> None:
    with pytest.raises(TritonError, match="loaded only when the server starts"):
        client.call(method, model_name="embed")


@pytest.mark.parametrize("method", ["get_system_shared_memory_status", "get_trace_settings", "get_log_settings"])
def test_what_is_not_offered_is_said(client: TritonClient, method: str) -> None:
    with pytest.raises(TritonError, match="are not supported"):
        client.call(method)


def test_what_was_computed_is_counted(client: TritonClient) -> None:
    def count() -> dict[str, int]:
        (told,) = client.call("get_inference_statistics", model_name="embed")["model_stats"]
        found = {name: int(told["inference_stats"][name].get("count", 0)) for name in ("success", "fail", "queue")}
        assert int(told["last_inference"]) >= 0
        return found | {"rows": int(told.get("inference_count", 0))}

    client.call("infer", model_name="embed", inputs=[of_texts("text", ["a"])])
    before = count()
    client.call("infer", model_name="embed", inputs=[of_texts("text", ["one", "two"])])
    with pytest.raises(TritonError):
        client.call("infer", model_name="embed", inputs=[of_texts("words", ["a"])])
    wait_until(lambda: count()["rows"] == before["rows"] + 2)  # an answer is sent before its batch is counted
    after = count()
    assert {name: after[name] - before[name] for name in after} == {"success": 1, "fail": 1, "queue": 2, "rows": 2}
    assert len(client.call("get_inference_statistics")["model_stats"]) == len(TASKS)


def test_vectors_of_texts(client: TritonClient, task_models: Models) -> None:
    answer = client.call("infer", model_name="embed", inputs=[of_texts("text", TEXTS)], request_id="mine")
    np.testing.assert_allclose(array_of(answer, "embedding"), task_models("embed").embed(TEXTS), atol=1e-6)
    told = answer["response"]
    assert (told["model_name"], told["model_version"], told["id"]) == ("embed", "1", "mine")
    assert set(told["parameters"]) == {
        "inferox_artifact", "inferox_parity", "inferox_embedding_space", "inferox_cut_inputs",
    }  # fmt: skip


def test_texts_may_have_an_axis_of_their_own(client: TritonClient) -> None:
    flat = client.call("infer", model_name="embed", inputs=[of_texts("text", TEXTS)])
    (item,) = [of_texts("text", TEXTS)]
    item["data"] = [[text] for text in item["data"]]
    assert client.call("infer", model_name="embed", inputs=[item])["outputs"] == flat["outputs"]


def test_labels_and_scores(client: TritonClient, task_models: Models) -> None:
    answer = client.call("infer", model_name="classify", inputs=[of_texts("text", TEXTS)])
    expected = task_models("classify").classify(TEXTS)
    assert answer["outputs"]["label"] == [[item.label for item in row] for row in expected]
    np.testing.assert_allclose(array_of(answer, "score"), [[item.score for item in row] for row in expected], atol=1e-6)
    pairs = [of_texts("text", TEXTS), of_texts("text_pair", TEXTS[::-1])]
    answer = client.call("infer", model_name="classify", inputs=pairs)
    expected = task_models("classify").classify(list(zip(TEXTS, TEXTS[::-1], strict=True)))
    np.testing.assert_allclose(array_of(answer, "score"), [[item.score for item in row] for row in expected], atol=1e-6)


def test_scores_of_pairs(client: TritonClient, task_models: Models) -> None:
    inputs = [of_texts("query", ["a cat"] * 3), of_texts("text", TEXTS)]
    answer = client.call("infer", model_name="rerank", inputs=inputs)
    expected = task_models("rerank").run([("a cat", text) for text in TEXTS])
    np.testing.assert_allclose(array_of(answer, "score"), expected, atol=1e-6)


def test_spans(client: TritonClient, task_models: Models) -> None:
    answer = client.call("infer", model_name="token-classify", inputs=[of_texts("text", TEXTS)])
    expected = task_models("token-classify").run(TEXTS)
    found = [json.loads(text.encode("latin-1")) for text in answer["outputs"]["spans"]]
    assert [[span["text"] for span in row] for row in found] == [[span.text for span in row] for row in expected]


def test_images(client: TritonClient, task_models: Models) -> None:
    content = encoded(np.random.default_rng(0).integers(0, 256, (20, 24, 3), np.uint8))
    item = {"name": "image", "datatype": "BYTES", "data": [content.decode("latin-1")]}
    answer = client.call("infer", model_name="image-classify", inputs=[item])
    (expected,) = task_models("image-classify").run([content])
    np.testing.assert_allclose(array_of(answer, "score"), [[label.score for label in expected]], atol=1e-6)


def test_tensors_as_they_are(client: TritonClient, task_models: Models) -> None:
    image = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)
    item = {"name": "image", "datatype": "FP32", "data": image.tolist()}
    answer = client.call("infer", model_name="raw", inputs=[item])
    (expected,) = task_models("raw").run([{"image": image}])
    assert set(answer["outputs"]) == set(expected)
    for name, array in expected.items():
        np.testing.assert_allclose(array_of(answer, name), array, rtol=1e-6, atol=1e-6)


def test_bf16_both_ways(client: TritonClient, task_models: Models) -> None:
    image = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(ml_dtypes.bfloat16).astype(np.float32)
    item = {"name": "image", "datatype": "BF16", "data": image.tolist()}
    answer = client.call("infer", model_name="raw", inputs=[item], parameters={"output_datatype": "BF16"})
    (expected,) = task_models("raw").run([{"image": image}])
    for name, array in expected.items():
        assert answer["dtypes"][name] == "bfloat16"
        rounded = np.array(answer["outputs"][name], np.float32)
        assert np.array_equal(rounded, rounded.astype(ml_dtypes.bfloat16).astype(np.float32))
        np.testing.assert_allclose(rounded, array, rtol=2**-8, atol=1e-6)
    # Inputs that take no FP32 take no BF16 either.
    with pytest.raises(TritonError, match="must be BYTES, but is BF16"):
        client.call("infer", model_name="embed", inputs=[{"name": "text", "datatype": "BF16", "data": [1.0]}])
    with pytest.raises(TritonError, match="must be FP32 or BF16, but is 'INT8'"):
        client.call("infer", model_name="raw", inputs=[item], parameters={"output_datatype": "INT8"})


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"model_name": "other", "inputs": [of_texts("text", ["a"])]}, "there is no model 'other'"),
        (
            {"model_name": "embed", "model_version": "7", "inputs": [of_texts("text", ["a"])]},
            "no version '7' of 'embed'",
        ),
        ({"model_name": "embed", "inputs": [of_texts("words", ["a"])]}, "missing text; unknown words"),
        (
            {"model_name": "embed", "inputs": [{"name": "text", "datatype": "BYTES", "data": ["\xff"]}]},
            "element 0 of input 'text' is not UTF-8",
        ),
        ({"model_name": "embed", "inputs": [of_texts("text", ["a"])] * 2}, "two inputs named"),
        ({"model_name": "embed", "inputs": [of_texts("text", ["word " * 2000])]}, "has 2002 tokens"),
        ({"model_name": "embed", "inputs": [{"name": "text", "datatype": "INT8", "data": [1]}]}, "must be BYTES"),
        (
            {"model_name": "raw", "inputs": [{"name": "image", "datatype": "FP32", "data": [[1.0]]}]},
            "must have the shape [-1, 3, 8, 8], but has [1, 1]",
        ),
        ({"model_name": "embed", "inputs": [of_texts("text", ["a"])], "outputs": [{"name": "x"}]}, "no output 'x'"),
        ({"model_name": "embed", "inputs": [of_texts("text", ["a"])], "sequence_id": 3}, "a sequence of requests"),
        ({"model_name": "embed", "inputs": [of_texts("text", ["a"])], "priority": 10}, "priority must be"),
        (
            {"model_name": "rerank", "inputs": [of_texts("text", ["a"]), of_texts("query", ["a", "b"])]},
            "all inputs must have the same number of rows",
        ),
    ],
)
def test_errors_are_reported(client: TritonClient, arguments: dict[str, Any], what: str) -> None:
    with pytest.raises(TritonError) as caught:
        client.call("infer", **arguments)
    assert what in caught.value.message
