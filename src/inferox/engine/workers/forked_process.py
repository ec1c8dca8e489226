"""Processes that are forked from one that has already imported their modules."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any

from inferox.core import ExecutionError
from inferox.engine.workers.prerequisites import Prerequisites

_MODULE = "inferox.engine.workers.fork_server"

_IMPORT_S = 300.0
"""The time that importing the modules may take."""

_ANSWER_S = 10.0
"""The time limit of a fork, and of the answer to how one ended."""

_LOOK_EVERY_S = 2e-3
"""The interval at which a fork that is waited for is polled."""


class ForkServer:
    """A process that imports modules, and forks. Thread-safe.

    Args:
        environment: Its environment.

    Attributes:
        children: The number of its forks that have not been waited for.

    Raises:
        ExecutionError: If it cannot be started.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.children = 0
        self._is_in_step = True
        self._lock = Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, by this interpreter
                [sys.executable, "-P", "-m", _MODULE, str(theirs.fileno()), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=2,
                pass_fds=(theirs.fileno(),),
                env=environment,
                start_new_session=True,
            )
        except Exception as error:
            self._socket.close()
            raise ExecutionError(f"no process to fork workers from can be started: {error}") from error
        finally:
            theirs.close()

    def prepare(self, needed: Prerequisites) -> None:
        """Has it import modules, as far as they leave it fit to be forked, and read and load the other prerequisites.

        Args:
            needed: The prerequisites of its forks.

        Raises:
            ExecutionError: If it must not be forked, or does not answer.
        """
        wanted = {"import": needed.modules, "read": needed.tokenizers, "load": needed.loaded}
        obstacle = self._ask(wanted, timeout_s=_IMPORT_S)
        if obstacle is not None:
            raise ExecutionError(f"workers cannot be forked: {obstacle}")

    def fork(self, config: str, environment: Mapping[str, str], files: Sequence[int]) -> ForkedProcess:
        """Forks a worker.

        Args:
            config: The settings of its engine, as JSON.
            environment: Its environment; values that a library has already read stay as they were.
            files: Its socket and its record; they are not closed here.

        Raises:
            ExecutionError: If the fork fails.
        """
        pid = self._ask({"fork": config, "environment": dict(environment)}, files)
        if isinstance(pid, str):
            raise ExecutionError(f"no worker can be forked: {pid}")
        with self._lock:
            self.children += 1
        return ForkedProcess(self, pid)

    def find_end(self, pid: int) -> int | None:
        """Finds the exit code of a fork, as ``subprocess`` reports it; ``None`` if it has not ended.

        Args:
            pid: The id of its process.
        """
        try:
            code: int | None = self._ask({"wait": pid})
        except ExecutionError:
            code = -signal.SIGKILL  # the system kills its forks with it
        if code is not None:
            with self._lock:
                self.children -= 1
        return code

    def kill(self) -> None:
        """Kills it at once, whatever it is doing; it must be closed as well."""
        self._process.kill()

    def close(self) -> None:
        """Ends it, and everything that it has forked."""
        self._socket.close()
        try:
            self._process.wait(_ANSWER_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, request: Mapping[str, Any], files: Sequence[int] = (), timeout_s: float = _ANSWER_S) -> Any:
        with self._lock:
            if not self._is_in_step:
                raise ExecutionError("the process that workers are forked from has been ended")
            try:
                self._socket.settimeout(timeout_s)
                socket.send_fds(self._socket, [json.dumps(request).encode()], list(files))
                answer = self._socket.recv(1024)
            except OSError as error:
                # A late answer would be mistaken for the one to the next request.
                self._is_in_step = False
                self._process.kill()
                raise ExecutionError(f"the process that workers are forked from does not answer: {error}") from error
        if not answer:
            raise ExecutionError("the process that workers are forked from has ended")
        return json.loads(answer)


class ForkedProcess:
    """A fork, with as much of the interface of ``subprocess.Popen`` as a worker needs.

    Args:
        server: The process that it was forked from; its id is not reused before the server has waited for it.
        pid: The id of its process.

    Attributes:
        pid: The id of its process.
    """

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.pid = pid
        self._server = server
        self._lock = Lock()
        self._code: int | None = None

    def kill(self) -> None:
        """Kills it, if it has not ended."""
        with self._lock:
            if self._code is None:
                with suppress(ProcessLookupError):  # it has ended with its server
                    os.kill(self.pid, signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Waits until it has ended.

        Args:
            timeout: The most seconds to wait; ``None`` for no limit.

        Returns:
            Its exit code; for a signal, the negated signal number.

        Raises:
            subprocess.TimeoutExpired: If it has not ended in time.
        """
        until_s = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                if self._code is None:
                    self._code = self._server.find_end(self.pid)
                if self._code is not None:
                    return self._code
            if until_s is not None and time.monotonic() > until_s:
                raise subprocess.TimeoutExpired(_MODULE, timeout or 0.0)
            time.sleep(_LOOK_EVERY_S)
