"""The process that workers are forked from: ``python -P -m inferox.engine.workers.fork_server SOCKET PARENT``.

It has imported what workers import, and computes nothing: no runtime is started in it, and it has one thread, so that
a fork of it is as good as a process of its own. It does one thing after another, as it is asked over the socket, and
ends with the process that started it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from inferox.engine.workers.worker import run

MOST_BYTES = 4 * 2**20
"""How many bytes a request may have."""

_LOOK_EVERY_S = 1.0
"""How often it is looked whether the process that started this one is still there."""

_THREAD_ENDS_S = 0.5
"""How long threads that end when a process forks may take to disappear."""

_HARMLESS = ("/dev/null", "/dev/urandom", "/dev/random", "/dev/pts/", "/dev/tty", "/dev/shm/")  # noqa: S108 - nothing is written there
"""What may be open in a process that forks."""


def main() -> None:
    """Serves the process that started this one; in each fork, is a worker."""
    connection, parent = socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2])
    connection.settimeout(_LOOK_EVERY_S)
    # A fork returns from here too, so that it has nothing of this on its stack.
    worker = _serve(connection, parent)
    connection.close()
    if worker is not None:
        run(*worker)


def import_all(names: Iterable[str]) -> None:
    """Imports modules, as far as that is possible.

    Args:
        names: Their names.
    """
    for name in names:
        with suppress(Exception):  # some are only made by others
            importlib.import_module(name)


def find_obstacle() -> str | None:
    """Why this process must not be forked; ``None`` where it may be."""
    if (child := os.fork()) == 0:  # some libraries end their threads before a fork, and are fine
        os._exit(0)
    os.waitpid(child, 0)
    until_s = time.monotonic() + _THREAD_ENDS_S
    while (threads := len(list(Path("/proc/self/task").iterdir()))) > 1:
        if time.monotonic() > until_s:
            return f"importing its modules has started threads: there are {threads}"
        time.sleep(1e-3)
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # that of the listing itself
            target = str(link.readlink())
            if target.startswith("/dev/") and not target.startswith(_HARMLESS):
                return f"importing its modules has opened {target}"
    return None


def _serve(connection: socket.socket, parent: int) -> tuple[int, int, str, int] | None:
    """Does what is asked until nobody is there any more; in a fork, gives what it needs as a worker."""
    while (received := _receive(connection, parent)) is not None:
        request, files = received
        if (names := request.get("import")) is not None:
            import_all(names)
            gc.collect()
            gc.freeze()  # or collecting in a fork would copy every page
            _answer(connection, find_obstacle())
        elif (config := request.get("fork")) is not None:
            own = os.getpid()
            if (child := os.fork()) == 0:
                os.environ.clear()
                os.environ.update(request["environment"])
                return files[0], files[1], config, own
            for file in files:
                os.close(file)
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


def _answer(connection: socket.socket, value: Any) -> None:
    connection.send(json.dumps(value).encode())


if __name__ == "__main__":
    main()
