"""The process that workers are forked from: ``python -P -m inferox.engine.workers.fork_server SOCKET PARENT``.

It imports what workers import, reads their tokenizers, and loads what they compute with, as far as that needs no other
thread. It computes nothing and has a single thread, so that its forks behave like fresh processes. It handles one
request at a time from the socket, and ends with the process that started it.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from inferox.backends.registry import get_backend
from inferox.core import counted
from inferox.engine.workers.worker import run
from inferox.machine.cgroup import MemoryLimit, memory_limit
from inferox.machine.garbage import exempt_objects
from inferox.tasks.tokenizer_file import open_in_advance

_OURS = "inferox."

MOST_BYTES = 4 * 2**20
"""The most bytes of a request."""

_LOOK_EVERY_S = 1.0
"""The interval at which it checks whether the parent process is alive."""

_THREAD_ENDS_S = 0.1
"""The time that threads which end when a process forks may take to disappear."""

_TRYING_NICENESS = 10
"""The niceness of a fork that tries modules."""

_HARMLESS = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/pts/", "/dev/tty", "/dev/shm/")  # noqa: S108 - nothing is written there
"""The files that may be open in a process that forks."""


def main() -> None:
    """Serves the process that started this one; in each fork, runs a worker."""
    connection, parent = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    connection.settimeout(_LOOK_EVERY_S)
    # A fork returns from here too, so that its stack holds nothing of the server.
    worker = _serve(connection, parent)
    connection.close()
    if worker is not None:
        run(*worker)


def import_fit(names: Sequence[str]) -> None:
    """Imports modules, except those after which this process could not be forked: a fork tries each one first.

    Args:
        names: Their names.
    """
    left = list(names)
    while left:
        count = _count_fit(left)
        for name in left[:count]:
            _import(name)
        if count == len(left):
            return
        # In a library, most modules import the unfit one; among our own, few do.
        unfit = left[count] if left[count].startswith(_OURS) else left[count].partition(".")[0]
        left = [name for name in left[count + 1 :] if not f"{name}.".startswith(f"{unfit}.")]


def load_fit(listed: Mapping[str, Sequence[str]]) -> None:
    """Loads what backends can load before a fork, whose memory the forks then share.

    A fork of this process tries first. If it does not survive that, could not be forked afterwards, or the container
    has no room for a second copy, nothing is loaded.

    Args:
        listed: The result of each backend's ``list_loaded``, by the backend's name.
    """
    if not listed:
        return
    if (child := os.fork()) == 0:
        os.nice(_TRYING_NICENESS)
        code = 1
        with suppress(Exception):
            before = memory_limit()
            _load(listed)
            code = int(find_obstacle() is not None or not _leaves_room(before, memory_limit()))
        os._exit(code)
    if os.waitpid(child, 0)[1] == 0:
        with suppress(Exception):  # its forks load whatever is missing
            _load(listed)


def find_obstacle() -> str | None:
    """Finds out why this process must not be forked; ``None`` if it may be."""
    if _count_threads() > 1:
        if (child := os.fork()) == 0:  # some libraries end their threads before a fork, which is fine
            os._exit(0)
        os.waitpid(child, 0)
        until_s = time.monotonic() + _THREAD_ENDS_S
        while (threads := _count_threads()) > 1:
            if time.monotonic() > until_s:
                return f"it has {counted(threads, 'thread')}"
            time.sleep(1e-3)
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            target = str(link.readlink())
            if target.startswith("/dev/") and not target.startswith(_HARMLESS):
                return f"it has opened {target}"
    return None


def _count_fit(names: Sequence[str]) -> int:
    """Counts the modules that can be imported, one after another, before one of them is unfit."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.nice(_TRYING_NICENESS)  # requests are being computed at the same time
        for name in names:
            _import(name)
            if find_obstacle() is not None:
                break
            os.write(writing, b".")
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as file:  # noqa: PTH123 - a descriptor
        count = len(file.read())
    os.waitpid(child, 0)
    return count


def _load(listed: Mapping[str, Sequence[str]]) -> None:
    for name, some in listed.items():
        get_backend(name).load_in_advance(some)


def _leaves_room(before: MemoryLimit | None, after: MemoryLimit | None) -> bool:
    """Returns whether memory has room for a second copy of what was loaded in between."""
    if before is None or after is None:
        return True
    return after.limit_bytes - after.used_bytes > after.used_bytes - before.used_bytes


def _import(name: str) -> None:
    with suppress(Exception):  # some modules are only created by others
        importlib.import_module(name)


def _count_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _serve(connection: socket.socket, parent: int) -> tuple[int, int, str, int] | None:
    """Handles requests until the other side is gone; in a fork, returns what it needs to run as a worker."""
    while (received := _receive(connection, parent)) is not None:
        request, files = received
        if (names := request.get("import")) is not None:
            import_fit(names)
            open_in_advance(request["read"])
            load_fit(request["load"])
            exempt_objects()  # otherwise a collection in a fork would copy every page
            _answer(connection, find_obstacle())
        elif (config := request.get("fork")) is not None:
            own = os.getpid()
            try:
                child = os.fork()
            except OSError as error:  # no room for another: the existing ones go on
                _close(files)
                _answer(connection, str(error))
                continue
            if child == 0:
                os.environ.clear()
                os.environ.update(request["environment"])
                return files[0], files[1], config, own
            _close(files)
            _answer(connection, child)
        else:
            pid, status = os.waitpid(request["wait"], os.WNOHANG)
            _answer(connection, os.waitstatus_to_exitcode(status) if pid else None)
    return None


def _receive(connection: socket.socket, parent: int) -> tuple[dict[str, Any], list[int]] | None:
    while True:
        try:
            data, files, _, _ = socket.recv_fds(connection, MOST_BYTES, 2)
        except TimeoutError:
            if os.getppid() != parent:
                return None
            continue
        return (json.loads(data), files) if data else None


def _close(files: Sequence[int]) -> None:
    for file in files:
        os.close(file)


def _answer(connection: socket.socket, value: Any) -> None:
    connection.send(json.dumps(value).encode())


if __name__ == "__main__":
    main()
