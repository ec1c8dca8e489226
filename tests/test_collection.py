"""Every test is run: none is in a folder that pytest skips."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest


def test_no_folder_of_tests_is_skipped(pytestconfig: pytest.Config) -> None:
    here = Path(__file__).parent
    folders = {path.relative_to(here).parts for path in here.rglob("test_*.py")}
    names = {part for parts in folders for part in parts[:-1]}
    assert "packing" in names
    assert not [name for name in names for skipped in pytestconfig.getini("norecursedirs") if fnmatch(name, skipped)]
