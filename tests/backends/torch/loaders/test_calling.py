from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_structure

from inferox.backends.torch.loaders.calling import caller
from inferox.core import LoadError

ONE, TWO = torch.tensor(1), torch.tensor(2)


def record(*arguments: Any, **keywords: Any) -> tuple[Any, Any]:
    return arguments, keywords


@pytest.mark.parametrize(
    ("arguments", "keywords", "expected"),
    [
        ((0, 0), {}, ((ONE, TWO), {})),
        ((0,), {"b": 0}, ((ONE,), {"b": TWO})),
        ((), {"a": 0, "b": 0}, ((), {"a": ONE, "b": TWO})),
        ((), {"b": 0, "a": 0}, ((), {"b": TWO, "a": ONE})),
    ],
)
def test_inputs_go_as_the_program_wants_them(arguments: Any, keywords: Any, expected: Any) -> None:
    call = caller(tree_structure((arguments, keywords)), ["a", "b"])
    assert call(record, {"b": TWO, "a": ONE}) == expected


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [(([0, 0],), {}), ((0,), {"b": {"c": 0}}), (({"a": 0}, 0), {})],
)
def test_nested_tensors_are_refused(arguments: Any, keywords: Any) -> None:
    with pytest.raises(LoadError, match="nested structures"):
        caller(tree_structure((arguments, keywords)), ["a", "b"])


@pytest.mark.parametrize(
    ("arguments", "keywords"),
    [((0,), {}), ((0, 0, 0), {}), ((0,), {"a": 0}), ((), {"a": 0, "c": 0}), ((), {"a": 0})],
)
def test_other_inputs_than_the_signatures_are_refused(arguments: Any, keywords: Any) -> None:
    with pytest.raises(LoadError, match="the signature lists a, b"):
        caller(tree_structure((arguments, keywords)), ["a", "b"])
