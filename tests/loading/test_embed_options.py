"""The options of a loaded model that embeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inferox
from inferox.core import ConfigError, InputTooLongError, RequestError, TruncationWarning
from inferox.loading import TaskModel
from tests.packing.test_kinds import TEXTS


@pytest.fixture(scope="module")
def model(packages: dict[str, Path]) -> Iterator[TaskModel]:
    with inferox.load(packages["embed"]) as model:
        yield model


def test_a_single_text_has_one_vector(model: TaskModel) -> None:
    vector = model.embed(TEXTS[0])

    assert vector.shape == (16,)
    np.testing.assert_array_equal(vector, model.embed([TEXTS[0]])[0])


@pytest.mark.parametrize("options", [{}, {"dtype": "int8"}, {"truncate_dim": 8, "normalize": True}])
def test_a_stream_of_texts_has_the_vectors_of_a_list(model: TaskModel, options: dict[str, Any]) -> None:
    read: list[str] = []

    def texts() -> Iterator[str]:
        for text in TEXTS:
            read.append(text)
            yield text

    stream = model.embed_iter(texts(), window=2, **options)
    first = next(stream)

    assert len(read) == 2
    np.testing.assert_allclose(np.stack([first, *stream]), model.embed(iter(TEXTS), **options), atol=1e-6)


def test_the_size_of_batches_changes_no_vector(model: TaskModel) -> None:
    np.testing.assert_allclose(model.embed(TEXTS, batch_tokens=1), model.embed(TEXTS), atol=1e-6)


def test_progress_is_a_line_where_there_is_no_terminal(model: TaskModel, capfd: pytest.CaptureFixture[str]) -> None:
    model.embed(TEXTS, show_progress=True)

    shown = capfd.readouterr()
    assert f"{len(TEXTS)} of {len(TEXTS)} texts, " in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("options", [{}, {"return_truncated": True}])
def test_a_stream_counts_its_texts_over_all_windows(
    model: TaskModel, capfd: pytest.CaptureFixture[str], options: dict[str, Any]
) -> None:
    assert len(list(model.embed_iter(TEXTS, window=2, show_progress=True, **options))) == len(TEXTS)

    (line,) = capfd.readouterr().err.splitlines()
    assert f" s, 100%: {len(TEXTS)} texts, " in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_tokens": 0}, "batch_tokens must be a positive integer, but is 0"),
        ({"dtype": "double"}, "dtype must be one of float32"),
    ],
)
def test_unknown_options_are_refused(model: TaskModel, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model.embed(TEXTS, **options)


def test_a_stream_of_a_single_text_is_refused(model: TaskModel) -> None:
    with pytest.raises(RequestError, match="expected several texts, but got a single one"):
        next(model.embed_iter("a text"))
    with pytest.raises(ConfigError, match="window must be a positive integer, but is 0"):
        next(model.embed_iter(TEXTS, window=0))


def test_cut_texts_are_reported(model: TaskModel) -> None:
    texts = ["short", "word " * 2000, "short", "word " * 1000]
    with pytest.warns(TruncationWarning, match="2 of 4 texts are longer") as caught:
        vectors, truncated = model.embed(texts, return_truncated=True)
    (warning,) = caught
    assert (warning.message.cut, warning.message.total, warning.filename) == (2, 4, __file__)  # type: ignore[union-attr]
    assert (truncated.dtype, truncated.tolist()) == (np.bool_, [False, True, False, True])
    np.testing.assert_array_equal(vectors, model.embed(texts, truncate="cut"))

    single, cut = model.embed(texts[1], truncate="cut", return_truncated=True)
    np.testing.assert_allclose(single, vectors[1], atol=1e-6)
    assert cut is True

    pairs = list(model.embed_iter(texts, window=3, truncate="cut", return_truncated=True))
    np.testing.assert_allclose(np.stack([vector for vector, _ in pairs]), vectors, atol=1e-6)
    assert [bool(cut) for _, cut in pairs] == truncated.tolist()

    with pytest.raises(InputTooLongError, match="text 1 has"):
        model.embed(texts, truncate="error", return_truncated=True)
    empty, none = model.embed([], return_truncated=True)
    assert (len(empty), none.shape) == (0, (0,))
