"""Items and results as JSON objects."""

from __future__ import annotations

from typing import Any

from inferox.tasks import to_json

_KEYS = {
    "embed": ("text", "embedding"),
    "classify": ("text", "labels"),
    "token-classify": ("text", "spans"),
    "image-classify": ("image", "labels"),
}
"""The keys of an item and its result, for tasks whose items are single values or pairs of texts."""


def to_record(task: str, item: Any, result: Any) -> dict[str, Any]:
    """Converts an item and its result to a JSON object.

    Args:
        task: The task's name.
        item: The item.
        result: Its result.

    Returns:
        The JSON object.
    """
    if task == "raw":
        return {"outputs": to_json(result)}
    if task == "rerank":
        query, document = item
        return {"query": query, "document": document, "score": result}
    item_key, result_key = _KEYS[task]
    if isinstance(item, tuple):
        return {item_key: item[0], "text_pair": item[1], result_key: to_json(result)}
    return {item_key: str(item), result_key: to_json(result)}
