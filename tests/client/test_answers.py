"""Answers that violate the protocol in any way: they only cause errors of Inferox."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox import AsyncClient
from inferox.core import InferoxError, ResponseError
from tests.client.scripted import HANG_UP, Reply, Scripted, raw, scripted
from tests.client.test_sending import run

Ask = Callable[[AsyncClient], Awaitable[Any]]

CALLS: dict[str, Ask] = {
    "embed": lambda client: client.embed(["a", "b"]),
    "embed nothing": lambda client: client.embed([]),
    "classify": lambda client: client.classify(["a", "b"]),
    "token_classify": lambda client: client.token_classify(["a", "b"]),
    "score": lambda client: client.score([("a", "b"), ("c", "d")]),
    "rerank": lambda client: client.rerank("a", ["b", "c"]),
    "classify_images": lambda client: client.classify_images([b"a", b"b"]),
    "infer": lambda client: client.infer("model", {"x": [1.0]}),
    "models": lambda client: client.models(),
    "describe": lambda client: client.describe("model"),
}


def tensors(*outputs: tuple[str, str, list[Any], bytes], **more: Any) -> Reply:
    """An answer of named outputs, each with its data type, its shape and its bytes."""
    described = [
        {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}
        for name, datatype, shape, data in outputs
    ]
    head = json.dumps({"model_name": "model", "outputs": described, **more}).encode()
    return (
        200,
        {"inference-header-content-length": str(len(head))},
        head + b"".join(data for _, _, _, data in outputs),
    )


def texts(*elements: bytes) -> bytes:
    return b"".join(len(element).to_bytes(4, "little") + element for element in elements)


def to_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def floats(*numbers: float, kind: str = "<f4") -> bytes:
    return np.array(numbers, kind).tobytes()


LABELS = ("label", "BYTES", [2, 1], texts(b"x", b"y"))
SCORES = ("score", "FP32", [2, 1], floats(1, 2))
DESCRIBED = {
    "name": "model",
    "versions": ["1"],
    "platform": "p",
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
    "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 2]}],
    "parameters": {"task": {"string_value": "embed"}, "prompts": {"string_value": '{"query": "q: "}'}},
}
SPAN = {"label": "x", "score": 0.5, "start": 0, "end": 1, "text": "a"}


def spans(value: Any) -> Reply:
    """An answer whose second text has other JSON instead of its spans."""
    return tensors(("spans", "BYTES", [2], texts(b"[]", json.dumps(value).encode())))


@pytest.mark.parametrize(
    ("call", "answer", "what"),
    [
        ("embed", tensors(("embedding", "FP32", [2], floats(1, 2))), "must have 2 axes, but has 1"),
        ("embed", tensors(("embedding", "FP32", [2, 1, 1], floats(1, 2))), "must have 2 axes, but has 3"),
        ("embed", tensors(("embedding", "FP32", [1, 2], floats(1, 2))), "answered 1 row to 2"),
        ("embed", tensors(("embedding", "FP64", [2, 1], floats(1, 2, kind="<f8"))), "must be of float32"),
        ("embed", tensors(("embedding", "BYTES", [2, 1], texts(b"a", b"b"))), "must be of float32"),
        ("embed", tensors(("embedding", "FP32", [2, 2], floats(1, 2, 3, float("nan")))), "item 1 .* not finite"),
        ("embed", tensors(("embedding", "FP32", [2, -1], floats(1, 2))), r"the shape \[2, -1\]"),
        ("embed", tensors(("embedding", "FP32", [2, True], floats(1, 2))), r"the shape \[2, True\]"),
        ("embed", tensors(("embedding", "FP32", [2, "1"], floats(1, 2))), r"the shape \[2, '1'\]"),
        ("embed", tensors(("embedding", "FP32", [2, 1], floats(1, 2, 3))), "cannot reshape"),
        ("embed", tensors(("embedding", "FP5", [2, 1], floats(1, 2))), "data type 'FP5'"),
        ("embed", tensors(("other", "FP32", [2, 1], floats(1, 2))), "lacks the output 'embedding'"),
        ("embed", tensors(*[("embedding", "FP32", [2, 1], floats(1, 2))] * 2), "occurs twice"),
        ("embed", tensors(("embedding", "FP32", [2, 1], floats(1, 2)), model_name=None), "lacks 'model_name'"),
        ("embed", tensors(("embedding", "FP32", [2, 1], floats(1, 2)), parameters=[]), "'parameters' of"),
        (
            "embed",
            tensors(("embedding", "FP32", [2, 1], floats(1, 2)), parameters={"inferox_embedding_space": {}}),
            "'inferox_embedding_space' of",
        ),
        (
            "embed",
            tensors(("embedding", "FP32", [2, 1], floats(1, 2)), parameters={"inferox_cut_inputs": "2"}),
            "'inferox_cut_inputs' of",
        ),
        (
            "embed",
            tensors(("embedding", "FP32", [2, 1], floats(1, 2)), parameters={"inferox_cut_inputs": 3}),
            "cut 3 texts of 2",
        ),
        ("classify", tensors(LABELS, ("score", "FP32", [2, 2], floats(1, 2, 3, 4))), "must have the same shape"),
        ("classify", tensors(("label", "BYTES", [2, 1], texts(b"x", b"\xff")), SCORES), "labels cannot be read"),
        ("classify", tensors(("label", "INT8", [2, 1], b"ab"), SCORES), "label must be of object"),
        ("classify", tensors(("label", "BYTES", [2, 1], texts(b"x", b"y") + b"z"), SCORES), "more bytes than"),
        ("classify", tensors(LABELS, ("score", "FP32", [2, 1], floats(1, float("inf")))), "item 1 .* not finite"),
        ("score", tensors(SCORES), "must have 1 axis, but has 2"),
        ("rerank", tensors(("score", "INT32", [2], floats(1, 2))), "must be of float32, but is of int32"),
        ("token_classify", spans({}), "expected a list of spans"),
        ("token_classify", spans([7]), "a span must be a JSON object"),
        ("token_classify", spans([{**SPAN, "label": 5}]), "'label' of a span"),
        ("token_classify", spans([{**SPAN, "score": "high"}]), "'score' of a span"),
        ("token_classify", spans([{**SPAN, "start": -1}]), "'start' of a span"),
        ("token_classify", spans([{**SPAN, "end": True}]), "'end' of a span"),
        ("infer", tensors(("x", "BOOL", [2], b"\x01\x02")), "other than 0 and 1"),
        ("infer", (200, {}, b"\xff\xfe"), "UTF-8"),
        ("infer", (200, {"inference-header-content-length": "-2"}, b"{} "), "there are 3 bytes"),
        ("models", (200, {}, b"\xff"), "UTF-8"),
        ("models", (200, {}, b"{}"), "the list of models"),
        ("models", (200, {}, b'[{"name": 5, "state": "READY"}]'), "'name' of a model"),
        ("describe", (200, {}, b'{"name": "m", "inputs": [5], "outputs": []}'), "a tensor must be a JSON object"),
        (
            "describe",
            (200, {}, b'{"name": "m", "inputs": [{"name": "a", "datatype": "FP32", "shape": [1.5]}], "outputs": []}'),
            r"the shape \[1\.5\]",
        ),
        ("describe", (200, {"content-encoding": "gzip"}, b"no gzip"), "cannot be read"),
        ("describe", (200, {"content-encoding": "gzip"}, gzip.compress(b"[]")), "the metadata must be a JSON object"),
    ],
)
def test_an_answer_of_another_form_is_refused(call: str, answer: Reply, what: str) -> None:
    async def test(client: AsyncClient, _server: Any) -> None:
        with pytest.raises(ResponseError, match=what):
            await CALLS[call](client)

    run([answer], test)


def test_vectors_of_two_lengths_do_not_become_one_array() -> None:
    answers = [
        tensors(("embedding", "FP32", [1, width], floats(*range(width))), parameters={"inferox_embedding_space": "s"})
        for width in (2, 3)
    ]

    async def test(client: AsyncClient, _server: Any) -> None:
        with pytest.raises(ResponseError, match="must have one length, but have 2 and 3 numbers"):
            await client.embed(["a", "b"])

    run(answers, test, request_rows=1, concurrency=1)


def test_results_do_not_say_what_a_server_does_not_say() -> None:
    scores = ("score", "FP32", [3], floats(0.5, 0.75, 0.25))

    async def test(client: AsyncClient, _server: Any) -> None:
        ranked = await client.rerank("q", ["a", "b", "c"], truncate="cut")
        assert [(each.index, each.truncated) for each in ranked] == [(1, None), (0, None), (2, None)]

    run([tensors(scores, parameters={"inferox_cut_inputs": 1})], test)


def test_the_length_of_no_vectors_may_be_unknown() -> None:
    output = {"name": "embedding", "datatype": "FP32", "shape": []}
    described = {"name": "m", "inputs": [], "outputs": [output]}

    async def test(client: AsyncClient, _server: Any) -> None:
        assert (await client.embed([])).shape == (0, 0)

    run([(200, {}, json.dumps(described).encode())], test)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
FACTS = st.dictionaries(
    st.sampled_from(["message", "hint", "item", "item_label", "subject", "dtype", "at_item", "length", "args"])
    | st.sampled_from(["retry_after_s", "__class__", "naming_item", "with_traceback"]),
    JSON | st.sampled_from(["text {}", 1, {"dtype": "no such type"}, {"dtype": []}]),
    max_size=6,
)
KINDS = ["InputTooLongError", "OverloadedError", "DTypeMismatchError", "RequestError", "first_line", "Exception"]
TOLD = st.builds(lambda kind, facts: {"inferox": {"kind": kind, "facts": facts}}, st.sampled_from(KINDS), FACTS)
FAILURES: st.SearchStrategy[Reply] = st.tuples(
    st.sampled_from([301, 400, 404, 413, 429, 500, 502, 503, 504, 599, 999]), st.just({}), TOLD.map(to_bytes)
)

HEADERS = st.dictionaries(
    st.sampled_from(["inference-header-content-length", "content-encoding", "content-type", "retry-after"])
    | st.sampled_from(["x-request-id", "transfer-encoding", "location"]),
    st.sampled_from(["gzip", "deflate", "chunked", "7", "-1", "1e99", "\xe9", "text/html; charset=utf-7", "0" * 30]),
    max_size=2,
)
BODIES = (
    st.binary(max_size=60)
    | st.text(max_size=30).map(lambda text: text.encode("utf-16", "surrogatepass"))
    | JSON.map(to_bytes)
    | st.sampled_from([b"[" * 9_000, b'{"a":' * 9_000, b"9" * 9_000, b"<html>", b"1e999", b'"\\ud800"'])
)
BROKEN = [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", b"HTTP/1.1 20", b"HTTP/1.1 \xff\r\n\r\n"]
GARBAGE = st.one_of(
    st.tuples(st.sampled_from([200, 204, 206, 304, 500, 700, 999]), HEADERS, BODIES),
    st.builds(raw, st.binary(max_size=80) | st.sampled_from(BROKEN)),
    st.just(HANG_UP),
)

RIGHT: dict[str, Any] = {
    "embed": [("embedding", "FP32", [2, 1], floats(1, 2))],
    "classify": [LABELS, SCORES],
    "classify_images": [LABELS, SCORES],
    "token_classify": [("spans", "BYTES", [2], texts(b"[]", to_bytes([SPAN])))],
    "score": [("score", "FP32", [2], floats(1, 2))],
    "rerank": [("score", "FP32", [2], floats(1, 2))],
    "infer": [("y", "BOOL", [2], b"\0\1")],
    "embed nothing": DESCRIBED,
    "describe": DESCRIBED,
    "models": [{"name": "model", "version": "1", "state": "READY", "reason": ""}],
}
"""A correct answer to each call: outputs, or JSON."""


@st.composite
def nearly_right(draw: st.DrawFn, call: str) -> Reply:
    """A correct answer to a call, except for a few values or some of its bytes."""
    right = RIGHT[call]
    if call in {"models", "describe", "embed nothing"}:
        return 200, {}, to_bytes(damage(draw, right))
    _, _, body = tensors(*right, model_version="1", parameters={"inferox_artifact": "a", "inferox_cut_inputs": 0})
    head, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))
    data = body[end:]
    if draw(st.booleans()):
        place, noise = draw(st.integers(0, len(data))), draw(st.binary(max_size=4))
        data = data[:place] + noise + data[place + len(noise) :]
    told = to_bytes(damage(draw, head) if draw(st.booleans()) else head)
    return 200, {"inference-header-content-length": str(len(told))}, told + data


def damage(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one part, at any depth, replaced or removed."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value))) if isinstance(value, dict) else draw(st.integers(0, len(value) - 1))
        copied = dict(value) if isinstance(value, dict) else list(value)
        if draw(st.booleans()):
            copied[key] = damage(draw, copied[key])
        else:
            del copied[key]
        return copied
    return draw(JSON)


def attack(replies: Callable[[str], st.SearchStrategy[Reply]]) -> None:
    """Calls a server that gives each call the answer that is drawn for it."""
    calls = st.sampled_from(sorted(CALLS)).flatmap(lambda call: st.tuples(st.just(call), replies(call)))

    # One server and one client for all, as making a client costs more than the test itself.
    async def open_both(stack: AsyncExitStack) -> tuple[Scripted, AsyncClient]:
        server = await stack.enter_async_context(scripted([]))
        client = AsyncClient(server.url, model="model", retries=0, timeout_s=0.5)
        return server, await stack.enter_async_context(client)

    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        server, client = runner.run(open_both(stack))

        @given(calls)
        def check(drawn: tuple[str, Reply]) -> None:
            async def ask() -> None:
                with contextlib.suppress(InferoxError):
                    await CALLS[drawn[0]](client)

            server.script = [drawn[1]]
            server.asked.clear()
            runner.run(ask())

        check()
        runner.run(stack.aclose())


def test_what_is_no_answer_at_all_is_an_error_of_inferox() -> None:
    attack(lambda _call: GARBAGE)


def test_what_is_nearly_an_answer_is_one_or_an_error_of_inferox() -> None:
    attack(nearly_right)


def test_what_is_nearly_an_error_of_a_server_is_an_error_of_inferox() -> None:
    attack(lambda _call: FAILURES)
