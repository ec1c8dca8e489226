"""Errors of a server, as errors of Inferox."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from types import NoneType
from typing import Any

from inferox.core import (
    DeadlineExceededError,
    ExecutionError,
    InferoxError,
    OverloadedError,
    RequestError,
    ResponseError,
    ShuttingDownError,
)
from inferox.core.error_facts import restore_error

_ITEM_LABEL = re.compile(r"[a-z ]{1,40}\{\}")
"""The form of ``item_label`` in errors of Inferox; another server might send anything."""

_FACT_TYPES: dict[str, tuple[type, ...]] = {
    "subject": (str,),
    "length": (int,),
    "limit": (int,),
    "retry_after_s": (int, float, NoneType),
}
"""The types of the facts that code computes with."""

_SHOWN_CHARACTERS = 300


def read_failure(status: int, body: bytes, retry_after_s: float | None) -> InferoxError:
    """Returns the error that a response reports.

    Args:
        status: Its status, which is not 2xx.
        body: Its body. An error of ``inferox serve`` is restored with all its fields; for those of others (a proxy,
            another server) the status decides.
        retry_after_s: The wait that the server requests, in seconds; ``None`` if it does not say.
    """
    content = _read_json(body)
    told = content.get("inferox")
    if isinstance(told, Mapping) and isinstance(told.get("kind"), str) and isinstance(told.get("facts"), Mapping):
        with suppress(ValueError, TypeError, RecursionError):  # facts that Inferox never sends: the status decides
            return _restore(told["kind"], told["facts"])
    return _judge(status, _find_message(content, body), retry_after_s)


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _restore(kind: str, facts: Mapping[str, Any]) -> InferoxError:
    """Restores an error; the fields that all errors have are checked, as no server is to be trusted."""
    message, hint, item, label = (facts.get(name) for name in ("message", "hint", "item", "item_label"))
    proper = InferoxError(message if isinstance(message, str) else "", hint=hint if isinstance(hint, str) else None)
    error = restore_error(kind, proper.message, {name: facts[name] for name in facts if _may_be_set(name)})
    for name, kinds in _FACT_TYPES.items():
        fact = vars(error).get(name)
        if name in vars(error) and (not isinstance(fact, kinds) or isinstance(fact, bool)):
            raise TypeError(f"{name} is of the type {type(fact).__name__}")
    error.message, error.hint = proper.message, proper.hint
    error.item = item if type(item) is int and item >= 0 else None
    has_label = isinstance(label, str) and _ITEM_LABEL.fullmatch(label) is not None and error.item is not None
    error.item_label = label if has_label else None
    return error


def _may_be_set(name: str) -> bool:
    """Returns True if a fact may become an attribute: one that hides a method would break the error."""
    return name.isidentifier() and not hasattr(InferoxError, name)


def _find_message(content: Mapping[str, Any], body: bytes) -> str:
    """Returns the error message in a body, in any of the forms that servers use."""
    found = content.get("error", content.get("message", content.get("detail")))
    if isinstance(found, Mapping):
        found = found.get("message")
    if isinstance(found, str) and found:
        return found
    return body[:_SHOWN_CHARACTERS].decode("utf-8", "replace").strip()


def _judge(status: int, message: str, retry_after_s: float | None) -> InferoxError:
    phrase = HTTPStatus(status).phrase if status in {item.value for item in HTTPStatus} else "unknown status"
    text = f"the server answered {status} ({phrase}){': ' if message else ''}{message}"
    kinds: dict[int, type[InferoxError]] = {503: ShuttingDownError, 504: DeadlineExceededError}
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return OverloadedError(text, retry_after_s=retry_after_s)
    if status in kinds:
        return kinds[status](text)
    if 400 <= status < 500:  # noqa: PLR2004 - what HTTP blames the client for
        return RequestError(text)
    if status >= 500:  # noqa: PLR2004 - what HTTP blames the server for
        return ExecutionError(text)
    return ResponseError(text, hint="is this the address of the server itself?")
