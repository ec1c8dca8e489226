"""A backend outside Inferox: installed, found, tested, packed for and run, as its users do."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]

INFEROX = Path(sys.executable).with_name("inferox")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a program in the example's folder, where the example's distribution is installed."""
    folder, example = tmp_path_factory.mktemp("installed"), tmp_path_factory.mktemp("source") / "example"
    # Its own settings apply, not those of the tests around it.
    shutil.copyfile(ROOT / "pyproject.toml", example.parent / "pyproject.toml")
    shutil.copytree(ROOT / "examples" / "third_party_backend", example, ignore=shutil.ignore_patterns("__pycache__"))
    # The build backend comes from the package index if it is not installed here.
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*command, *isolation, "--target", folder, example], check=True, timeout=120)  # noqa: S603
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONSAFEPATH": "1",  # the installed distribution is tested, not the folder
        "INFEROX_STORE": str(tmp_path_factory.mktemp("store")),
    }

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - our own program
            arguments,
            cwd=example,
            env=environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    return run


@pytest.mark.slow
def test_its_own_tests_pass(run: Run) -> None:
    done = run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:timeout")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
    assert "failed" not in done.stdout


def test_doctor_shows_it(run: Run) -> None:
    done = run(INFEROX, "doctor", "--json")
    assert done.returncode == 0, done.stderr
    (found,) = [finding for finding in json.loads(done.stdout) if finding["backend"] == "sparse"]
    assert (found["device"], found["passed"], found["reason"]) == ("cpu", True, None)


@pytest.mark.slow  # testing/test_guide.py and test_numpy_backend.py check the same for a backend in this process
def test_it_is_packed_for_and_run(run: Run, tmp_path: Path) -> None:
    package, source = tmp_path / "pruned.mlpkg", "python:example.py:make_pruned_mlp"
    done = run(INFEROX, "pack", source, "-o", package, "--backends", "torch,sparse", "--json")
    assert done.returncode == 0, done.stderr
    np.savez(tmp_path / "rows.npz", input=np.random.default_rng(0).standard_normal((3, 16)).astype(np.float32))
    answers = []
    for options in (["--backend", "sparse"], ["--backend", "torch", "--trust-code"]):
        done = run(INFEROX, "run", package, "--input", tmp_path / "rows.npz", "--json", *options)
        assert done.returncode == 0, done.stderr
        answers.append(json.loads(done.stdout)["outputs"]["output"])
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)


@pytest.mark.slow
def test_the_commands_of_the_guide(run: Run) -> None:
    for document in ("docs/adding-a-backend.md", "examples/third_party_backend/README.md"):
        (block,) = re.findall(r"```sh\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
        install, *commands = block.splitlines()
        assert install == "pip install '../..[torch]' '.[dev]'"  # which is done
        for command in commands:
            program, *arguments = command.split()
            assert program == "inferox"
            force = ["--force"] if arguments[0] == "pack" else []
            done = run(INFEROX, *arguments, *force)
            assert done.returncode == 0, done.stderr
            assert "sparse" in done.stdout, command
