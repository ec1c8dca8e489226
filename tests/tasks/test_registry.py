"""Opening tasks by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inferox.core import ConfigError, Signature
from inferox.tasks import TASK_NAMES, Task, open_task


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"there is no task 'summarise' \(use one of {', '.join(TASK_NAMES)}\)"):
        open_task("summarise", {}, tmp_path, Signature((), ()))


def test_the_tasks_are_imported_without_torch_transformers_or_pillow() -> None:
    code = "import sys, inferox.tasks; sys.exit(bool({'torch', 'transformers', 'PIL'} & set(sys.modules)))"

    finished = subprocess.run([sys.executable, "-c", code], check=False)  # noqa: S603 - this test's own text

    assert finished.returncode == 0


def test_a_task_opens_under_its_own_name(tmp_path: Path) -> None:
    task: Task = open_task("raw", {}, tmp_path, Signature((), ()))

    assert task.name == "raw"
