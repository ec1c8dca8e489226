"""The names that models use for the prompts of queries and of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

QUERY_PROMPTS = ("query", "search_query")
"""The names of prompts for queries, the usual one first."""

DOCUMENT_PROMPTS = ("document", "passage", "corpus", "search_document")
"""The names of prompts for documents, the usual one first."""

USUAL_PROMPTS: Mapping[str, str] = {"query": "", "document": ""}
"""The prompts that every embedding model has, so that callers need not know whether they make a difference."""


def describe_prompts(prompts: Mapping[str, str]) -> str:
    """Describes which prompts there are, and which of them put nothing before a text.

    Args:
        prompts: The prompts by name, including the usual ones.
    """
    own, empty = ([name for name in prompts if bool(prompts[name]) is there] for there in (True, False))
    told = f"the prompts are {', '.join(own)}" if own else "the model has no prompts of its own"
    are = "is" if len(empty) == 1 else "are"
    return f"{told}; {' and '.join(empty)} can be named, and {are} empty" if empty else told


def find_prompt(names: Sequence[str], prompts: Mapping[str, str]) -> str | None:
    """Finds which of several names a model uses for a prompt.

    Args:
        names: The names, the preferred one first.
        prompts: The model's prompts by name.

    Returns:
        The first name whose prompt is not empty, or else the first that the model has; ``None`` if it has none of them.
    """
    there = [name for name in names if name in prompts]
    return next((name for name in there if prompts[name]), there[0] if there else None)
