"""Streams of texts to vectors: what errors and warnings say about texts beyond the first window."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import inferox
from inferox.core import (
    BackendUnavailableError,
    ConfigError,
    InferoxError,
    InputTooLongError,
    RequestError,
    TruncationWarning,
)
from inferox.engine import Engine
from inferox.loading import TaskModel

LONG = "word " * 2000


@pytest.fixture(scope="module")
def package(packages: dict[str, Path]) -> Path:
    return packages["embed"]


@pytest.fixture(scope="module")
def model(package: Path) -> Iterator[TaskModel]:
    with inferox.load(package) as model:
        yield model


@pytest.fixture(scope="module")
def streams(package: Path, model: TaskModel) -> Iterator[dict[str, Callable[..., Iterator[Any]]]]:
    """The streams that there are, with three texts in each part."""
    with Engine() as engine:
        engine.load(package, name="model")
        yield {
            "model": lambda texts, **options: model.embed_iter(texts, window=3, **options),
            "engine": lambda texts, **options: engine.stream("model", texts, chunk=3, **options),
        }


@pytest.fixture(params=["model", "engine"])
def stream(request: pytest.FixtureRequest, streams: dict[str, Any]) -> Callable[..., Iterator[Any]]:
    found: Callable[..., Iterator[Any]] = streams[request.param]
    return found


@pytest.mark.parametrize(
    ("text", "options", "kind"),
    [(None, {}, RequestError), ("\ud800", {}, RequestError), (LONG, {"truncate": "error"}, InputTooLongError)],
)
@pytest.mark.parametrize("index", [0, 2, 3, 7])
def test_an_error_names_the_text_of_the_whole_stream(
    stream: Callable[..., Iterator[Any]], text: Any, options: dict[str, Any], kind: type[InferoxError], index: int
) -> None:
    with pytest.raises(kind, match=f"^text {index} ") as caught:
        list(stream(["w"] * index + [text, "w"], **options))
    assert caught.value.item == index


def warned(stream: Callable[[], Iterator[Any]], take: int = 100) -> list[tuple[int, int, str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for index, _ in enumerate(stream(), 1):
            if index == take:
                break
    assert {each.category for each in caught} <= {TruncationWarning}
    return [(each.message.cut, each.message.total, each.filename) for each in caught]  # type: ignore[union-attr]


def test_a_stream_warns_once_of_all_texts_that_were_cut(stream: Callable[..., Iterator[Any]]) -> None:
    texts = [LONG, "w", "w", LONG, LONG, "w", "w"]
    assert warned(lambda: stream(texts)) == [(3, 7, __file__)]
    assert warned(lambda: stream(texts, truncate="cut")) == []
    assert warned(lambda: stream(["w"] * 7)) == []


def test_a_stream_that_is_left_warns_of_what_was_computed(stream: Callable[..., Iterator[Any]]) -> None:
    texts = [LONG, "w", "w", LONG, "w", "w", LONG]
    assert warned(lambda: stream(texts), take=4) == [(2, 6, __file__)]


def test_a_stream_that_fails_does_not_warn_as_well(stream: Callable[..., Iterator[Any]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RequestError, match="text 4 must be a string"):
            list(stream([LONG, "w", "w", "w", None]))


def test_several_requests_of_one_call_have_one_warning(package: Path) -> None:
    with Engine() as engine:
        engine.load(package, name="model")
        with pytest.warns(TruncationWarning, match="2 of 4 texts") as caught:
            engine.infer_many("model", [[LONG, "w"], [LONG], ["w"]])
    assert [each.message.total for each in caught] == [4]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"truncate_dim": 999}, RequestError),
        ({"truncate_dim": 0}, ConfigError),
        ({"truncate_dim": True}, ConfigError),
        ({"dtype": "double"}, ConfigError),
        ({"dtype": ["float32"]}, ConfigError),
        ({"dtype": np.array(["float32", "int8"])}, ConfigError),
        ({"normalize": "yes"}, ConfigError),
        ({"output": "list"}, ConfigError),
        ({"output": np.array(["numpy", "torch"])}, ConfigError),
        ({"truncate": "nope"}, ConfigError),
        ({"truncate": np.array(["cut", "warn"])}, ConfigError),
        ({"batch_tokens": 0}, ConfigError),
        ({"batch_tokens": "many"}, ConfigError),
        ({"prompt": "nope"}, RequestError),
        ({"prompt": 5}, RequestError),
    ],
)
def test_options_are_refused_before_a_text_is_read(
    model: TaskModel, options: dict[str, Any], kind: type[InferoxError]
) -> None:
    texts = iter(["w"])

    with pytest.raises(kind, match=next(iter(options))):
        model.embed(texts, **options)
    with pytest.raises(kind, match=next(iter(options))):
        model.embed_iter(texts, **options)
    assert list(texts) == ["w"]


@pytest.mark.parametrize("window", [0, -1, 1.5, "3", None, True])
def test_a_window_is_a_positive_integer(model: TaskModel, window: Any) -> None:
    with pytest.raises(ConfigError, match="window must be a positive integer"):
        model.embed_iter(["w"], window=window)


@pytest.mark.parametrize("method", ["embed", "embed_iter"])
def test_without_pytorch_its_tensors_are_refused_before_a_text_is_read(
    model: TaskModel, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferox.core.torch_tensor.find_spec", lambda _: None)
    with pytest.raises(BackendUnavailableError, match="PyTorch is not installed"):
        getattr(model, method)(iter(()), output="torch")


@pytest.mark.parametrize("hold", [pa.array, lambda texts: pa.chunked_array([texts[:1], texts[1:]]), np.array, iter])
def test_a_stream_reads_columns_of_other_libraries(stream: Callable[..., Iterator[Any]], hold: Any) -> None:
    texts = ["one", "two words", "three", "four"]
    np.testing.assert_array_equal(list(stream(hold(texts))), list(stream(texts)))


@pytest.mark.parametrize("items", ["a text", b"a text", 5, None, {"a"}, {"text": "a"}, pa.table({"text": ["a"]})])
def test_what_is_not_several_texts_is_no_stream(stream: Callable[..., Iterator[Any]], items: Any) -> None:
    with pytest.raises(RequestError, match=r"^expected "):
        stream(items)
