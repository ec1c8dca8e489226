"""The versions of the libraries that computed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

_ALWAYS = ("inferox", "numpy", "torch", "transformers")


def installed_versions(distributions: Sequence[str]) -> dict[str, str]:
    """The versions of the distributions that are installed, and of those that every measurement depends on.

    Args:
        distributions: What may install a runtime, such as ``candle-nn``.

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
