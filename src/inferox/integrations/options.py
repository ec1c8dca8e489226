"""Options that other libraries pass on to Inferox, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from inferox.core import ConfigError


def check_options(name: str, function: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuses options that a function does not take.

    Args:
        name: What the options are called.
        function: The function, whose first parameter is none of them.
        given: The options.

    Raises:
        ConfigError: If there is another; it lists those that there are.
    """
    known = list(signature(function).parameters)[1:]
    unknown = next((option for option in given if option not in known), None)
    if unknown is not None:
        raise ConfigError(f"{name} has {unknown!r}, but takes {', '.join(known)}")
