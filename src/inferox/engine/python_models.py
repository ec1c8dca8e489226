"""Models that are made by a Python function, if the caller trusts it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from inferox.core import ConfigError, InferoxError, PackageError, UntrustedCodeError, first_line
from inferox.loading import TaskModel

PREFIX = "python:"
"""The prefix that marks a function in place of a package."""

_FORM = f"write {PREFIX}module:function, a function that takes nothing and returns a TaskModel"


def make_model(place: str, options: Mapping[str, Any]) -> TaskModel:
    """Calls a function that makes a model.

    Args:
        place: The function, as ``module:function``.
        options: The arguments of ``Engine.load``, of which only ``trust_code`` may be set.

    Raises:
        UntrustedCodeError: If code is not trusted.
        ConfigError: If another option is given: the function decides everything else.
        PackageError: If there is no such function, or if it fails or returns something else.
    """
    if not options.get("trust_code"):
        raise UntrustedCodeError(
            f"{PREFIX}{place} is code", hint="if you trust where it comes from, pass trust_code=True"
        )
    defaults = (None, False, "auto", "best")
    given = [name for name, value in options.items() if name != "trust_code" and value not in defaults]
    if given:
        raise ConfigError(f"{given[0]} is given for {PREFIX}{place}", hint="the function decides how to load its model")
    module, colon, function = place.partition(":")
    if not (colon and module and function):
        raise PackageError(f"{PREFIX}{place} is not the place of a function", hint=_FORM)
    try:
        made = getattr(importlib.import_module(module), function)()
    except InferoxError:
        raise
    except Exception as error:
        raise PackageError(
            f"{PREFIX}{place} failed: {type(error).__name__}: {first_line(error)}", hint=_FORM
        ) from error
    if not isinstance(made, TaskModel):
        raise PackageError(f"{PREFIX}{place} returned a {type(made).__name__}", hint=_FORM)
    return made
