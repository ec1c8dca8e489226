"""The reference backend meets the contract."""

from __future__ import annotations

from pathlib import Path

from inferox.core import Artifact, Backend, DataType
from inferox.testing.conformance import BackendConformance
from inferox.testing.numpy_backend import NumpyBackend, write_artifact


class TestNumpyBackend(BackendConformance):
    dtypes = frozenset(DataType) - {DataType.BF16}

    @classmethod
    def make_backend(cls) -> Backend:
        return NumpyBackend()

    @classmethod
    def make_artifact(cls, root: Path) -> Artifact:
        return write_artifact(root)
