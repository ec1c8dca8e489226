"""Errors about items say which item it is, to people and to programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from inferox.core import (
    BATCH,
    Batch,
    ConfigError,
    DataType,
    InferoxError,
    InputTooLongError,
    RequestError,
    Signature,
    TensorSpec,
    check_batch,
    to_cu_seqlens,
)
from inferox.tasks import ImageClassifyTask, RawTask
from inferox.tasks.image_classify import _check_items
from inferox.tasks.texts import MAX_TEXT_CHARACTERS, check_pairs, check_texts, check_texts_or_pairs
from inferox.tasks.truncation import CUT_TOKENS, MORE_CUT, report_truncation

from .models import FunctionModel

SIGNATURE = Signature((TensorSpec("x", DataType.F32, (BATCH, 2)),), (TensorSpec("y", DataType.F32, (BATCH, 2)),))

GOOD = {"x": [[1.0, 2.0]]}


@pytest.mark.parametrize(
    ("check", "items", "message"),
    [
        (check_texts, ["a", "b", 5], "text 2 must be a string, but is of the type int"),
        (check_texts, ["a", "\ud800"], "text 1 has a lone surrogate at character 0: U\\+D800"),
        (check_texts, ["a", "x" * (MAX_TEXT_CHARACTERS + 1)], "text 1 has 10000001 characters"),
        (check_texts_or_pairs, ["a", ("b", None)], "the second text of pair 1 must be a string"),
        (check_texts_or_pairs, ["a", ("b", "c"), None], "text 2 must be a string"),
        (check_pairs, [("a", "b"), "c"], "item 1 must be a pair of texts, but is of the type str"),
        (check_pairs, [("a", "b"), (1, "c")], "the first text of pair 1 must be a string"),
        (_check_items, [b"", "a path"], "image 1 must be the bytes of a file"),
        (RawTask({}, SIGNATURE).read_calls, [GOOD, {"x": [["a"]]}], "input 'x' of call 1 has 'a'"),
        (RawTask({}, SIGNATURE).read_calls, [GOOD, {"z": 1}], "item 1: the model takes the inputs x: missing x"),
        (RawTask({}, SIGNATURE).read_calls, [GOOD, {"x": [1.0]}], "item 1: input 'x' must have the shape"),
    ],
)
def test_the_item_that_is_refused_is_named(check: Callable[[Any], object], items: Sequence[Any], message: str) -> None:
    with pytest.raises(RequestError, match=f"^{message}") as caught:
        check(items)
    assert caught.value.item == len(items) - 1


def test_the_text_that_is_too_long_is_named_among_those_of_its_request() -> None:
    counts = np.array([0, 0, 0, 4])
    batch = Batch({}, {CUT_TOKENS: counts, MORE_CUT: counts > 9}, to_cu_seqlens(np.array([5, 5, 5, 5])))
    with pytest.raises(InputTooLongError, match="text 1 has 9 tokens") as caught:
        report_truncation(batch, "error", rows=range(2, 4))
    assert caught.value.item == 1


def test_the_row_that_does_not_fit_the_model_is_named() -> None:
    spec = TensorSpec("input_ids", DataType.I64, (BATCH, "seq"))
    for lengths, limits, message in (([3, 0, 2], {}, "row 1 must"), ([3, 9, 2], {"seq": 8}, "row 1 has 9 tokens")):
        batch = Batch({"input_ids": np.ones(sum(lengths), np.int64)}, {}, to_cu_seqlens(np.array(lengths)))
        with pytest.raises(RequestError, match=message) as caught:
            check_batch(batch, Signature((spec,), (), limits))
        assert caught.value.item == 1


def test_a_truncation_that_does_not_exist_is_refused_where_nothing_is_ever_cut() -> None:
    pixels = Signature(
        (TensorSpec("x", DataType.F32, (BATCH, 3, 4, 4)),), (TensorSpec("logits", DataType.F32, (BATCH, 1)),)
    )
    options = {"labels": ["a"], "activation": "sigmoid", "image": {"resample": 2, "size": {"height": 4, "width": 4}}}
    for task, signature in ((RawTask({}, SIGNATURE), SIGNATURE), (ImageClassifyTask(options, pixels), pixels)):
        model = FunctionModel(signature, lambda _: {})
        with pytest.raises(ConfigError, match="truncate must be one of error, warn, cut, but is 'no'"):
            task.run(model, [], truncate="no")
        with pytest.raises(InferoxError, match=f"the task {task.name} has no prompts, but 'query' was requested"):
            task.with_prompt("query")
