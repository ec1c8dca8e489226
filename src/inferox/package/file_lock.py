"""Locks between processes, which end with the process that holds them, however it ends."""

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
"""The system's errors where a file may be read, but neither written nor made."""

_OWNER_ONLY = 0o600
_POLL_S = 0.01


class FileLock(Closing):
    """A lock on a file: many may share it, or one holds it exclusively. Held until it is closed or collected.

    On Linux and macOS it is ``flock``: it belongs to this object, not to the process, and a child that is forked holds
    it too. On Windows it is a range of bytes of the file, as its C runtime locks them: one of many bytes to share it,
    all of them to hold it exclusively. On a file system without locks, everybody can share it, and nobody hold it so.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._close: Callable[[], object] = weakref.finalize(self, os.close, descriptor)

    @classmethod
    def share(cls, path: Path) -> FileLock:
        """Waits for a lock that many may hold. The file is made where it does not exist.

        Args:
            path: The file, in a folder that exists. Where it can only be read, it must exist.

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
            os.close(descriptor)  # whoever had it alone has removed it: others would lock another file

    @classmethod
    def exclude(cls, path: Path, *, wait: bool = False) -> FileLock | None:
        """Takes a lock that nobody else may hold. The file is made where it does not exist.

        Args:
            path: The file, in a folder that exists.
            wait: Whether to wait until nobody else holds it.

        Returns:
            The lock; ``None`` where somebody holds it, the file was removed in the meantime, or there are no locks.

        Raises:
            OSError: If it cannot be opened.
        """
        descriptor = _open(path)
        try:
            _lock(descriptor, shared=False, wait=wait)
        except OSError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        if os.fstat(descriptor).st_nlink:
            return cls(path, descriptor)
        os.close(descriptor)
        return None

    def close(self) -> None:
        """Releases the lock. Closing twice does nothing."""
        self._close()

    def remove(self) -> None:
        """Removes the file, and gives the lock back. Processes that wait for it make the file anew. Never raises."""
        if sys.platform == "win32":
            self.close()  # removes nothing that is open, neither here nor elsewhere
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
            except PermissionError:  # as it says that somebody else has a part of it
                if not wait:
                    raise
                time.sleep(_POLL_S)
else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool, wait: bool) -> None:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(descriptor, kind if wait else kind | fcntl.LOCK_NB)
