"""Engines in forks of their process, and at the end of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from types import FrameType
from typing import Any

import pytest

from inferox import Engine, EngineConfig
from inferox.core import ConfigError, MemoryRequirements
from tests.engine.models import DoublingModel, load_doubling
from tests.engine.workers.factories import HERE

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork processes")


@pytest.fixture(params=["thread", "process"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """An engine whose threads have begun."""
    if request.param == "thread":
        with Engine() as engine:
            engine.register(load_doubling())
            asyncio.run(engine.ainfer("doubling", [[1]]))
            yield engine
    else:
        with Engine(EngineConfig(isolation="process", threads=1)) as engine:
            engine.load(f"{HERE}make_dangerous", name="doubling", trust_code=True)
            asyncio.run(engine.ainfer("doubling", [[1]]))
            yield engine


def in_a_fork(act: Callable[[], object]) -> str:
    """Returns what a fork of this process says of an action: its result, or its error."""
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        signal.alarm(20)  # one that waits forever is ended
        try:
            said = repr(act())
        except BaseException as error:  # noqa: BLE001 - said to the parent
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as said_by_child:
        said = said_by_child.read()
    os.waitpid(child, 0)
    return said


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_an_engine_is_of_one_process_and_says_so_in_a_fork(engine: Engine) -> None:
    session = engine.session("doubling", None)
    refused: list[Callable[[], object]] = [
        lambda: engine.infer("doubling", [[1]]),
        lambda: asyncio.run(engine.ainfer("doubling", [[1]])),
        lambda: engine.infer_many("doubling", [[[1]]]),
        lambda: list(engine.stream("doubling", [[1]])),
        lambda: session.infer([[1]]),
        lambda: engine.session("doubling", None),
        lambda: engine.load("/nowhere"),
        lambda: engine.unload("doubling"),
        lambda: engine.label("doubling", "stable", "1"),
        lambda: engine.stats("doubling"),
        engine.models,
        engine.workers,
        engine.restarts,
    ]
    for act in refused:
        assert "ConfigError: the engine belongs to another process" in in_a_fork(act)
    assert in_a_fork(engine.close) == "None"
    assert engine.infer("doubling", [[2]], deadline_s=20).results == [4]  # nothing that a fork does is seen here
    assert sum(engine.restarts().values()) == 0
    session.close()


@needs_fork
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.usefixtures("engine")
def test_a_fork_may_have_an_engine_of_its_own() -> None:
    def use_another() -> object:
        with Engine() as own:
            own.register(load_doubling())
            return own.infer("doubling", [[3]], deadline_s=20).results

    assert in_a_fork(use_another) == "[6]"


def test_no_lock_is_left_held_by_an_interrupt_while_a_caller_takes_it(engine: Engine) -> None:
    def interrupt(frame: FrameType, event: str, _: Any) -> Any:
        caller = frame.f_back
        is_lock = frame.f_code.co_name == "__enter__" and frame.f_code.co_filename == threading.__file__
        if event == "return" and is_lock and caller is not None and "inferox" in Path(caller.f_code.co_filename).parts:
            raise KeyboardInterrupt
        return interrupt

    sys.settrace(interrupt)
    try:
        answer = engine.infer("doubling", [[2]], deadline_s=20)
    except KeyboardInterrupt:
        answer = None  # a method of Python takes a lock, and may be interrupted when it has it
    finally:
        sys.settrace(None)
    assert answer is not None
    assert answer.results == [4]


SCRIPT = """
    import atexit, threading, time

    def ask_late():
        try:
            engine.infer("doubling", [[1]], deadline_s=30)
        except Exception as error:
            print("late:", type(error).__name__, flush=True)

    atexit.register(ask_late)

    from inferox import Engine
    from tests.engine.models import DoublingModel, load_doubling

    class Slow(DoublingModel):
        def _compute(self, inputs):
            found = super()._compute(inputs)
            time.sleep(0.5)
            print("computed", len(inputs["input_ids"]), flush=True)
            return found

    model = Slow()
    engine = Engine()
    engine.register(load_doubling(model))

    def ask(items):
        try:
            engine.infer("doubling", items)
        except Exception as error:
            print(type(error).__name__, flush=True)

    for items in ([[1]], [[1, 2], [1, 2]]):
        threading.Thread(target=ask, args=[items], daemon=True).start()
        model.has_begun.wait()
    time.sleep(0.2)
"""


def test_what_is_computed_at_exit_is_waited_for_and_what_waits_fails() -> None:
    """A thread that is in a runtime's code while the interpreter ends would abort the process."""
    root = str(Path(__file__).parents[2])
    run = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, "-c", dedent(SCRIPT)], cwd=root, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == ["ShuttingDownError", "computed 1", "late: ShuttingDownError"]


def test_a_model_that_cannot_be_closed_holds_no_memory_any_more() -> None:
    class Stuck(DoublingModel):
        def close(self) -> None:
            raise RuntimeError("stuck")

    with Engine(EngineConfig(memory_limit_bytes=2**30)) as engine:
        for model in (Stuck(), DoublingModel()):
            model._memory = MemoryRequirements(2**30 - 1)
            engine.register(load_doubling(model))
            if isinstance(model, Stuck):
                with pytest.raises(RuntimeError, match="stuck"):
                    engine.unload("doubling")
        with pytest.raises(ConfigError):
            engine.register(load_doubling(model), name="another")
