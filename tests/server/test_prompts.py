"""The prompt that a request gets for the purpose of its texts."""

from __future__ import annotations

import pytest

from inferox.core import DeviceId
from inferox.engine import ModelInfo
from inferox.server.field_error import FieldError
from inferox.server.prompts import check_prompt, choose_prompt

USUAL = {"query": "", "document": ""}


def info_with(prompts: dict[str, str]) -> ModelInfo:
    return ModelInfo("model", "1", "embed", "a/b/fp32/packed", DeviceId.cpu(), "space", prompts=prompts)


@pytest.mark.parametrize(
    ("prompts", "purpose", "name"),
    [
        (USUAL, None, None),
        (USUAL, "search_query", "query"),
        (USUAL, "clustering", None),
        (USUAL | {"passage": "passage: "}, "search_document", "passage"),
        (USUAL | {"passage": "passage: "}, "document", "passage"),
        (USUAL | {"query": "find: "}, "search_document", "document"),
        (USUAL | {"clustering": "sort: "}, "separation", "clustering"),
        (USUAL | {"own": "mine: "}, "own", "own"),
    ],
)
def test_purposes(prompts: dict[str, str], purpose: str | None, name: str | None) -> None:
    assert choose_prompt(info_with(prompts), "input_type", purpose) == name


@pytest.mark.parametrize(
    ("prompts", "purpose"), [(USUAL, "poetry"), (USUAL | {"query": "find: "}, "clustering"), ({}, "own")]
)
def test_purposes_without_a_prompt(prompts: dict[str, str], purpose: str) -> None:
    with pytest.raises(FieldError, match=f"no prompt for input_type '{purpose}'") as caught:
        choose_prompt(info_with(prompts), "input_type", purpose)
    assert caught.value.field == "input_type"


def test_names() -> None:
    assert check_prompt(info_with(USUAL), "prompt_name", "query") == "query"
    assert check_prompt(info_with(USUAL), "prompt_name", None) is None
    with pytest.raises(FieldError, match="it has query, document"):
        check_prompt(info_with(USUAL), "prompt_name", "passage")
