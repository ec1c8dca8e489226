"""A worker process from its supervisor's side: alive or dead, and what it was computing."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
from contextlib import suppress

from inferox.core import ConfigError, ExecutionError
from inferox.engine.workers.channel import Channel, open_pair
from inferox.engine.workers.flight_record import FlightRecord, make_record_file
from inferox.engine.workers.launcher import Launcher
from inferox.machine.cgroup import dies_as_a_group

_logger = logging.getLogger(__name__)

_SLOTS = 64
"""The least number of a worker's threads that may compute or encode at once; more wait for one another."""

_START_S = 300.0
"""The time it may take to start."""

_EXIT_S = 2.0
"""The time that a worker may take to end once its channel is closed."""


def check_support() -> None:
    """Checks that worker processes are supported here, and warns if one's death would kill others.

    Raises:
        ConfigError: If the system has no Unix sockets that can pass file descriptors.
    """
    if not (hasattr(socket, "AF_UNIX") and hasattr(socket.socket, "sendmsg") and hasattr(socket, "SCM_RIGHTS")):
        raise ConfigError(
            f"worker processes need Unix sockets that pass descriptors, which Python does not have on {sys.platform}",
            hint="use isolation='thread'",
        )
    if dies_as_a_group():
        _logger.warning("memory.oom.group is 1: where memory runs out, the system ends the whole group, not one worker")


class WorkerProcess:
    """A process that computes models. Linux kills it when its starter ends: a thread, or the process that forked it.

    Args:
        launcher: Starts it.

    Attributes:
        channel: The channel to it.
        flights: The record of what it is computing.

    Raises:
        ExecutionError: If the system starts no process.
    """

    def __init__(self, launcher: Launcher) -> None:
        try:
            ours, theirs = open_pair()
            record = make_record_file(_SLOTS)
        except OSError as error:
            raise ExecutionError(f"no worker process can be started: {error}") from error
        self.channel, self.flights = Channel(ours), FlightRecord(record)
        self.flights.beat(_START_S)
        try:
            self._process = launcher.launch((theirs.fileno(), record))
        except Exception as error:
            self.channel.close()
            self.flights.close()
            raise ExecutionError(f"no worker process can be started: {error}") from error
        finally:
            theirs.close()
            os.close(record)

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def kill(self) -> None:
        """Kills the process at once; a thread that receives from it is woken."""
        with suppress(OSError):
            self._process.kill()

    def end(self) -> int:
        """Closes the channel, and waits until the process has ended.

        Returns:
            Its exit code; for a signal, the negated signal number.
        """
        self.channel.close()
        try:
            code = self._process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return code
