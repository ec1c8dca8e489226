"""The notebooks of the documentation, executed by Jupyter's own client in a folder with the packages that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.docs.pages import DOCS

NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))

EXPORTING = DOCS / "notebooks" / "own_module.ipynb"


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path == EXPORTING else []) for path in NOTEBOOKS],
)
def test_every_cell_runs(path: Path, folder: Path) -> None:
    notebook = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}}).execute()
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


def test_the_code_of_one_that_exports_runs(folder: Path) -> None:
    """In this process, as a kernel would have to import PyTorch and the exporter again."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in nbformat.read(EXPORTING, as_version=4).cells:  # type: ignore[no-untyped-call]
        if cell.cell_type == "code":
            exec(cell.source, names)  # noqa: S102 - our own notebook
    assert names["answers"]["onnxruntime"].shape == (5, 3)
    assert (folder / "mine.mlpkg").is_file()


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) == 3
