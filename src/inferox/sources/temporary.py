"""Folders like a model's own, with what it lacks, that live as long as the source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from inferox.core import PackageError


def make_folder(fill: Callable[[Path], None], failure: str) -> TemporaryDirectory[str]:
    """Makes a temporary folder, which is removed with the object; at once where filling it fails.

    Args:
        fill: Writes what the folder is to hold.
        failure: What could not be done, for the error.

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
