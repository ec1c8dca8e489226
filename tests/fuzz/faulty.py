"""A runner whose cases end in forbidden ways: a separate module, so that its processes import only what they need."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.fuzz.cases import ANSWERED, Case


class FaultyRunner:
    """Ends in the way that the case's name says."""

    def __init__(self, corpus: Path, root: Path) -> None:
        del corpus
        self._root = root

    def run(self, case: Case) -> str:
        if case.name == "exception":
            raise KeyError("a field")
        if case.name == "crash":
            os.abort()
        if case.name == "hang":
            time.sleep(60)
        if case.name == "memory":
            return str(len(bytearray(2 << 30)))
        return ANSWERED
