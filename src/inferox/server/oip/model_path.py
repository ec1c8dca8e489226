"""Paths below ``/v2/models/``: a model, perhaps its version, and an action."""

from __future__ import annotations

import re
from dataclasses import dataclass

from inferox.server.http_error import HttpError

START = "/v2/models/"
"""The prefix of all of them."""

INFER = "infer"
"""The action that computes."""

_FORM = re.compile(r"(?P<name>.+?)(?:/versions/(?P<version>[^/]+))?(?:/(?P<action>infer|ready|config|stats))?")


@dataclass(frozen=True)
class ModelPath:
    """A parsed path below ``/v2/models/``.

    Attributes:
        name: The model. It may have an owner, and so a slash.
        version: Its version; ``None`` for the one loaded last.
        action: ``infer``, ``ready``, ``config`` or ``stats``; empty for the metadata.
    """

    name: str
    version: str | None
    action: str

    @classmethod
    def of(cls, path: str) -> ModelPath:
        """Parses a path.

        Args:
            path: The decoded path, including ``START``.

        Raises:
            HttpError: If it does not name a model.
        """
        found = _FORM.fullmatch(path.removeprefix(START))
        if found is None:
            raise HttpError(404, "unknown_route", f"there is nothing at {path[:200]!r}")
        return cls(found["name"], found["version"], found["action"] or "")


def read_model_to_compute(path: str) -> str:
    """Returns the model that a path asks to compute; empty if it asks for something else.

    Args:
        path: The decoded path, including ``START``.

    Raises:
        HttpError: If it does not name a model.
    """
    found = ModelPath.of(path)
    return found.name if found.action == INFER else ""
