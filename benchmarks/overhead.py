"""The cost of a call beside tokenising and the runtime: the files it passes, and its time if the runtime did nothing.

    python benchmarks/overhead.py PACKAGE [--backends torch,onnxruntime,openvino] [--json]

Three texts are embedded. ``files`` counts the files of Inferox in which a Python function runs (except comprehensions),
and ``moves`` the calls from one of them into another, on every thread that a call waits for, both counted with
``sys.setprofile`` after a few calls. ``overhead`` is the median time of a call in which the model returns the outputs
of an earlier call at once, less that of the tokenizer alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import inferox
from inferox.measuring.timing import Spread, time_call, time_in_turns

TEXTS = ["a first sentence", "how do I reset my password?", "the weather is fine today, they say"]

_ROOT = str(Path(inferox.__file__).parent)

_CALLS = 400


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", help="a package of the task embed")
    parser.add_argument("--backends", default="torch,onnxruntime,openvino")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows, moves_of = list[dict[str, Any]](), Moves()
    threading.setprofile(moves_of.watch)  # for the thread on which PyTorch computes a model
    for backend in arguments.backends.split(","):
        with inferox.load(arguments.package, backend, threads=arguments.threads) as model:
            for _ in range(5):
                model.embed(TEXTS)
            files, moves = moves_of.count(partial(model.embed, TEXTS))
            rows.append({"backend": backend, "files": files, "moves": moves, "overhead_ms": measure_overhead(model)})
    if arguments.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(
            f"{row['backend']:12} {row['files']:3} files, {row['moves']:3} moves between files, "
            f"{row['overhead_ms']:.3f} ms beside tokenising and the runtime"
        )


class Moves:
    """Counts the calls between files, on threads of which only one does something at a time."""

    def __init__(self) -> None:
        self._is_counting = False
        self._files: set[str] = set()
        self._stack: list[str] = []
        self._moves = 0

    def count(self, call: Callable[[], Any]) -> tuple[int, int]:
        """Counts the files of Inferox that a call passes, and the calls from one of them into another.

        Args:
            call: The call.
        """
        self._files, self._stack, self._moves = set(), [], 0
        self._is_counting = True
        sys.setprofile(self.watch)
        try:
            call()
        finally:
            sys.setprofile(None)
            self._is_counting = False
        return len(self._files), self._moves

    def watch(self, frame: FrameType, event: str, _: Any) -> None:
        """Records a call or a return; for ``sys.setprofile`` and ``threading.setprofile``."""
        name = frame.f_code.co_filename
        if not self._is_counting or not name.startswith(_ROOT):
            return
        if event == "call":
            self._moves += bool(self._stack) and self._stack[-1] != name
            self._stack.append(name)
            self._files.add(name)
        elif event == "return" and self._stack:
            self._stack.pop()


def measure_overhead(model: Any) -> float:
    """Returns the median milliseconds of a call beside tokenising and the runtime.

    Args:
        model: A model from ``inferox.load``.
    """
    inner, tokenizer = model.model, model.task._tokenizer._tokenizer  # noqa: SLF001 - what is measured has no public name
    known: dict[str, Any] = {}
    compute = inner._compute  # noqa: SLF001

    def remember(inputs: Any) -> Any:
        known.update(compute(inputs))
        return known

    inner._compute = remember  # noqa: SLF001
    model.embed(TEXTS)
    inner._compute = lambda _: known  # noqa: SLF001
    try:
        seconds = time_in_turns(
            {
                "whole": lambda: [time_call(lambda: model.embed(TEXTS))],
                # Few texts are tokenised one by one.
                "tokenising": lambda: [time_call(lambda: [tokenizer.encode(text) for text in TEXTS])],
            },
            _CALLS,
        )
    finally:
        inner._compute = compute  # noqa: SLF001
    return 1000 * (Spread.of(seconds["whole"]).median - Spread.of(seconds["tokenising"]).median)


if __name__ == "__main__":
    main()
