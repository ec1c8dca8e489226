"""Temporary folders that complete a model's own, and live as long as the source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from inferox.core import PackageError


def make_folder(fill: Callable[[Path], None], failure: str) -> TemporaryDirectory[str]:
    """Makes a temporary folder, which is removed with the object, or at once if filling it fails.

    Args:
        fill: Fills the folder.
        failure: The action that failed, for the error.

    Raises:
        PackageError: If a file cannot be written or linked.
    """
    folder: TemporaryDirectory[str] = TemporaryDirectory(prefix="inferox-")
    try:
        fill(Path(folder.name))
    except OSError as error:
        folder.cleanup()
        raise PackageError(f"{failure}: {error}") from error
    except BaseException:
        folder.cleanup()
        raise
    return folder
