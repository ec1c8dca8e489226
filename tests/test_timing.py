"""The table of the times of the folders of tests."""

from __future__ import annotations

from typing import Literal

import pytest

from tests.timing import format_folder_times


def report(nodeid: str, when: Literal["setup", "call", "teardown"], seconds: float) -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("", 0, ""), {}, "passed", None, when, duration=seconds)


def test_seconds_are_added_up_by_folder_and_the_longest_comes_first() -> None:
    found = format_folder_times(
        [
            report("tests/cli/test_a.py::test_x", "setup", 0.5),
            report("tests/cli/test_a.py::test_x", "call", 1.0),
            report("tests/core/test_b.py::test_y[a::b]", "setup", 0.0),
            report("tests/core/test_b.py::test_y[a::b]", "call", 2.0),
            report("tests/core/test_b.py::test_z", "setup", 0.25),
        ]
    )
    assert [line.split() for line in found] == [
        ["2.2", "s", "2", "tests", "tests/core"],
        ["1.5", "s", "1", "tests", "tests/cli"],
    ]
