"""The time that each folder of tests took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

import pytest


def format_folder_times(reports: Iterable[pytest.TestReport]) -> list[str]:
    """Formats a line for each folder of tests, the longest first: its seconds and its number of tests.

    Args:
        reports: The reports of setup, call and teardown; the seconds of all processes are added up.
    """
    seconds: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for report in reports:
        folder = str(PurePosixPath(report.nodeid.partition("::")[0]).parent)
        seconds[folder] += report.duration  # type: ignore[assignment]  # typeshed only counts in whole numbers
        tests[folder] += report.when == "setup"
    return [f"{taken:7.1f} s  {tests[folder]:5d} tests  {folder}" for folder, taken in seconds.most_common()]
