"""A store of its own for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferox.package import Store


@pytest.fixture(autouse=True)
def store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Store:
    root: Path = tmp_path_factory.mktemp("home") / "cache" / "store"
    monkeypatch.setenv("INFEROX_STORE", str(root))
    return Store()
