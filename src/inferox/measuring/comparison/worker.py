"""The process in which an artifact is measured: ``python -P -m inferox.measuring.comparison.worker``.

It reads one JSON object per line from standard input, such as ``{"command": "latency", "index": 0, "budget_s": 0.25}``,
and answers each with one line on standard output: ``{"result": {…}}``, or ``{"error": "…"}`` if it failed. The first
command is ``load``. It ends when its standard input ends, even while it computes, so that it never outlives its parent.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from collections.abc import Iterator
from typing import Any, TextIO

from inferox.core import ConfigError, InferoxError
from inferox.measuring.comparison.bench import Bench
from inferox.measuring.comparison.peer_bench import PEER, PeerBench

_COMMANDS = frozenset({"describe", "latency", "throughput", "memory", "parity"})


def main() -> None:
    """Answers commands until standard input ends."""
    answers = _claim_output()
    worker = _Worker()
    for request in _requests(sys.stdin):
        answers.write(json.dumps(worker.answer(request)) + "\n")
        answers.flush()


class _Worker:
    """Answers commands, once an artifact is loaded."""

    def __init__(self) -> None:
        self._bench: Bench | None = None

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"result": self._do(request.pop("command", None), request)}
        except InferoxError as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this artifact's reason and nobody else's
            return {"error": f"unexpected {type(error).__name__}: {error}"}

    def _do(self, command: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        if command == "load":
            self._bench = _load(**arguments)
            return self._bench.started()
        if self._bench is None or command not in _COMMANDS:
            raise ConfigError(f"the worker cannot answer {command!r} now")
        result: dict[str, Any] = getattr(self._bench, command)(**arguments)
        return result


def _load(artifact: str, package: str, *, device: str | None, threads: int, trust_code: bool) -> Bench:
    if artifact == PEER:
        return PeerBench(package, threads=threads)
    return Bench(package, artifact, device, threads=threads, trust_code=trust_code)


def _claim_output() -> TextIO:
    """Reserves standard output for answers: whatever a runtime prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _requests(stream: TextIO) -> Iterator[dict[str, Any]]:
    """Yields the requests as they arrive; the process ends with the stream, whatever it is doing."""
    arrived: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        try:
            for line in stream:
                arrived.put(json.loads(line))
        finally:
            # Also if the last line is incomplete, as from a parent that was killed.
            os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield arrived.get()


if __name__ == "__main__":
    main()
