"""Checks of options that other libraries pass on to Inferox, before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from inferox.core import ConfigError


def check_options(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuses options that a function does not take.

    Args:
        name: The name of the options in errors.
        function: The function; its first parameter does not count as an option.
        given: The options.

    Raises:
        ConfigError: If there is an unknown one; the error lists the known ones.
    """
    known = list(signature(function).parameters)[1:]
    unknown = next((option for option in given if option not in known), None)
    if unknown is not None:
        raise ConfigError(f"{name} has {unknown!r}, but takes {', '.join(known)}")
