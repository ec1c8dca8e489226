"""The fixtures of tests of the engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from inferox.engine import Engine
from tests.engine.models import DoublingModel, load_doubling
from tests.engine.packages import Shelf


@pytest.fixture
def model() -> DoublingModel:
    """A model whose batches can be held."""
    return DoublingModel()


@pytest.fixture
def engine(model: DoublingModel) -> Iterator[Engine]:
    """An engine that has the model."""
    with Engine() as engine:
        engine.register(load_doubling(model))
        yield engine
        model.may_go.set()


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    """Packages whose artifacts can be broken, by their paths."""
    return Shelf(tmp_path, monkeypatch)
