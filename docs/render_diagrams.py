"""Draws the diagrams of the pages with Mermaid in Chromium. ``make diagrams`` runs it, where a diagram has changed.

The site shows drawings, so that it neither carries Mermaid (5 MB) nor fetches it from another host.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from site_hooks import DIAGRAMS, ROOT, find_diagrams, find_drawing

_SETTINGS = {
    "startOnLoad": False,
    "htmlLabels": False,
    "flowchart": {"htmlLabels": False},
    "theme": "neutral",
    "fontFamily": "sans-serif",
}


def render(mermaid: Path) -> None:
    """Draws what has no drawing yet, and removes the drawings of diagrams that are gone.

    Args:
        mermaid: The file ``mermaid.min.js`` of Mermaid.
    """
    sys.path.insert(0, str(ROOT))
    from tests.server.browser import browsing

    wanted = {find_drawing(source): source for source in find_diagrams()}
    DIAGRAMS.mkdir(exist_ok=True)
    for drawing in set(DIAGRAMS.glob("*.svg")) - wanted.keys():
        drawing.unlink()
    missing = [drawing for drawing in wanted if not drawing.exists()]
    with tempfile.TemporaryDirectory() as folder, browsing(Path(folder)) as browser:
        for drawing in missing:
            browser.show("about:blank")
            browser.run(mermaid.read_text(encoding="utf-8"))
            browser.run(f"mermaid.initialize({json.dumps(_SETTINGS)})")
            draw = f"mermaid.render('diagram', {json.dumps(wanted[drawing])}).then(found => found.svg)"
            drawing.write_text(browser.run(draw) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        render(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as installed:
            subprocess.run(["npm", "install", "--silent", "--prefix", installed, "mermaid@12.3.0"], check=True)  # noqa: S603, S607
            render(Path(installed, "node_modules/mermaid/dist/mermaid.min.js"))
