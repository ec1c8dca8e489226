"""Hot swaps and failovers under load: whether every request is answered, by one version and one artifact.

    python benchmarks/swaps.py PACKAGE [--swaps 300] [--failovers 20] [--callers 16] [--json]

Callers send requests of a few texts each, all the time. Meanwhile versions of the package are loaded and take over, and
their predecessors are unloaded: alternately in fp32 and in int8, whose vectors are so far apart that every row tells
which version computed it. Then the runtime of the serving artifact is broken, again and again, until another takes
over, and mended until it is back. The report counts requests, those that failed, and those with rows that are wrong or
of another version than the answer says; and it gives the milliseconds of a request, undisturbed and meanwhile.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any
from unittest.mock import patch

import numpy as np

import inferox
from inferox.core import Model

TEXTS = [f"{'a text of some words, ' * (index % 7)}number {index}" for index in range(40)]

_SAME = 5e-5
"""The largest distance between the vectors of a text on two runtimes in fp32, in any batch."""


class Callers:
    """Callers that send requests all the time, and check the answers.

    Args:
        engine: The engine.
        count: Their number.
        check: Whether an answer to some texts is right.
    """

    def __init__(self, engine: inferox.Engine, count: int, check: Callable[[Any, range], bool]) -> None:
        self.answered = self.wrong = 0
        self.seconds: list[float] = []
        self.errors: list[str] = []
        self._engine = engine
        self._check = check
        self._stop = Event()
        self._pool = ThreadPoolExecutor(count)
        self._asking: list[Future[None]] = [self._pool.submit(self._ask, index) for index in range(count)]

    def finish(self) -> None:
        """Stops them, each after its answer."""
        self._stop.set()
        for asking in self._asking:
            asking.result()
        self._pool.shutdown()

    def report(self) -> dict[str, Any]:
        """Returns the counts."""
        return {
            "answered": self.answered,
            "failed": len(self.errors),
            "wrong": self.wrong,
            "p50_ms": round(1000 * float(np.percentile(self.seconds, 50)), 1),
            "p99_ms": round(1000 * float(np.percentile(self.seconds, 99)), 1),
            "errors": sorted(set(self.errors)),
        }

    def _ask(self, index: int) -> None:
        first = index
        while not self._stop.is_set():
            first = (first + 7) % (len(TEXTS) - 6)
            rows, began_s = range(first, first + 6), time.perf_counter()
            try:
                answer = self._engine.infer("model", [TEXTS[row] for row in rows])
            except inferox.InferoxError as error:
                self.errors.append(str(error))
                continue
            self.seconds.append(time.perf_counter() - began_s)
            self.answered += 1
            self.wrong += not self._check(answer, rows)


def measure_swaps(package: str, swaps: int, callers: int) -> dict[str, Any]:
    """Swaps versions under load.

    Args:
        package: The package.
        swaps: The number of swaps.
        callers: The number of concurrent callers.
    """
    kinds = ("fp32", "int8")
    alone = {kind: embed(package, precision=kind) for kind in kinds}

    def is_of_its_version(answer: Any, rows: range) -> bool:
        distances = {kind: np.linalg.norm(alone[kind][rows] - answer.results, axis=1) for kind in kinds}
        own, other = kinds[int(answer.version) % 2], kinds[(int(answer.version) + 1) % 2]
        return bool((distances[own] < distances[other]).all())

    with inferox.Engine() as engine:
        engine.load(package, name="model", version="0", precision=kinds[0])
        calm = ask_for(engine, callers, is_of_its_version, lambda: time.sleep(5))

        def swap() -> None:
            for version in range(1, swaps + 1):
                engine.load(package, name="model", version=str(version), precision=kinds[version % 2])
                engine.unload("model", str(version - 1))

        return {"undisturbed": calm, f"{swaps} swaps": ask_for(engine, callers, is_of_its_version, swap)}


def measure_failovers(package: str, failovers: int, callers: int) -> dict[str, Any]:
    """Breaks the serving runtime, and mends it, under load.

    Args:
        package: The package.
        failovers: The number of failovers.
        callers: The number of concurrent callers.
    """
    alone = embed(package, precision="fp32")

    def is_right(answer: Any, rows: range) -> bool:
        return bool(np.abs(answer.results - alone[rows]).max() < _SAME)

    def fail(*_: Any) -> Mapping[str, Any]:
        raise RuntimeError("broken on purpose")

    with inferox.Engine(inferox.EngineConfig(retry_s=0.5)) as engine:
        first = engine.load(package, name="model", precision="fp32")
        runtime = find_model_class(first.artifact.split("/")[0])

        def break_and_mend() -> None:
            for _ in range(failovers):
                with patch.object(runtime, "_compute", fail):
                    wait_until(lambda: engine.models()[0].artifact != first.artifact)
                wait_until(lambda: engine.models()[0].artifact == first.artifact)

        report = ask_for(engine, callers, is_right, break_and_mend)
        return {f"{failovers} failovers": {**report, "counted": engine.stats("model").failovers}}


def ask_for(
    engine: inferox.Engine, callers: int, check: Callable[[Any, range], bool], work: Callable[[], None]
) -> dict[str, Any]:
    """Returns what callers get while something is done."""
    asking = Callers(engine, callers, check)
    try:
        work()
    finally:
        asking.finish()
    return asking.report()


def embed(package: str, **options: Any) -> Any:
    """Returns the vectors of the texts, each computed alone."""
    with inferox.load(package, **options) as model:
        return np.concatenate([model.embed([text]) for text in TEXTS])


def find_model_class(backend: str) -> type[Model]:
    """Finds the class of a backend's loaded models."""
    found, left = [], [Model]
    while left:
        kind = left.pop()
        left += kind.__subclasses__()
        found += [kind] if kind.__module__ == f"inferox.backends.{backend}.model" else []
    return found[0]


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for a condition, for at most two minutes."""
    deadline_s = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError("nothing took over within two minutes")
        time.sleep(0.01)


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", help="a package of the task embed, with artifacts in fp32 and int8")
    parser.add_argument("--swaps", type=int, default=300)
    parser.add_argument("--failovers", type=int, default=20)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = {
        **measure_swaps(arguments.package, arguments.swaps, arguments.callers),
        **measure_failovers(arguments.package, arguments.failovers, arguments.callers),
    }
    if arguments.json:
        print(json.dumps(found))
        return
    for name, report in found.items():
        print(f"{name:14} {', '.join(f'{key} {value}' for key, value in report.items())}")


if __name__ == "__main__":
    main()
