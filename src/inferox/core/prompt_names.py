"""The names that models use for the prompts of queries and of documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

QUERY_PROMPTS = ("query", "search_query")
"""The names of prompts for queries, the usual one first."""

DOCUMENT_PROMPTS = ("document", "passage", "corpus", "search_document")
"""The names of prompts for documents, the usual one first."""


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
