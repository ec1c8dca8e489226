"""A shared folder is filled once, by whichever process needs it first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.shared import SharedFolders

ROOT = Path(__file__).parents[1]

PROGRAM = """
import sys, time
from pathlib import Path
from tests.shared import SharedFolders

def fill(folder):
    time.sleep(0.2)
    with open(Path(sys.argv[1]) / "fills", "a") as log:
        log.write("filled\\n")
    (folder / "content").write_text("whole")

print((SharedFolders(Path(sys.argv[1]) / "shared").get("a", fill) / "content").read_text())
"""


def test_processes_at_once_fill_it_once(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(4)]  # noqa: S603
    assert [process.communicate(timeout=60)[0] for process in started] == ["whole\n"] * 4
    assert (tmp_path / "fills").read_text() == "filled\n"


def test_what_failed_is_filled_again(tmp_path: Path) -> None:
    folders = SharedFolders(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        folders.get("a", fail)
    assert list(folders.get("a", lambda folder: (folder / "whole").touch()).iterdir()) == [tmp_path / "a" / "whole"]
