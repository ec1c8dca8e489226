"""The check for folders that nobody else can write to, as ssh requires of those that hold keys (``StrictModes``)."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from inferox.core import ConfigError


def check_private(folder: Path, *, hint: str) -> None:
    """Refuses a folder that others could fill or replace, since its contents are trusted as this user's own.

    The folder and each one above it must belong to this user or to root, and must not be writable for their group or
    others. Folders above it may be like ``/tmp``, where others can write but only owners can rename (the sticky bit).
    Folders that do not exist yet are skipped. Windows has other permissions, and is not checked.

    Args:
        folder: The folder.
        hint: What to do if it is refused.

    Raises:
        ConfigError: If it is refused; it names the folder at fault.
    """
    if not hasattr(os, "geteuid"):
        return
    try:
        _check(folder.absolute(), hint)
    except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError before Python 3.13
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{folder} cannot be checked: {reason}", hint=hint) from error


def _check(place: Path, hint: str) -> None:
    for link in (place, *place.parents):
        # The owner of a link can point it elsewhere at any time.
        if link.is_symlink() and not _is_owned(link.lstat()):
            raise _refusal(link, hint)
    resolved = place.resolve()
    for each in (resolved, *resolved.parents):
        try:
            status = each.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        shared = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not _is_owned(status) or (shared and not (each != resolved and status.st_mode & stat.S_ISVTX)):
            raise _refusal(each, hint)


def _is_owned(status: os.stat_result) -> bool:
    return status.st_uid in {os.geteuid(), 0}


def _refusal(folder: Path, hint: str) -> ConfigError:
    return ConfigError(
        f"{folder} belongs to another user, or its group or any user can write to it",
        hint=f"chmod go-w {folder}, or {hint}",
    )
