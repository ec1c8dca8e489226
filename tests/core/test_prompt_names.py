"""What is said of a model's prompts."""

from __future__ import annotations

import pytest

from inferox.core.prompt_names import USUAL_PROMPTS, describe_prompts


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({}, "the model has no prompts of its own; query and document can be named, and are empty"),
        ({"query": "q: "}, "the prompts are query; document can be named, and is empty"),
        ({"query": "q: ", "document": "d: "}, "the prompts are query, document"),
        ({"code": "c: ", "none": ""}, "the prompts are code; query and document and none can be named, and are empty"),
    ],
)
def test_empty_prompts_are_told_apart(own: dict[str, str], said: str) -> None:
    assert describe_prompts({**USUAL_PROMPTS, **own}) == said
