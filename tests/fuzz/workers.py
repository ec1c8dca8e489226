"""Processes that run cases, with limits on memory and time, and are replaced if a case ends them."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from inferox.cli.isolated_process import limit_process
from tests.fuzz.cases import Case
from tests.fuzz.execution import Workspace

_CASES_OF_A_PROCESS = 1_000
"""The number of cases after which a process is replaced, so that leftovers of one do not make a later one fail."""

_START_S = 300.0
_FRAMES = 8


@dataclass(frozen=True)
class Outcome:
    """The outcome of a case.

    Attributes:
        case: The case.
        ending: ``answered``, the name of an error of Inferox, or a forbidden ending: the name of another exception,
            ``SIGSEGV`` and the like, or ``hang``.
        is_violation: Whether the ending is forbidden.
        seconds: The duration.
        details: The traceback of a violation, or the last output of the process.
    """

    case: Case
    ending: str
    is_violation: bool
    seconds: float
    details: str = ""


@dataclass(frozen=True)
class Limits:
    """The limits of a case.

    Attributes:
        memory_bytes: The most memory of a process.
        seconds: The longest time of a case.
    """

    memory_bytes: int
    seconds: float


class CaseRunner(Protocol):
    """Runs the cases of a process."""

    def run(self, case: Case) -> str:
        """Runs a case; returns ``answered`` or the name of an error of Inferox, and raises any other error."""


OpenRunner = Callable[[Path, Path], CaseRunner]
"""A function that makes a ``CaseRunner``, from the folder with the packages and an empty folder for the process."""


def run_cases(
    corpus: Path, cases: Sequence[Case], limits: Limits, *, jobs: int, open_runner: OpenRunner = Workspace
) -> Iterator[Outcome]:
    """Runs cases in separate processes.

    Args:
        corpus: The folder with the packages.
        cases: The cases.
        limits: The limits of each.
        jobs: The number of concurrent processes.
        open_runner: Makes the runner of a process; a class or function of a module, which the processes import.

    Yields:
        The outcome of each case, as it ends.
    """
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    for case in cases:
        waiting.put(case)
    done: queue.SimpleQueue[Outcome | BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        try:
            _work(partial(_Worker, corpus, limits, open_runner), waiting, done, stop)
            done.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the outcomes are read
            done.put(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    try:
        left = jobs
        while left:
            outcome = done.get()
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome is None:
                left -= 1
            else:
                yield outcome
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _work(
    start: Callable[[], _Worker], waiting: queue.SimpleQueue[Case], done: queue.SimpleQueue[Any], stop: threading.Event
) -> None:
    worker: _Worker | None = None
    try:
        while not stop.is_set():
            try:
                case = waiting.get_nowait()
            except queue.Empty:
                return
            worker = worker or start()
            done.put(worker.run(case))
            if not worker.is_usable:
                worker.close()
                worker = None
    finally:
        if worker is not None:
            worker.close()


class _Worker:
    """The parent's side of a process that runs cases."""

    def __init__(self, corpus: Path, limits: Limits, open_runner: OpenRunner) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="inferox-fuzz-", ignore_cleanup_errors=True)
        self._log = Path(self._folder.name) / "log"
        self._limits, self._left, self.is_usable = limits, _CASES_OF_A_PROCESS, True
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        root = Path(self._folder.name) / "workspace"
        root.mkdir(mode=0o700)
        self._process = context.Process(
            target=_serve,
            args=(theirs, partial(open_runner, corpus, root), self._log, limits.memory_bytes),
            daemon=True,
        )
        self._process.start()
        theirs.close()
        if not self._connection.poll(_START_S):
            self.close()
            raise RuntimeError("a process for cases did not start")
        try:
            self._connection.recv()
        except EOFError as error:
            raise RuntimeError(f"a process for cases did not start:\n{self._log_text()}") from error

    def run(self, case: Case) -> Outcome:
        """Runs a case, and records whether the process can run another."""
        begin = time.monotonic()
        self._connection.send(case.name)
        try:
            if not self._connection.poll(self._limits.seconds):
                self.is_usable = False
                return Outcome(case, "hang", True, time.monotonic() - begin)
            ending, is_violation, details = self._connection.recv()
        except (EOFError, OSError):
            self.is_usable = False
            self._process.join()
            return Outcome(case, _ending_of(self._process.exitcode), True, time.monotonic() - begin, self._log_text())
        self._left -= 1
        # A process that ran out of memory is not reliable afterwards.
        self.is_usable = self._left > 0 and ending != "MemoryError"
        return Outcome(case, ending, is_violation, time.monotonic() - begin, details)

    def close(self) -> None:
        """Ends the process and removes its folder."""
        self._connection.close()
        self._process.kill()
        self._process.join()
        self._folder.cleanup()

    def _log_text(self) -> str:
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-_FRAMES:])


def _ending_of(code: int | None) -> str:
    return signal.Signals(-code).name if code is not None and code < 0 else f"exit {code}"


def _serve(connection: Connection, open_runner: Callable[[], CaseRunner], log: Path, memory_bytes: int) -> None:
    """Runs the cases that the process is sent, until its parent is gone."""
    with log.open("wb") as stream:
        # Output of the runtimes must not get between the lines of the parent.
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.environ["OMP_NUM_THREADS"] = "1"
    limit_process(memory_bytes)
    runner = open_runner()
    connection.send(None)
    while True:
        try:
            case = Case(connection.recv())
        except EOFError:
            return
        try:
            connection.send((runner.run(case), False, ""))
        except BaseException as error:  # noqa: BLE001 - any failure is what is looked for
            details = "".join(traceback.format_exception(error, limit=-_FRAMES, chain=True))
            connection.send((type(error).__name__, True, details.encode(errors="replace").decode()[-4_000:]))
