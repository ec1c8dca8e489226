"""What tests of the engine share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.packages import Shelf


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Packages whose artifacts can be broken, by their paths."""
    return Shelf(tmp_path, monkeypatch)
