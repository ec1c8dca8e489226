"""The suite finds what it is there to find: each fault turns its test red."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from inferox.testing.conformance import BackendConformance
from tests.testing import faults

FAULTY = [kind for kind in vars(faults).values() if isinstance(kind, type) and issubclass(kind, faults.Faulty)][2:]
ROOT = Path(__file__).parents[2]


class Outcomes:
    """What a run of pytest within this one reports."""

    def __init__(self) -> None:
        self.ran = self.failed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.ran += report.when == "call"
        self.failed += report.when == "call" and report.failed


def failures(kind: type[faults.Faulty], test: str) -> int:
    outcomes = Outcomes()
    place = f"{Path(__file__).with_name('faults.py')}::{kind.__name__}::{test}"
    # No settings, no report, no capturing: those belong to the run that this one is within.
    options = ["-c", os.devnull, "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-p", "no:terminal", "--capture=no"]
    pytest.main([*options, place], plugins=[outcomes])
    assert outcomes.ran
    return outcomes.failed


@pytest.fixture(autouse=True)
def _without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the runs within this one load none of the plugins that are installed, which takes most of their time."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.mark.parametrize("kind", FAULTY, ids=lambda kind: kind.__name__.removeprefix("Test"))
def test_a_fault_is_found(kind: type[faults.Faulty]) -> None:
    # That the backend passes without a fault is what test_numpy_backend.py shows.
    assert failures(kind, kind.caught_by) > 0


@pytest.mark.parametrize("name", sorted({kind.caught_by for kind in FAULTY}))
def test_without_a_fault_none_is_found(name: str) -> None:
    assert failures(faults.TestNoFault, name) == 0


def test_no_test_hides_another() -> None:
    names = [name for part in BackendConformance.__mro__ for name in vars(part) if name.startswith("test_")]
    assert len(names) > 40
    assert [name for name, count in Counter(names).items() if count > 1] == []


def test_without_pytest_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['pytest'] = None; import inferox.testing.conformance"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ImportError: ")
    assert "pip install pytest" in done.stderr.splitlines()[-1]


def test_the_reference_backend_needs_no_pytest() -> None:
    code = "import sys; sys.modules['pytest'] = None; import inferox.testing.numpy_backend"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603
