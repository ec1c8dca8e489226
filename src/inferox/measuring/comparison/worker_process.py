"""A worker process from its parent's side."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Self

from inferox.machine.processes import describe_end

_MODULE = "inferox.measuring.comparison.worker"

_TAIL_BYTES = 4096
_LONGEST_LINE = 300


class WorkerError(Exception):
    """A worker failed, crashed, or took too long; its text gives the reason in words."""


class WorkerTimeoutError(WorkerError):
    """A worker took too long."""


class WorkerProcess:
    """A process in which one artifact is measured. It is a context manager that ends the process.

    It is detached from the terminal: a keyboard interrupt reaches only the parent, which ends it.

    Args:
        threads: The number of threads for libraries that read it from the environment.
    """

    def __init__(self, *, threads: int) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by ``end``
        self._started = time.perf_counter()
        self._process = subprocess.Popen(  # noqa: S603 - our own module, by this interpreter
            # -P keeps the current folder, which may contain anything, off the import path.
            [sys.executable, "-P", "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads)},
            start_new_session=True,
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def age_s(self) -> float:
        """The time since the process was started, in seconds."""
        return time.perf_counter() - self._started

    def ask(self, command: str, *, timeout_s: float, **arguments: Any) -> dict[str, Any]:
        """Sends a command and waits for its answer.

        Args:
            command: The command.
            timeout_s: The most time that the answer may take, in seconds.
            arguments: Its arguments, as JSON values.

        Raises:
            WorkerTimeoutError: If the worker takes too long.
            WorkerError: If the worker reports a failure, or ends.
        """
        self._send({"command": command, **arguments})
        try:
            line = self._lines.get(timeout=max(timeout_s, 0.0))
        except queue.Empty:
            raise WorkerTimeoutError(f"it took longer than {timeout_s:.3g} s to {_DOING[command]}") from None
        if line is None:
            raise WorkerError(self._why_ended())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise WorkerError(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    def end(self) -> None:
        """Kills the process, whatever it is doing, and its children. Ending it twice does nothing."""
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._errors):
            if stream is not None:
                _close(stream)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _kill(self) -> None:
        if self._process.returncode is not None:
            return  # its id may have been reused by now
        if sys.platform == "win32":
            self._process.kill()
        else:
            os.killpg(self._process.pid, signal.SIGKILL)  # runtimes start processes of their own, which would remain

    def _send(self, message: dict[str, Any]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it was started with a pipe
        try:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            # It has ended, and so will the reading of its answers, which reports how.
            return

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was started with a pipe
        with self._process.stdout as stream:
            for line in stream:
                self._lines.put(line)
        self._lines.put(None)

    def _why_ended(self) -> str:
        code = self._process.wait()
        if code < 0:
            return describe_end(code)
        said = self._last_words()
        return f"its process ended by itself with exit code {code}" + (f": {said}" if said else "")

    def _last_words(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _TAIL_BYTES))
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line.strip()[:_LONGEST_LINE] for line in reversed(lines) if line.strip()), "")


_DOING = {
    "load": "load and give a first result",
    "describe": "prepare its inputs",
    "latency": "compute single rows",
    "throughput": "compute rows of mixed lengths",
    "memory": "report its memory",
    "parity": "compute the samples",
}
"""The steps of a worker, in words."""


def _close(stream: Any) -> None:
    try:
        stream.close()
    except OSError:
        # Whatever was left to write has no reader any more.
        return
