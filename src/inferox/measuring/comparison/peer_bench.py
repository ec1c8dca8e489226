"""The measurements of sentence-transformers with the same items as a package's artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

from inferox.core import PackageError
from inferox.loading.context import PackageContext
from inferox.measuring.comparison.bench import Bench
from inferox.measuring.comparison.workload import Workload
from inferox.package import open_package
from inferox.packing.defining.library import find_version

PEER = "sentence-transformers"
"""The library, by the name of its distribution."""


def has_peer(task: str) -> bool:
    """Returns whether sentence-transformers can be measured beside a package here.

    Args:
        task: The task of the package.
    """
    return task == "embed" and find_spec("sentence_transformers") is not None and find_spec("torch") is not None


class PeerBench(Bench):
    """sentence-transformers with a package's model, loaded and with its first computation done.

    Args:
        package: The path of a package for the task ``embed``.
        threads: The number of CPU threads that it may use.

    Raises:
        PackageError: If the package cannot be opened, or the library cannot compute its model.
    """

    def __init__(self, package: str, *, threads: int) -> None:
        context = PackageContext(open_package(Path(package)))
        self._task = context.task(context.package.info.signature)
        self._workload = Workload(self._task, context.package.info.signature, None)
        began = perf_counter()
        try:
            from inferox.packing.defining.rebuilt import RebuiltEncoder
        except ImportError as error:
            raise PackageError(f"{PEER} cannot be imported: {error}") from error
        self._encoder = RebuiltEncoder(context.package, threads=threads)
        self._load_s = perf_counter() - began
        self._singles: list[Any] = []
        self._warm: set[int] = set()
        self._answer([self._workload.first()])

    def started(self) -> dict[str, Any]:
        """Returns the loading time in seconds, the device, which is the CPU, and the version of the library."""
        return {"load_s": self._load_s, "device": "cpu", "version": find_version(PEER)}

    def parity(self) -> dict[str, Any]:
        """Returns no evidence: its vectors were compared when it was loaded."""
        return {"evidence": None}

    def close(self) -> None:
        """Does nothing: the process in which it is measured ends."""

    def _answer(self, items: Sequence[Any]) -> None:
        self._encoder.encode(items)
