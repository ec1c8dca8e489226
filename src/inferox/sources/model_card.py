"""Model cards: the ``README.md`` beside a model, with metadata in its first lines."""

from __future__ import annotations

import re
from pathlib import Path

_FRONT_MATTER = re.compile(r"\A---\s*\n(?P<fields>.*?)^---\s*$", re.DOTALL | re.MULTILINE)
_LICENSE = re.compile(r"^license:[ \t]*(?:(?P<one>[^\s#].*?)|(?P<several>(?:\n[ \t]*-[ \t]+.+)+))[ \t]*$", re.MULTILINE)


def read_license(directory: Path) -> str | None:
    """Reads the license that a model's card states.

    Args:
        directory: The folder of the model.

    Returns:
        The license as the card states it, several joined by commas; ``None`` if there is no card, or it states none.
    """
    try:
        text = (directory / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    matter = _FRONT_MATTER.search(text.lstrip("\ufeff").replace("\r\n", "\n"))
    found = matter and _LICENSE.search(matter["fields"])
    if not found:
        return None
    items = (found["one"] or found["several"]).strip("[] ").replace("\n", ",").split(",")
    names = [item.strip().removeprefix("- ").strip("\"' ") for item in items]
    return ", ".join(name for name in names if name) or None
