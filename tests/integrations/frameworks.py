"""The libraries that Inferox adapts to, installed in a separate environment."""

from __future__ import annotations

import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest


def let_import(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a library importable until the end of a test, without hiding anything that Inferox is tested with.

    The test is skipped if the library is missing.
    """
    folder = str(Path(sys.prefix) / "clients")
    packages = sysconfig.get_path("purelib", vars={"base": folder, "platbase": folder})
    monkeypatch.setenv("HAYSTACK_TELEMETRY_ENABLED", "False")
    monkeypatch.setenv("LANGSMITH_TRACING", "false")
    monkeypatch.setattr(sys, "path", [*sys.path, packages])
    if find_spec(name) is None:
        pytest.skip(f"there is no {name} in {packages}: 'make setup' puts it there")
