"""The Python on the pages runs as it is written, page by page and block by block."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import inferox
from inferox.core import Closing
from tests.docs.pages import DOCS, ROOT, read_blocks, run_python

ELSEWHERE = {
    "index.md": "tests/test_public_surface.py",
    "adding-a-backend.md": "tests/testing/test_guide.py",
    "integrations.md": "tests/integrations/test_frameworks.py",
    "migration.md": "tests/compat/test_migration_page.py",
    "scale.md": "tests/integrations/test_ray.py",
    "serving.md": "tests/server/test_serving_page.py",
}
"""Pages whose Python is run by other tests: it needs a server, a cluster, or a distribution."""

PAGES = sorted(
    page.name for page in DOCS.glob("*.md") if any(block.language == "python" for block in read_blocks(page))
)


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """The names that the blocks of a page define; whatever they leave open is closed."""
    found: dict[str, Any] = {"__name__": "page"}
    sys.modules.pop("my_model", None)
    yield found
    for value in found.values():
        if isinstance(value, Closing | inferox.Engine):
            value.close()


@pytest.mark.parametrize("page", [page for page in PAGES if page not in ELSEWHERE])
@pytest.mark.filterwarnings("ignore::inferox.core.InferoxWarning")
def test_the_python_of_a_page_runs(page: str, folder: Path, names: dict[str, Any]) -> None:
    for block in read_blocks(DOCS / page):
        if block.language != "python":
            continue
        if block.title.endswith(".py"):
            (folder / block.title).write_text(block.text, encoding="utf-8")
        else:
            run_python(block, names)


def test_pages_that_run_elsewhere_are_there() -> None:
    for page, test in ELSEWHERE.items():
        assert page in PAGES
        assert (ROOT / test).is_file()


def test_the_first_page_has_the_code_of_the_readme() -> None:
    (block,) = (block for block in read_blocks(DOCS / "index.md") if block.language == "python")
    assert block.text == next(found.text for found in read_blocks(ROOT / "README.md") if found.language == "python")
