"""The versions of the libraries that took part in a computation."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

_ALWAYS = ("inferox", "numpy", "torch", "transformers")


def installed_versions(distributions: Sequence[str]) -> dict[str, str]:
    """Returns the versions of installed distributions: those given, and those that every measurement depends on.

    Args:
        distributions: The distributions that may install a runtime, such as ``candle-nn``.

    Returns:
        The version of each distribution that is installed, by name.
    """
    found = {}
    for name in dict.fromkeys((*_ALWAYS, *distributions)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
