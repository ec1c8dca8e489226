"""Prompts, which requests choose by name or by purpose."""

from __future__ import annotations

from inferox.core.prompt_names import DOCUMENT_PROMPTS, QUERY_PROMPTS, find_prompt
from inferox.engine import ModelInfo
from inferox.server.field_error import FieldError

_PURPOSES: dict[str, tuple[str, ...]] = {
    "query": QUERY_PROMPTS,
    "search_query": QUERY_PROMPTS,
    "retrieval.query": QUERY_PROMPTS,
    "document": DOCUMENT_PROMPTS,
    "passage": DOCUMENT_PROMPTS,
    "search_document": DOCUMENT_PROMPTS,
    "retrieval.passage": DOCUMENT_PROMPTS,
    "classification": ("classification",),
    "clustering": ("clustering", "separation"),
    "separation": ("separation", "clustering"),
    "text-matching": ("text-matching", "sts", "similarity"),
}
"""The names of prompts for each purpose in the requests of Cohere, Jina, Voyage and NVIDIA, the best first."""


def check_prompt(info: ModelInfo, field: str, name: str | None) -> str | None:
    """Checks that a model has a prompt.

    Args:
        info: The model.
        field: The field that names it.
        name: Its name; ``None`` for the model's default.

    Returns:
        The name.

    Raises:
        FieldError: If there is none of that name.
    """
    if name is not None and name not in info.prompts:
        raise FieldError(field, f"{info.name!r} has no prompt {name[:100]!r}", hint=_describe(info))
    return name


def choose_prompt(info: ModelInfo, field: str, purpose: str | None) -> str | None:
    """Chooses the prompt for a purpose.

    Args:
        info: The model.
        field: The field that gives the purpose.
        purpose: The purpose of the texts, or the name of a prompt; ``None`` if the request gives none.

    Returns:
        The name of the prompt; ``None`` for the model's default, and for a known purpose if the model has no prompt
        that is not empty.

    Raises:
        FieldError: If the purpose is unknown, or the model has prompts, but none for it.
    """
    if purpose is None:
        return None
    name = find_prompt((purpose, *_PURPOSES.get(purpose, ())), info.prompts)
    if name is not None:
        return name
    if purpose in _PURPOSES and not any(info.prompts.values()):
        return None
    raise FieldError(field, f"{info.name!r} has no prompt for {field} {purpose[:100]!r}", hint=_describe(info))


def _describe(info: ModelInfo) -> str:
    return f"it has {', '.join(info.prompts)}" if info.prompts else "it has none: leave it out"
