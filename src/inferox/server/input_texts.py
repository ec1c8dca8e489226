"""Input texts of a request, in the forms that protocols allow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferox.server.field_error import FieldError

MOST_INPUTS = 2048
"""The number of texts that a request may have: OpenAI's own limit."""

EMPTY = "empty_input"
"""The error code of an input with nothing to compute."""

Given = str | list[str | int | list[Any]]
"""A text or a list of texts; or the token ids that clients with a tokenizer of their own send."""


def read_texts(field: str, given: Given) -> Sequence[str]:
    """Reads texts.

    Args:
        field: The field that holds them.
        given: The value of the field.

    Raises:
        FieldError: If there are none or too many, or there are token ids among them.
    """
    if isinstance(given, str):
        return [given]
    check_count(field, given)
    texts = [text for text in given if isinstance(text, str)]
    if not all(isinstance(text, str | int) or all(isinstance(item, int) for item in text) for text in given):
        raise FieldError(field, f"{field} must be a text or a list of texts, but is a list of lists")
    if len(texts) < len(given):
        raise FieldError(
            field,
            f"{field} has token ids, which may come from another tokenizer, so the vectors could be wrong",
            hint="send texts: with LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False; the model's own "
            "ids are for /v1/embeddings, where the operator allows them (--token-ids accept)",
        )
    return texts


def read_token_ids(field: str, given: Given) -> Sequence[Sequence[int]] | None:
    """Reads token ids: those of one text, or a list of them for each of several.

    Args:
        field: The field that holds them.
        given: The value of the field.

    Returns:
        The token ids of each text; ``None`` if the field holds texts.

    Raises:
        FieldError: If there are none or too many, or texts among them.
    """
    if isinstance(given, str):
        return None
    if given and all(isinstance(item, int) for item in given):
        return [[item for item in given if isinstance(item, int)]]
    check_count(field, given)
    if not any(isinstance(item, int | list) for item in given):
        return None
    lists = [item for item in given if isinstance(item, list)]
    if len(lists) < len(given):
        raise FieldError(field, f"{field} must have texts, or a list of token ids for each, but has several kinds")
    return lists


def check_count(field: str, given: Sequence[Any]) -> None:
    """Checks that a list is neither empty nor too long.

    Args:
        field: The field that holds the list.
        given: The list.

    Raises:
        FieldError: If it is either.
    """
    if not given:
        raise FieldError(field, f"{field} is an empty list", hint="send at least one text", code=EMPTY)
    if len(given) > MOST_INPUTS:
        raise FieldError(field, f"{field} may have {MOST_INPUTS:,} texts, but has {len(given):,}")
