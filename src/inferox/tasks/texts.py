"""Checks of callers' texts and pairs of texts, before a tokenizer sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inferox.core import InputTooLongError, RequestError, counted
from inferox.tasks.given_items import refuse_single

Text = str | tuple[str, str]
"""A text, or a pair of texts that the model reads together."""

MAX_TEXT_CHARACTERS = 10_000_000
"""The most characters of a text that is accepted, before truncation to the model's limit."""


def check_texts(items: Sequence[str]) -> None:
    """Checks that items are texts that can be tokenised.

    Raises:
        RequestError: If the items are a single text, or one is not a string, is too long, or holds a lone surrogate.
    """
    refuse_single(items, "a list of texts")
    for index, item in enumerate(items):
        _check_text(item, index, "text {}")


def check_pairs(items: Sequence[tuple[str, str]]) -> None:
    """Checks that items are pairs of texts that can be tokenised.

    Raises:
        RequestError: If an item is not a pair, or one of its texts is not a string, is too long, or holds a lone
            surrogate.
    """
    refuse_single(items, "a list of texts")
    for index, item in enumerate(items):
        if not _is_pair(item):
            error = RequestError(f"item {index} must be a pair of texts, but is {_describe(item)}")
            raise error.naming_item(index, "item {}")
        _check_pair(item, index)


def check_texts_or_pairs(items: Sequence[Text]) -> None:
    """Checks that items are texts, or pairs of texts, that can be tokenised.

    Raises:
        RequestError: If an item is neither, is too long, or holds a lone surrogate.
    """
    refuse_single(items, "a list of texts")
    for index, item in enumerate(items):
        if _is_pair(item):
            _check_pair(item, index)
        else:
            _check_text(item, index, "text {}")


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple | list) and len(item) == 2  # noqa: PLR2004 - a pair is two


def _describe(item: Any) -> str:
    kind = f"of the type {type(item).__name__}"
    return f"{kind} with {counted(len(item), 'part')}" if isinstance(item, tuple | list) else kind


def _advise(item: Any) -> str | None:
    if isinstance(item, bytes | bytearray | memoryview):
        return "bytes are not text: decode them, as in str(data, 'utf-8')"
    if hasattr(item, "as_py"):  # a scalar of pyarrow
        return "give its as_py(), or the whole Arrow array in place of a list"
    return None


def _check_pair(pair: Any, index: int) -> None:
    _check_text(pair[0], index, "the first text of pair {}")
    _check_text(pair[1], index, "the second text of pair {}")


def _check_text(text: Any, index: int, label: str) -> None:
    subject = label.format(index)
    if not isinstance(text, str):
        raise RequestError(f"{subject} must be a string, but is {_describe(text)}", hint=_advise(text)).naming_item(
            index, label
        )
    if len(text) > MAX_TEXT_CHARACTERS:
        error = InputTooLongError(subject, length=len(text), limit=MAX_TEXT_CHARACTERS, unit="characters")
        raise error.naming_item(index, label)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RequestError(
            f"{subject} has a lone surrogate at character {error.start}: U+{ord(text[error.start]):04X}",
            hint="the text was cut or decoded wrongly; send valid Unicode",
        ).naming_item(index, label) from error
