"""The paths of a package's files: plain, below its root, and distinct on every system."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from inferox.core import UnsafePathError

MAX_FILES = 10_000
"""The most files that a package may have."""

_MAX_PATH_BYTES = 1024
_MAX_NAME_BYTES = 255
_SHOWN_CHARACTERS = 80
_WINDOWS_RESERVED = frozenset('<>:"|?*\\')
_WINDOWS_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{name}{digit}" for name in ("com", "lpt") for digit in "123456789")}
)


def check_member_path(path: str) -> None:
    """Refuses a path that could mean anything but a single file below the package on any system.

    Args:
        path: A path of an archive or a manifest.

    Raises:
        UnsafePathError: If it is empty, absolute or too long, or has ``..``, a backslash, a drive letter, a control
            character or the name of a device on Windows.
    """
    plain = (
        path.isprintable()
        and len(path.encode()) <= _MAX_PATH_BYTES
        and not _WINDOWS_RESERVED.intersection(path)
        and all(_is_plain(part) for part in path.split("/"))
    )
    if not plain:
        shown = path if len(path) <= _SHOWN_CHARACTERS else path[: _SHOWN_CHARACTERS - 1] + "…"
        raise UnsafePathError(f"{shown!r} is not a plain path below the package")


def check_distinct(paths: Iterable[str]) -> None:
    """Refuses paths that collide on a system that ignores case or Unicode normal forms.

    Args:
        paths: Paths that are each plain.

    Raises:
        UnsafePathError: If two are one file, one is a file and a folder, or one folder is spelt in two ways.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        if _fold(path) in files:
            raise UnsafePathError(f"{path!r} and {files[_fold(path)]!r} are one file on some systems")
        files[_fold(path)] = path
        for folder in map(str, PurePosixPath(path).parents):
            spelt = folders.setdefault(_fold(folder), folder)
            if spelt != folder:
                raise UnsafePathError(f"{folder!r} and {spelt!r} are one folder on some systems")
    for both in files.keys() & folders.keys():
        raise UnsafePathError(f"{files[both]!r} is a file and a folder")


def list_files(root: Path) -> tuple[str, ...]:
    """Lists every file below a folder, sorted, as paths relative to it with forward slashes.

    Args:
        root: The folder.

    Raises:
        UnsafePathError: If anything below it is a link or a special file, or there are too many files.
        OSError: If a folder cannot be read.
    """
    found: list[str] = []
    folders = [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                relative = Path(entry.path).relative_to(root).as_posix()
                if entry.is_dir(follow_symlinks=False):
                    folders.append(Path(entry.path))
                elif entry.is_file(follow_symlinks=False):
                    found.append(relative)
                else:
                    raise UnsafePathError(f"{relative!r} is a link or a special file, which packages do not contain")
                if len(found) + len(folders) > MAX_FILES:
                    raise UnsafePathError(f"{root} has more files than the {MAX_FILES:,} that a package may have")
    return tuple(sorted(found))


def _is_plain(part: str) -> bool:
    # Windows drops dots and spaces at the end of a name, and opens a device whatever follows the name's first dot.
    # No dots at the end also means neither "." nor "..".
    return (
        part != ""
        and part == part.rstrip(" .")
        and len(part.encode()) <= _MAX_NAME_BYTES
        and part.partition(".")[0].rstrip().casefold() not in _WINDOWS_DEVICES
    )


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
