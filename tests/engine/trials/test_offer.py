"""Artifacts that a request chooses by name."""

from __future__ import annotations

import asyncio

import pytest

from inferox import Engine
from inferox.core import ConfigError, ExecutionError, RequestError
from inferox.engine import Offer
from inferox.parity import ParityClass
from tests.engine.models import double
from tests.engine.packages import Shelf
from tests.engine.trials.test_canary import ALL, format_of, load
from tests.engine.trials.test_canary import loading as loading  # noqa: PLC0414 - a fixture

OFFERS = (Offer(backend="onnxruntime"), Offer(backend="openvino"), Offer(backend="doubling"))


def ask(engine: Engine, artifact: str | None) -> str:
    answer = engine.infer("model", [[1, 2]], artifact=artifact)
    assert answer.results == double([[1, 2]])
    assert (answer.model, answer.version) == ("model", "1")
    return format_of(answer)


def test_each_is_computed_by_the_artifact_that_it_chooses(loading: Engine, shelf: Shelf) -> None:
    load(loading, offers=OFFERS)
    wanted = {None: "a", "onnxruntime": "b", "openvino": "q", "doubling": "a", "onnxruntime/b/fp32/padded": "b"}
    assert {name: ask(loading, name) for name in wanted} == wanted
    (info,) = loading.models()
    assert info.offered == {
        "onnxruntime": "onnxruntime/b/fp32/padded",
        "openvino": "openvino/q/fp32/padded",
        "doubling": "doubling/a/fp32/padded",
    }
    spaces = {loading.infer("model", [[1]], artifact=name).embedding_space for name in (None, "openvino")}
    assert len(spaces) == 2
    assert loading.stats("model").rows == 7  # whichever artifact computed them
    assert sum(loading.stats("model").batch_rows.counts) == 7
    loading.unload("model")
    assert all(shelf.backend.find(name).is_closed for name in "abq")


def test_what_serves_has_a_name_too_and_no_canary_answers_for_it(loading: Engine) -> None:
    load(loading, offers=[Offer(backend="openvino")], canary=ALL)
    assert ask(loading, None) == "b"
    (info,) = loading.models()
    assert ask(loading, info.artifact) == "a"
    assert ask(loading, "openvino") == "q"


def test_what_is_not_offered_is_refused(loading: Engine) -> None:
    load(loading, offers=[Offer(backend="openvino")])
    with pytest.raises(RequestError, match="'model' offers no artifact 'onnxruntime'") as caught:
        ask(loading, "onnxruntime")
    assert caught.value.hint is not None
    assert "it offers openvino" in caught.value.hint
    loading.unload("model")
    load(loading)
    with pytest.raises(RequestError, match="offers no artifacts to choose from"):
        ask(loading, "openvino")
    with pytest.raises(ConfigError, match="offers must be a list of Offer"):
        load(loading, offers=[ALL])


def test_nothing_takes_over_for_it(loading: Engine, shelf: Shelf) -> None:
    shelf.put("two", {"a": ParityClass.EXACT, "b": ParityClass.EXACT})
    loading.load("two", name="model", offers=[Offer(backend="doubling")])
    assert ask(loading, "doubling") == "a"
    shelf.backend.broken["a"] = "raises"
    assert ask(loading, None) == "b"  # which takes over for requests that choose none
    with pytest.raises(
        ExecutionError, match="doubling/a/fp32/padded of 'model' has failed, and doubling/b/fp32/padded"
    ):
        ask(loading, "doubling")


def test_coroutines_ask_and_go(loading: Engine, shelf: Shelf) -> None:
    load(loading, offers=[Offer(backend="onnxruntime")])

    async def test() -> None:
        answer = await loading.ainfer("model", [[1]], artifact="onnxruntime")
        assert format_of(answer) == "b"
        model = shelf.backend.find("b")
        model.may_go.clear()
        model.has_begun.clear()
        held = asyncio.create_task(loading.ainfer("model", [[2]], artifact="onnxruntime"))
        await asyncio.to_thread(model.has_begun.wait)
        gone = asyncio.create_task(loading.ainfer("model", [[3]], artifact="onnxruntime"))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        model.may_go.set()
        assert (await held).results == double([[2]])
        assert [[3]] not in model.batches

    asyncio.run(test())
