"""``--isolated``: a runtime that crashes ends a process of its own, and what is left is one error."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

import inferox
from tests.attacks.test_graphs import forge
from tests.cli.conftest import Run
from tests.sources.graphs import make_affine, save_affine


def make_crash() -> ModelProto:
    """y = x @ weight + bias + (the least integer / -1), which processors refuse with a signal."""
    least = np.array([np.iinfo(np.int64).min])
    nodes = [
        helper.make_node("ReduceMin", ["x"], ["zero"], keepdims=0),
        helper.make_node("Cast", ["zero"], ["number"], to=TensorProto.INT64),
        helper.make_node("Mul", ["number", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "minus"], ["divisor"]),
        helper.make_node("Div", ["least", "divisor"], ["quotient"]),
        helper.make_node("Cast", ["quotient"], ["floating"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["sum", "floating"], ["y"]),
    ]
    model = make_affine(*nodes)
    for name, array in {"least": least, "nothing": np.array([0]), "minus": np.array([-1])}.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    return model


@pytest.fixture
def package(tmp_path: Path) -> Path:
    inferox.pack(save_affine(tmp_path / "affine.onnx"), tmp_path / "package", backends=("onnxruntime",))
    return tmp_path / "package"


def test_an_isolated_command_says_what_it_would_say_otherwise(run: Run, package: Path) -> None:
    for command in ("verify", "inspect"):
        plain, isolated = run(command, package, "--json"), run(command, package, "--json", "--isolated")
        assert (isolated.code, isolated.err) == (0, "")
        assert json.loads(isolated.out) == json.loads(plain.out)
    assert "affine" in run("inspect", "--table", "--isolated", package).out


def test_an_error_within_is_passed_on(run: Run, tmp_path: Path) -> None:
    plain, isolated = (run("verify", tmp_path / "none", *more) for more in ([], ["--isolated"]))
    assert (isolated.code, isolated.err) == (plain.code, plain.err)
    assert plain.code == 3


def test_a_crash_is_one_error(run: Run, package: Path) -> None:
    forge(package, "model.onnx", make_crash().SerializeToString())
    done = run("verify", package, "--isolated")
    assert done.code == 3
    assert done.out == ""
    assert "was ended by SIGFPE" in done.err
    assert "Traceback" not in done.err


def test_a_crash_while_packing_is_one_error(run: Run, tmp_path: Path) -> None:
    onnx.save(make_crash(), tmp_path / "crash.onnx")
    done = run("pack", tmp_path / "crash.onnx", "-o", tmp_path / "out", "--backends", "onnxruntime", "--isolated")
    assert done.code == 3
    assert "was ended by SIGFPE" in done.err
    assert not (tmp_path / "out").exists()


def test_time_and_memory_are_limited(run: Run, package: Path) -> None:
    late = run("verify", package, "--isolated", "--time-limit", "0.01")
    assert late.code == 3
    assert "took longer than 0.01 s" in late.err
    assert run("verify", package, "--isolated", "--memory-limit=0.02").code != 0


def test_limits_are_for_isolated_commands(run: Run, package: Path) -> None:
    done = run("verify", package, "--time-limit", "5")
    assert done.code == 2
    assert "are for --isolated" in done.err
