"""Paths below ``/v2/models/``, which name a model, perhaps its version, and what is asked of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from inferox.server.http_error import HttpError

START = "/v2/models/"
"""How they begin."""

_FORM = re.compile(r"(?P<name>.+?)(?:/versions/(?P<version>[^/]+))?(?:/(?P<action>infer|ready|config|stats))?")


@dataclass(frozen=True)
class ModelPath:
    """What a path asks for.

    Attributes:
        name: The model. It may have an owner, and so a slash.
        version: Its version; ``None`` for the one that was loaded last.
        action: What is asked: ``infer``, ``ready``, ``config``, ``stats``, or nothing but what the model is.
    """

    name: str
    version: str | None
    action: str

    @classmethod
    def of(cls, path: str) -> ModelPath:
        """Reads a path.

        Args:
            path: The path, decoded, with ``START``.

        Raises:
            HttpError: If it names no model.
        """
        found = _FORM.fullmatch(path.removeprefix(START))
        if found is None:
            raise HttpError(404, "unknown_route", f"there is nothing at {path[:200]!r}")
        return cls(found["name"], found["version"], found["action"] or "")
