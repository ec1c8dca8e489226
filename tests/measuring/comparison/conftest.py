"""A registered backend that can be told to fail."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.measuring.comparison.faulty import registered


@pytest.fixture(scope="package", autouse=True)
def _faulty_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with registered(tmp_path_factory.mktemp("distribution") / "site"):
        yield
