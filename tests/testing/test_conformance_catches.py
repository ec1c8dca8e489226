"""The suite finds what it should: each fault makes its test fail."""

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


WITHOUT_FAULT = sorted({kind.caught_by for kind in FAULTY})


class Outcomes:
    """Which tests were run by a pytest run within this one, and which of them failed."""

    def __init__(self) -> None:
        self.failed: dict[str, bool] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            # Without the values of its parameters: it has failed if it failed with any of them.
            name = report.nodeid.partition("[")[0]
            self.failed[name] = self.failed.get(name, False) or report.failed


def place(kind: type[faults.Faulty], test: str) -> str:
    return f"tests/testing/faults.py::{kind.__name__}::{test}"


@pytest.fixture(scope="module")
def failed() -> dict[str, bool]:
    """Returns whether each test that should find a fault fails with that fault, and without any.

    One run for all of them: each run collects every test of every fault, which takes longer than the tests.
    """
    outcomes = Outcomes()
    places = [place(kind, kind.caught_by) for kind in FAULTY]
    places += [place(faults.TestNoFault, name) for name in WITHOUT_FAULT]
    # No settings, no report, no capturing: those belong to the outer run.
    options = ["-c", os.devnull, "--rootdir", str(ROOT), "-p", "no:cacheprovider", "-p", "no:terminal", "--capture=no"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # loading them takes longer than the tests
        pytest.main([*options, *(str(ROOT / item) for item in places)], plugins=[outcomes])
    return outcomes.failed


@pytest.mark.parametrize("kind", FAULTY, ids=lambda kind: kind.__name__.removeprefix("Test"))
def test_a_fault_is_found(kind: type[faults.Faulty], failed: dict[str, bool]) -> None:
    # test_numpy_backend.py shows that the backend passes without a fault.
    assert failed[place(kind, kind.caught_by)]


@pytest.mark.parametrize("name", WITHOUT_FAULT)
def test_without_a_fault_none_is_found(name: str, failed: dict[str, bool]) -> None:
    assert not failed[place(faults.TestNoFault, name)]


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
