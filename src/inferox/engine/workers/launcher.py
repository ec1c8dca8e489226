"""The start of worker processes: the first ones as new processes, and replacements as forks."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from threading import Lock, Thread

import msgspec
from msgspec import json

from inferox.core import ExecutionError, first_line
from inferox.engine.config import EngineConfig
from inferox.engine.thread_start import start_thread
from inferox.engine.workers.forked_process import ForkedProcess, ForkServer
from inferox.engine.workers.prerequisites import Prerequisites

_logger = logging.getLogger(__name__)

_MODULE = "inferox.engine.workers.worker"


class Launcher:
    """Starts worker processes. Thread-safe.

    As long as no worker has loaded a model, each is a new process. From then on, when one replaces another, it is
    forked from a process that has imported the same modules and read the same tokenizers, which takes a fraction of the
    time. That process is started in the background with the first replacement. If the system does not allow forks, all
    are new processes.

    Args:
        config: The settings of the engine of each worker.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = json.encode(config).decode()
        self._threads = str(config.threads)
        self._is_limited = config.memory_limit_bytes is not None
        self._lock = Lock()
        self._known = Prerequisites()
        self._server: ForkServer | None = None
        self._retired: list[ForkServer] = []
        self._starting: Thread | None = None
        self._being_started: ForkServer | None = None
        self._can_fork = sys.platform == "linux"

    def learn(self, found: Prerequisites) -> None:
        """Learns the prerequisites that a worker has listed.

        Args:
            found: The prerequisites.
        """
        if self._is_limited:
            found = msgspec.structs.replace(found, loaded={})  # a second copy in memory would not be accounted for
        with self._lock:
            known = self._known.updated(found)
            if known != self._known:
                self._known = known
                self._retire()  # the next one will have these as well

    def launch(self, files: Sequence[int]) -> subprocess.Popen[bytes] | ForkedProcess:
        """Starts a worker.

        Args:
            files: Its socket and its record; they are not closed here.

        Raises:
            OSError: If the system starts no process.
        """
        with self._lock:
            self._sweep()
            if self._server is not None:
                try:
                    return self._server.fork(self._config, self._environment(), files)
                except ExecutionError as error:
                    _logger.warning("a worker is started as a new process rather than forked: %s", first_line(error))
                    self._retire()
            if self._known.modules and self._can_fork and self._starting is None:
                self._starting = start_thread("inferox-fork-server", self._start_server)
        return subprocess.Popen(  # noqa: S603 - our own module, by this interpreter
            # -P keeps the current folder, which may contain anything, off the import path.
            [sys.executable, "-P", "-m", _MODULE, *map(str, files), str(os.getpid()), self._config],
            stdin=subprocess.DEVNULL,
            stdout=2,  # a runtime's prints are not output of this process
            pass_fds=tuple(files),
            env=self._environment(),
            start_new_session=True,  # a keyboard interrupt is for this process alone
        )

    def close(self) -> None:
        """Ends the process that workers are forked from; the workers must have ended before."""
        with self._lock:
            self._can_fork = False
            starting = self._starting
            if self._being_started is not None:
                self._being_started.kill()
        if starting is not None:
            starting.join()
        with self._lock:
            self._retire()
            for server in self._retired:
                server.close()
            self._retired = []

    def _start_server(self) -> None:
        """Starts the process that workers are forked from, without delaying requests; later replacements use it."""
        with self._lock:
            known, environment = self._known, self._environment()
            server: ForkServer | None = None
            if self._can_fork:
                try:
                    server = self._being_started = ForkServer(environment)
                except ExecutionError as error:
                    self._give_up(error)
        if server is not None:
            try:
                server.prepare(known)
            except ExecutionError as error:
                server.close()
                self._give_up(error)
                server = None
        with self._lock:
            self._being_started = self._starting = None
            if server is None:
                return
            if self._can_fork and known == self._known:
                self._server = server
            else:  # it lacks prerequisites, or nobody needs it any more
                self._retired.append(server)
                self._sweep()

    def _give_up(self, error: ExecutionError) -> None:
        if self._can_fork:
            _logger.warning("workers are started as new processes rather than forked: %s", first_line(error))
        self._can_fork = False

    def _retire(self) -> None:
        if self._server is not None:
            self._retired.append(self._server)
            self._server = None
        self._sweep()

    def _sweep(self) -> None:
        """Ends retired processes that no worker depends on."""
        for server in [server for server in self._retired if not server.children]:
            self._retired.remove(server)
            server.close()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": self._threads, "RAYON_NUM_THREADS": self._threads}
