"""What a ``tokenizer.json`` may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inferox.core import PackageError
from inferox.sources.tokenizer_names import TOKENIZER_FILE

_SHOWN = 80
"""How many characters of a value a message shows."""


def check_tokenizer(document: Any) -> None:
    """Checks that a tokenizer always gives the same tokens for the same text.

    Args:
        document: The content of ``tokenizer.json``.

    Raises:
        PackageError: If it is not an object with a model, or the model drops merges at random.
    """
    if not isinstance(document, Mapping):
        raise PackageError(f"{TOKENIZER_FILE} must be a JSON object, and is {describe(document)}")
    model = document.get("model")
    if not isinstance(model, Mapping):
        raise PackageError(f"'model' of {TOKENIZER_FILE} must be a JSON object, and is {describe(model)}")
    dropout = model.get("dropout")
    if dropout is not None and dropout != 0:
        raise PackageError(
            f"'model.dropout' of {TOKENIZER_FILE} is {describe(dropout)}, which makes the tokens of a text random",
            hint="dropout is meant for training: set it to null, and pack the model again",
        )


def describe(value: Any) -> str:
    """A JSON value as a message shows it, shortened.

    Args:
        value: The value.
    """
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
