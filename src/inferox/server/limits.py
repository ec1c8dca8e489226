"""Limits that a request sets for its own texts."""

from __future__ import annotations

from inferox.core import counted
from inferox.engine import ModelInfo
from inferox.server.field_error import FieldError

TO_MODEL_LIMIT = -1
"""The value of ``truncate_prompt_tokens`` that cuts texts to the model's limit, as in vLLM."""


def refuse_shorter(info: ModelInfo, field: str, tokens: int | None) -> None:
    """Refuses a limit below the model's own, to which texts are cut in any case.

    Args:
        info: The model.
        field: The field that holds the limit.
        tokens: The limit; ``None`` if there is none.

    Raises:
        FieldError: If the limit is below the model's, or the model has none.
    """
    if tokens is not None and (info.max_length is None or tokens < info.max_length):
        own = "no limit" if info.max_length is None else f"a limit of {counted(info.max_length, 'token')}"
        raise FieldError(
            field, f"{info.name!r} has {own}, and texts cannot be cut to {tokens}", hint=f"leave {field} out"
        )


def check_truncation(tokens: int | None) -> bool:
    """Checks vLLM's ``truncate_prompt_tokens``, of which only the model's own limit is supported.

    Args:
        tokens: The limit: -1 for the model's; ``None`` if there is none.

    Returns:
        True if texts that are too long are to be cut.

    Raises:
        FieldError: If it is another limit.
    """
    if tokens not in {None, TO_MODEL_LIMIT}:
        raise FieldError(
            "truncate_prompt_tokens",
            f"truncate_prompt_tokens must be {TO_MODEL_LIMIT} (the model's limit), but is {tokens}",
        )
    return tokens is not None
