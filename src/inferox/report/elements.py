"""HTML and SVG elements as text, with all content escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from inferox.core import printable

_VOID = frozenset({"meta", "br"})


class Markup(str):
    """Text that is already markup, and so is not escaped."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | float | None) -> Markup:
    """Makes an element.

    Args:
        tag: Its name, such as ``td``.
        children: Its content: markup unchanged, and other text escaped. Control characters become visible.
        attributes: Its attributes; ``_`` stands for ``-``, and a trailing ``_`` is dropped. ``None`` leaves one out.
    """
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{written}>")
    return Markup(f"<{tag}{written}>{join(children)}</{tag}>")


def join(children: Iterable[str]) -> Markup:
    """Concatenates markup and text; text is escaped."""
    return Markup("".join(child if isinstance(child, Markup) else escape(_visible(child)) for child in children))


def breakable(name: str) -> list[Markup]:
    """Splits a name so that it can break after each slash.

    Args:
        name: The name, such as that of an artifact.
    """
    *parts, last = name.split("/")
    return [*(join((f"{part}/", Markup("<wbr>"))) for part in parts), join((last,))]


def _attribute(value: str | float) -> str:
    return escape(_visible(value)) if isinstance(value, str) else f"{value:.6g}"


def _visible(text: str) -> str:
    """Returns the text as a page can hold it: with control characters and lone surrogates escaped visibly."""
    return "\n".join(printable(line) for line in text.split("\n"))
