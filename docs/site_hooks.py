"""What MkDocs calls while it builds the site: pages made of other files, diagrams, and links out of ``docs/``."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_logger = logging.getLogger("mkdocs.hooks.inferox")

ROOT = Path(__file__).parents[1]

DIAGRAMS = ROOT / "docs" / "diagrams"

COPIED = {"changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages of the site, and the files of the repository that they show."""

_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.DOTALL | re.MULTILINE)

_LINK = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Lists the decisions in the navigation, so that a new one needs no line there.

    Args:
        config: The settings of the site.
    """
    pages = sorted(path.relative_to(config.docs_dir).as_posix() for path in Path(config.docs_dir, "adr").glob("0*.md"))
    for section in config.nav or ():
        for entry in next(iter(section.values())):
            if isinstance(entry, dict) and entry.get("Decisions") == ["adr/index.md"]:
                entry["Decisions"] = ["adr/index.md", *pages]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made of files outside of ``docs/``, and those of notebooks.

    Args:
        files: The files of the site.
        config: The settings of the site.
    """
    for name, source in COPIED.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=re.sub(r"\]\(docs/", "](", text)))
    for notebook in sorted(Path(config.docs_dir, "notebooks").glob("*.ipynb")):
        source = json.loads(notebook.read_text(encoding="utf-8"))
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=write_notebook(source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Puts drawings in the place of diagrams, and names in the place of links to files that are not pages.

    Args:
        markdown: The text of a page.
        page: The page.

    Raises:
        PluginError: If a link leads nowhere.
    """
    folder = Path(page.file.abs_src_path or ROOT / "docs" / page.file.src_uri).parent

    def name(found: re.Match[str]) -> str:
        target = (folder / found[2]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            return found[0]
        if not target.exists():
            raise PluginError(f"{page.file.src_uri} links to {found[2]}, which is not there")
        path = f"`{target.relative_to(ROOT).as_posix()}`"
        return path if found[1].strip("`") == path.strip("`") else f"{found[1]} ({path})"

    def draw(found: re.Match[str]) -> str:
        drawing = find_drawing(found[1])
        if not drawing.exists():
            _logger.info(
                "%s has a diagram without a drawing, and shows its text: run 'make diagrams'", page.file.src_uri
            )
            return found[0].replace("```mermaid", "```text", 1)
        to_root = "../" * page.file.src_uri.count("/")
        return f"![The diagram that this page describes]({to_root}diagrams/{drawing.name}){{ .diagram }}"

    return _DIAGRAM.sub(draw, _LINK.sub(name, markdown))


def find_drawing(source: str) -> Path:
    """Where the drawing of a diagram lies, which has a name of its own for every text.

    Args:
        source: The diagram, as Mermaid reads it.
    """
    return DIAGRAMS / f"{hashlib.sha256(source.encode()).hexdigest()[:12]}.svg"


def find_diagrams() -> list[str]:
    """Every diagram of the pages, as Mermaid reads it."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return [found for page in pages for found in _DIAGRAM.findall(page.read_text(encoding="utf-8"))]


def write_notebook(notebook: dict[str, Any]) -> str:
    """A notebook as a page: its texts, its code, and what that has printed.

    Args:
        notebook: The notebook, as its file has it.
    """
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        printed = "".join("".join(output.get("text", _plain(output))) for output in cell["outputs"])
        if printed.strip():
            parts.append(f'```text title="Output"\n{printed.rstrip()}\n```')
    return "\n\n".join(parts) + "\n"


def _plain(output: dict[str, Any]) -> list[str]:
    found: list[str] = output.get("data", {}).get("text/plain", [])
    return found
