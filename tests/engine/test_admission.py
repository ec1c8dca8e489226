"""Requests that are refused before they are computed, and the measures for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from inferox import Engine, EngineConfig
from inferox.core import (
    BATCH,
    Batch,
    ConfigError,
    DataType,
    InferoxError,
    OverloadedError,
    RequestError,
    Signature,
    TensorSpec,
    UnknownInputError,
    stack_rows,
)
from inferox.engine.encoding import Encoding
from inferox.loading import TaskModel
from inferox.tasks import RawTask
from tests.engine.models import SIGNATURE, DoublingModel, SumTask, load_doubling
from tests.engine.thread_limit import no_more_threads

ASK: dict[str, Callable[..., Any]] = {
    "thread": lambda engine, items, **options: engine.infer("doubling", items, **options),
    "coroutine": lambda engine, items, **options: asyncio.run(engine.ainfer("doubling", items, **options)),
}


class NamingTask(SumTask):
    """Refuses "!", and says where it is."""

    def encode(self, items: Sequence[Sequence[int] | str]) -> Batch:
        for index, item in enumerate(items):
            if "!" in item:
                raise RequestError(f"text {index} is loud").naming_item(index, "text {}")
        return super().encode(items)


def call(*numbers: int) -> dict[str, list[list[int]]]:
    return {"input_ids": [list(numbers)], "attention_mask": [[1] * len(numbers)]}


@pytest.fixture
def engine(model: DoublingModel) -> Iterator[Engine]:
    with Engine(EngineConfig(max_waiting_tokens=8)) as engine:
        yield engine
        model.may_go.set()


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_no_rows_are_made_of_a_request_that_has_no_room_whatever_they_are(
    engine: Engine, model: DoublingModel, ask: Callable[..., Any]
) -> None:
    task = SumTask()
    engine.register(load_doubling(model, task))
    model.may_go.clear()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(engine.infer, "doubling", [[1]])]
        assert model.has_begun.wait(10)
        asked.append(pool.submit(asyncio.run, engine.ainfer("doubling", [[1, 1]])))
        while not engine.stats("doubling").waiting_rows:
            pass
        for count, made in ((7, 0), (6, 1)):  # six rows may fit, but have two tokens each
            before = len(task.encoded)
            with pytest.raises(OverloadedError, match="more would exceed the limit of 8"):
                ask(engine, [[1, 1]] * count)
            assert len(task.encoded) == before + made
        model.may_go.set()
        assert [future.result(10).results for future in asked] == [[2], [4]]


@pytest.mark.parametrize("item", [[1, 2], "a" * 20_000, call(1)], ids=["numbers", "long text", "call"])
def test_coroutines_are_answered_where_no_thread_can_be_started(engine: Engine, item: Any) -> None:
    engine.register(load_doubling(task=RawTask({}, SIGNATURE) if isinstance(item, dict) else SumTask()))

    async def ask_without_threads() -> Any:
        with no_more_threads():
            return (await engine.ainfer("doubling", [item])).results

    expected = engine.infer("doubling", [item], deadline_s=20.0).results  # which starts the threads of the model
    assert str(asyncio.run(ask_without_threads())) == str(expected)


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_a_call_that_does_not_fit_is_refused_while_another_is_computed(
    engine: Engine, model: DoublingModel, ask: Callable[..., Any]
) -> None:
    engine.register(TaskModel(model, RawTask({}, SIGNATURE), rejected={}))
    model.may_go.clear()
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(engine.infer, "doubling", [call(1)])
        assert model.has_begun.wait(10)
        with pytest.raises(UnknownInputError, match=r"^item 1: ") as caught:
            ask(engine, [call(1), {"input_ids": [[1]]}])
        assert caught.value.item == 1
        with pytest.raises(ConfigError, match="truncate must be one of error, warn, cut, but is 'nonsense'"):
            ask(engine, [call(1)], truncate="nonsense")
        with pytest.raises(RequestError, match="the task raw has no prompts, but 'query' was requested"):
            ask(engine, [call(1)], prompt="query")
        model.may_go.set()
        assert waits.result(10).results[0]["doubled"].tolist() == [[2]]
    assert len(model.batches) == 1


def test_a_prompt_that_is_not_a_name_is_refused(engine: Engine) -> None:
    engine.register(load_doubling())
    with pytest.raises(RequestError, match=r"a prompt must be given by its name, but is \['query'\]"):
        engine.infer("doubling", [[1]], prompt=["query"])  # type: ignore[arg-type]


def test_the_item_that_is_refused_is_counted_from_the_first_of_its_request_and_of_a_stream(engine: Engine) -> None:
    engine.register(load_doubling(task=NamingTask()))

    async def ask_all() -> list[Any]:
        asked = (engine.ainfer("doubling", items) for items in (["a", "b"], ["c", "d!"]))
        return await asyncio.gather(*asked, return_exceptions=True)

    _, refused = asyncio.run(ask_all())
    assert isinstance(refused, InferoxError)
    assert (refused.item, str(refused)) == (1, "text 1 is loud")
    with pytest.raises(RequestError, match=r"^text 11 is loud$") as caught:
        list(engine.stream("doubling", [*"abcdefghijk", "l!", "m"], chunk=3))
    assert caught.value.item == 11


def test_rows_without_tokens_count_by_the_numbers_that_they_have() -> None:
    class PixelTask(SumTask):
        def encode(self, items: Sequence[Any]) -> Batch:
            return Batch.of_rows({"pixels": stack_rows([np.asarray(item, np.float32) for item in items])})

    signature = Signature((TensorSpec("pixels", DataType.F32, (BATCH, 3, "height", "width")),), ())
    encoding = Encoding.of(PixelTask(), [np.zeros((3, edge, edge)) for edge in (224, 16, 17, 1)], signature)
    assert list(encoding.lengths) == [196, 1, 2, 1]
    alike = Encoding.of(PixelTask(), [np.zeros((3, 32, 32))] * 3, signature)
    assert list(alike.lengths) == [4, 4, 4]
    calls = Encoding.of_calls(RawTask({}, SIGNATURE), [call(1), call(*range(9))])
    assert list(calls.lengths) == [1, 9]


def test_images_fill_batches_by_their_size() -> None:
    """Of 1,024 places, an image of 224 by 224 pixels takes 196."""
    requests = [np.zeros((1, 3, 224, 224), np.float32)] * 12
    shapes: list[int] = []

    class PixelModel(DoublingModel):
        def _compute(self, inputs: Any) -> Any:
            shapes.append(len(inputs["pixels"]))
            return {"sums": inputs["pixels"].sum((1, 2, 3))[:, None]}

    class PixelTask(SumTask):
        max_rows = 16

        def encode(self, items: Sequence[Any]) -> Batch:
            return Batch.of_rows({"pixels": np.concatenate(items)})

        def decode(self, items: Sequence[Any], batch: Batch, outputs: Any) -> list[int]:  # noqa: ARG002
            return [int(total) for total in outputs.of_rows("sums")[:, 0]]

    pixels = PixelModel()
    pixels.signature = pixels.layout_signature = Signature(
        (TensorSpec("pixels", DataType.F32, (BATCH, 3, "height", "width")),),
        (TensorSpec("sums", DataType.F32, (BATCH, 1)),),
    )
    pixels._has_only_token_inputs = False
    with Engine() as engine:
        engine.register(load_doubling(pixels, PixelTask()))
        assert engine.infer("doubling", requests).results == [0] * 12
        assert engine.stats("doubling").tokens == 12 * 196
    assert sum(shapes) == 12
    assert max(shapes) == 5
