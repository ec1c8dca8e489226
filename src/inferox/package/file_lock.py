"""Locks between processes, which are released when the process that holds them ends, however it ends."""

from __future__ import annotations

import errno
import os
import sys
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from inferox.core import Closing

READ_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
"""The system's errors for a file that may be read, but neither written nor created."""

_HELD = (BlockingIOError, PermissionError)
"""The system's errors for a lock that another process holds; Windows' is the second."""

_OWNER_ONLY = 0o600
_POLL_S = 0.01


class FileLock(Closing):
    """A lock on a file, shared or exclusive. It is held until it is closed or garbage collected.

    On Linux and macOS it is ``flock``: it belongs to this object, not to the process, and forked children hold it too.
    On Windows it is a range of bytes locked by the C runtime: one of many bytes for a shared lock, all of them for an
    exclusive one. On a file system without locks, everyone gets a shared lock, and nobody one that excludes others.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._close: Callable[[], object] = weakref.finalize(self, os.close, descriptor)

    @classmethod
    def share(cls, path: Path) -> FileLock:
        """Waits for a shared lock. The file is created if it does not exist.

        Args:
            path: The file, in a folder that exists. If the folder is read-only, the file must exist.

        Raises:
            OSError: If it cannot be opened.
        """
        while True:
            descriptor = _open(path)
            try:
                _lock(descriptor, shared=True, wait=True)
            except OSError:
                return cls(path, descriptor)  # this file system has no locks
            except BaseException:
                os.close(descriptor)
                raise
            if os.fstat(descriptor).st_nlink:
                return cls(path, descriptor)
            os.close(descriptor)  # an exclusive holder has removed it: others would lock another file

    @classmethod
    def exclude(cls, path: Path, *, wait: bool = False, must_exclude: bool = True) -> FileLock | None:
        """Takes an exclusive lock. The file is created if it does not exist.

        Args:
            path: The file, in a folder that exists.
            wait: Whether to wait until nobody else holds it.
            must_exclude: Whether to return ``None`` where the file system has no locks, rather than a lock that
                excludes nobody.

        Returns:
            The lock; ``None`` if it is held, or the file system has no locks and it must exclude others.

        Raises:
            OSError: If it cannot be opened.
        """
        while True:
            descriptor = _open(path)
            try:
                _lock(descriptor, shared=False, wait=wait)
            except OSError as error:
                if not must_exclude and not isinstance(error, _HELD):
                    return cls(path, descriptor)
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            if os.fstat(descriptor).st_nlink:
                return cls(path, descriptor)
            os.close(descriptor)  # another holder has just removed it

    def close(self) -> None:
        """Releases the lock. Closing twice does nothing."""
        self._close()

    def remove(self) -> None:
        """Removes the file and releases the lock. Processes that wait for it create the file anew. Never raises."""
        if sys.platform == "win32":
            self.close()  # Windows removes nothing that is open, here or elsewhere
        with suppress(OSError):
            self._path.unlink()
        self.close()


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, _OWNER_ONLY)
    except OSError as error:
        if error.errno not in READ_ONLY:
            raise
        return os.open(path, os.O_RDONLY)


if sys.platform == "win32":
    import msvcrt
    import random

    _BYTES = 1 << 30

    def _lock(descriptor: int, *, shared: bool, wait: bool) -> None:
        while True:
            start, count = (random.randrange(_BYTES), 1) if shared else (0, _BYTES)  # noqa: S311 - no secret
            os.lseek(descriptor, start, os.SEEK_SET)
            try:
                return msvcrt.locking(descriptor, msvcrt.LK_NBLCK, count)
            except PermissionError:  # Windows' way to say that another process has locked a part of it
                if not wait:
                    raise
                time.sleep(_POLL_S)
else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool, wait: bool) -> None:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
