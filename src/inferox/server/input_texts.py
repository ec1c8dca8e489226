"""The texts of a request, in the forms in which protocols have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferox.server.field_error import FieldError

MOST_INPUTS = 2048
"""How many texts a request may have: OpenAI's own limit."""

EMPTY = "empty_input"
"""The code of what has nothing to compute."""

Given = str | list[str | int | list[Any]]
"""A text or a list of them; or what clients that tokenise by themselves send."""


def read_texts(field: str, given: Given) -> Sequence[str]:
    """Reads texts.

    Args:
        field: The field that has them.
        given: What it holds.

    Raises:
        FieldError: If there are none or too many, or there are token ids among them.
    """
    if isinstance(given, str):
        return [given]
    check_count(field, given)
    texts = [text for text in given if isinstance(text, str)]
    if not all(isinstance(text, str | int) or all(isinstance(item, int) for item in text) for text in given):
        raise FieldError(field, f"{field} is a list of lists with texts, but a text or a list of texts is taken")
    if len(texts) < len(given):
        raise FieldError(
            field,
            f"{field} has token ids, which may be another tokenizer's, so that the vectors would be wrong",
            hint="send texts: with LangChain's OpenAIEmbeddings, set check_embedding_ctx_length=False; the model's own "
            "ids are for /v1/embeddings, where the operator allows them (--token-ids accept)",
        )
    return texts


def read_token_ids(field: str, given: Given) -> Sequence[Sequence[int]] | None:
    """Reads token ids: those of one text, or a list of them for each of several.

    Args:
        field: The field that has them.
        given: What it holds.

    Returns:
        The token ids of each text; ``None`` where it holds texts.

    Raises:
        FieldError: If there are none or too many, or texts beside them.
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
    """Refuses a list that is empty or too long.

    Args:
        field: The field that has it.
        given: The list.

    Raises:
        FieldError: If it is.
    """
    if not given:
        raise FieldError(field, f"{field} is an empty list", hint="send at least one text", code=EMPTY)
    if len(given) > MOST_INPUTS:
        raise FieldError(field, f"{field} may have {MOST_INPUTS:,} texts, but has {len(given):,}")
