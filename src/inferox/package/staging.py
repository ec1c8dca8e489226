"""Staging folders: something is made beside its target, so that it can be moved there as a whole."""

from __future__ import annotations

import glob
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

_MARK = ".inferox-staging-"
_REPLACED = "replaced"
_DISCARDED = "discarded"

_LONGEST_WAIT_S = 2.0
_POLL_S = 0.01

_ATTEMPTS = 5

_CLOCK_STEP_S = 1.0
"""The precision of the system's start times of processes."""


def make_staging(target: Path) -> Path:
    """Makes a staging folder beside a target, named after the target and this process.

    Args:
        target: The folder or file that is to be made.

    Raises:
        OSError: If it cannot be made.
    """
    return Path(tempfile.mkdtemp(prefix=f".{target.name}{_MARK}{os.getpid()}-", dir=target.parent))


def replace_folder(new: Path, target: Path, staging: Path) -> None:
    """Replaces a folder with another one.

    Few systems exchange two folders in one step. Here the old one is first moved into the staging folder; if the
    process ends before the new one is in place, ``remove_staging``, or ``recover`` in the next writer, moves the old
    one back. Readers move nothing: on a shared disk, the writer may still be running on another machine.

    Args:
        new: The complete new folder.
        target: The folder to replace.
        staging: The staging folder of the target.

    Raises:
        OSError: If it cannot be moved.
    """
    if target.exists():
        target.rename(staging / _REPLACED)
    new.rename(target)


def wait_for_target(target: Path) -> None:
    """Waits while a writer has moved the old target away and not yet put the new one in its place.

    Args:
        target: The target, which may be missing for that instant, or for good.

    Raises:
        OSError: If the folder of the target cannot be read.
    """
    deadline = time.monotonic() + _LONGEST_WAIT_S
    while not target.exists() and find_replaced(target) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def find_replaced(target: Path) -> Path | None:
    """Finds the old target that a writer has moved away and not yet replaced.

    Args:
        target: The target that is being replaced.

    Returns:
        The path of the old target; ``None`` if there is none.

    Raises:
        OSError: If the folder of the target cannot be read.
    """
    return next(target.parent.glob(f".{glob.escape(target.name)}{_MARK}*/{_REPLACED}"), None)


def remove_staging(staging: Path, target: Path) -> None:
    """Removes a staging folder, after moving the old target back if the target is missing. Never raises.

    Args:
        staging: The staging folder.
        target: The target.
    """
    kept = staging / _REPLACED
    for _ in range(_ATTEMPTS):
        if not kept.exists():
            break
        # Another writer may put its own in the target's place in between, or take it away.
        with suppress(OSError):
            # Rename before deleting, so that a half-deleted folder is never moved back.
            kept.rename(staging / _DISCARDED if target.exists() else target)
    else:
        return
    shutil.rmtree(staging, ignore_errors=True)


def recover(target: Path) -> None:
    """Rolls back the unfinished work of writers whose processes are gone, and removes their staging folders.

    Args:
        target: The target of the writers.

    Raises:
        OSError: If the folder of the target cannot be read.
    """
    for staging in list(_abandoned(target)):
        remove_staging(staging, target)


def _abandoned(target: Path) -> Iterator[Path]:
    pattern = re.compile(re.escape(f".{target.name}{_MARK}") + r"(?P<process>\d+)-\w+")
    for path in target.parent.iterdir():
        match = pattern.fullmatch(path.name)
        # Another recovering process may remove it first.
        with suppress(FileNotFoundError):
            if match and not _is_running(int(match["process"]), since=path.stat().st_mtime):
                yield path


def _is_running(process: int, *, since: float) -> bool:
    """Returns whether the process that made something still runs, rather than a later one with the same id."""
    try:
        started: float = psutil.Process(process).create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True
    return started <= since + _CLOCK_STEP_S
