from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from threading import Thread, current_thread
from threading import enumerate as enumerate_threads

import numpy as np
import pytest
import torch

from inferox.backends.torch.compute_thread import ComputeThread
from inferox.backends.torch.loaders.formats import LOADERS
from inferox.backends.torch.model import Program, TorchModel
from inferox.core import Artifact, ConfigError, DataType, ExecutionError, LoadError, Signature, TensorSpec
from inferox.machine import available_cores
from tests.backends.torch.artifacts import affine_inputs, affine_output, load, make_affine, make_artifact

SIGNATURE = Signature(
    (TensorSpec("x", DataType.F32, ("batch", 1)),), (TensorSpec("threads", DataType.F32, ("batch", 1)),)
)
ONE_ROW = {"x": np.zeros((1, 1), np.float32)}


@pytest.fixture
def own_threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield 3
    torch.set_num_threads(before)


@pytest.fixture
def counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """An artifact that returns the number of threads with which it is computed."""

    def count(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return torch.full_like(inputs["x"], torch.get_num_threads())

    monkeypatch.setitem(LOADERS, "torchscript", lambda *_: Program(count, 0))
    return make_artifact(tmp_path, "torchscript", {}, signature=SIGNATURE)


@pytest.fixture
def scripted(tmp_path: Path) -> Artifact:
    torch.jit.save(torch.jit.script(make_affine()), tmp_path / "model.pt")
    return make_artifact(tmp_path, "torchscript", {"program": "model.pt"})


def count_threads(model: TorchModel) -> int:
    return int(model.forward(ONE_ROW)["threads"].numpy()[0, 0])


def test_each_model_keeps_its_threads_whoever_calls_it(counting: Artifact, own_threads: int) -> None:
    one, two, default = (load(counting, threads=threads) for threads in (1, 2, None))
    with ThreadPoolExecutor(4) as callers:
        found = list(callers.map(count_threads, [one, two, default, one] * 4))
    assert found == [1, 2, available_cores(), 1] * 4
    assert [count_threads(model) for model in (two, one)] == [2, 1]
    assert torch.get_num_threads() == own_threads


@pytest.mark.parametrize("threads", [0, -1])
def test_fewer_threads_than_one(counting: Artifact, threads: int) -> None:
    with pytest.raises(ConfigError, match=f"must be a positive integer, but is {threads}"):
        load(counting, threads=threads)


def test_threads_end_with_their_models(scripted: Artifact, tmp_path: Path) -> None:
    def running() -> list[Thread]:
        return [thread for thread in enumerate_threads() if thread.name.startswith("inferox small")]

    before = len(running())
    closed, dropped = load(scripted), load(scripted)
    for model in (closed, dropped):
        model.forward(affine_inputs())
    assert len(running()) == before + 2
    closed.close()
    del model, dropped
    gc.collect()
    with pytest.raises(LoadError):
        load(make_artifact(tmp_path, "torchscript", {"program": "absent.pt"}))
    for thread in running()[before:]:
        thread.join(10)
    assert len(running()) == before
    with pytest.raises(ExecutionError, match="closed"):
        closed.forward(affine_inputs())


def test_a_closed_thread_leaves_calls_to_their_callers() -> None:
    thread = ComputeThread("closed")
    assert thread.run(current_thread) is not current_thread()
    thread.close()
    thread.close()
    assert thread.run(current_thread) is current_thread()


def test_calls_keep_the_context_of_their_callers() -> None:
    number, thread = ContextVar("number", default=0), ComputeThread("context")
    number.set(7)
    assert thread.run(number.get) == 7
    thread.close()


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="needs processes that are forked")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_computes_too(scripted: Artifact) -> None:
    model = load(scripted, threads=2)
    expected = affine_output()
    np.testing.assert_allclose(model.forward(affine_inputs())["y"].numpy(), expected, rtol=1e-6)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        is_equal = np.allclose(model.forward(affine_inputs())["y"].numpy(), expected, rtol=1e-6)
        os._exit(0 if is_equal else 1)
    assert os.waitpid(child, 0)[1] == 0
