"""Bad input at the command line: one clear line, the right exit code, and no traceback.

Commands are called in this process, unless the test is about the behaviour of a process.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Done, Run, run
from tests.conftest import Command

__all__ = ["run"]


def fails(done: Done, code: int, *texts: str) -> None:
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    for text in texts:
        assert text in done.err
    assert done.err.startswith(("inferox: ", "Usage: "))


def test_no_package(inferox: Command, tmp_path: Path) -> None:
    done = inferox("run", tmp_path / "none.mlpkg", "x")
    fails(Done(done.returncode, "", done.stderr.decode()), 3, "there is no package at")


def test_a_model_directory_is_no_package(run: Run, minilm_directory: Path) -> None:
    fails(run("run", minilm_directory, "x"), 3, "pack it first")


def test_a_file_that_is_no_package(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.mlpkg"
    path.write_bytes(b"not a zip")
    fails(run("inspect", path), 3, "is not a package")


def test_a_truncated_package(run: Run, small_package: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.mlpkg"
    whole = small_package.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    fails(run("run", path, "x"), 3, "truncated or damaged")


def test_packing_what_is_no_model(run: Run, tmp_path: Path) -> None:
    fails(run("pack", tmp_path, "-o", tmp_path / "x.mlpkg"), 3, "not a model directory")
    assert list(tmp_path.iterdir()) == []


def test_packing_over_something_that_exists(run: Run, minilm_directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.mlpkg"
    path.write_text("mine")
    fails(run("pack", minilm_directory, "-o", path), 2, "already exists", "--force")
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (
            ("--backend", "nope"),
            5,
            "there is no backend named 'nope'; registered: candle, onnxruntime, openvino, torch",
        ),
        (("--device", "cuda:7"), 5, "cuda:7"),
        (("--device", "a b"), 2, "is not a device"),
        (("--precision", "fp8"), 2, "there is no precision"),
        (("--precision", "int8"), 5, "the precision int8 was requested"),
        (("--task", "sing"), 2, "there is no task"),
        (("--task", "classify"), 3, "classify"),
        (("--threads", "0"), 2, "--threads"),
        (("--nonsense",), 2, "--nonsense"),
        (("--output", "x.docx"), 2, ".jsonl"),
        (("--output", "no/such/folder/x.npz"), 2, "there is no folder"),
        (("--input", "nope.txt"), 4, "either"),
    ],
)
def test_wrong_options(run: Run, small_package: Path, arguments: tuple[str, ...], code: int, text: str) -> None:
    fails(run("run", small_package, "x", *arguments), code, text)


def test_nothing_to_run_on(run: Run, small_package: Path) -> None:
    fails(run("run", small_package), 4, "got none")


def test_a_file_that_cannot_be_read(run: Run, small_package: Path, tmp_path: Path) -> None:
    fails(run("run", small_package, "--input", tmp_path / "nope.txt"), 4, "cannot be read")


def test_invalid_utf8_names_the_line(run: Run, small_package: Path) -> None:
    fails(run("run", small_package, "-", stdin=b"fine\n\xff\xfe\n"), 4, "line 2 of standard input is not UTF-8")


def test_binary_standard_input(run: Run, small_package: Path) -> None:
    fails(run("run", small_package, "-", stdin=bytes(range(256)) * 40), 4, "is not UTF-8")


def test_malformed_json_lines(run: Run, small_package: Path) -> None:
    fails(run("run", small_package, "--jsonl", "-", stdin=b'"a"\n{"text": \n'), 4, "line 2", "is not JSON")
    fails(run("run", small_package, "--jsonl", "-", stdin=b"[1, 2]\n"), 4, "line 1")


def test_a_lone_surrogate_names_the_text(run: Run, small_package: Path) -> None:
    fails(run("run", small_package, "--jsonl", "-", stdin=b'"a"\n"\\ud800"\n'), 4, "line 2")


@pytest.mark.parametrize("text", ["", "nul \x00 inside", "word " * 20_000])
def test_odd_texts_that_are_fine(inferox: Command, small_package: Path, text: str) -> None:
    done = inferox("run", small_package, "--jsonl", "-", stdin=json.dumps(text).encode())
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["embedding"]) == 16


def test_a_traceback_only_when_asked_for(inferox: Command, tmp_path: Path) -> None:
    done = inferox("run", tmp_path / "none.mlpkg", "x", "--debug")
    assert b"Traceback" in done.stderr
    assert done.returncode == 3


def test_a_reader_that_has_seen_enough(small_package: Path) -> None:
    program = Path(sys.executable).with_name("inferox")
    command = f"yes hello | head -3000 | {program} run {small_package} - --json | head -1; echo ${{PIPESTATUS[2]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120, check=False)  # noqa: S603, S607
    line, code = done.stdout.splitlines()
    assert json.loads(line)["text"] == "hello"
    assert code == b"141"  # as a shell reports any program in that situation
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("redirection", "code", "text"),
    [
        ("> /dev/full", 1, b"standard output cannot be written: No space left on device"),
        (">&-", 2, b"standard output is closed"),
        ("- <&-", 4, b"standard input is closed"),
    ],
)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_broken_standard_streams(small_package: Path, redirection: str, code: int, text: bytes) -> None:
    program = Path(sys.executable).with_name("inferox")
    items = "" if redirection.startswith("-") else "x"
    command = f"{program} run {small_package} {items} --json {redirection}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120, check=False)  # noqa: S603, S607
    assert done.returncode == code
    assert text in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a shell closes the stream")
def test_what_is_said_goes_nowhere_where_standard_error_is_closed(small_package: Path) -> None:
    program = Path(sys.executable).with_name("inferox")
    command = f"{program} verify {small_package} --json 2>&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120, check=False)  # noqa: S603, S607
    assert (done.returncode, json.loads(done.stdout)["ending"]) == (0, "complete")


@pytest.fixture
def _hears_interrupts() -> Iterator[None]:
    """Shells make their background jobs ignore interrupts, and so these tests and everything that they start."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


def assert_interruptible(process: subprocess.Popen[bytes], *, once: Callable[[], bool]) -> None:
    """Interrupts a command once it has reached some output, and expects it to say so and end."""
    deadline = time.monotonic() + 60
    while not once() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted" in message
    assert b"Traceback" not in message


@pytest.mark.usefixtures("_hears_interrupts")
def test_an_interrupt_that_a_library_swallows_is_heard_at_the_next_step(tmp_path: Path) -> None:
    """In a separate process, as a user's command is: PyTorch does not always survive an interrupt within the tests."""
    (tmp_path / "deaf.py").write_text(
        "import time, torch\n"
        "def make():\n"
        "    open('began', 'w').close()\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    except BaseException:\n"
        "        pass\n"
        "    return torch.nn.Linear(2, 2), {'input': torch.zeros(1, 2)}\n"
    )
    program = Path(sys.executable).with_name("inferox")
    process = subprocess.Popen(  # noqa: S603 - our own program
        [program, "pack", "python:deaf:make", "-o", tmp_path / "x.mlpkg", "--trust-code"],
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert_interruptible(process, once=(tmp_path / "began").exists)
    assert not list(tmp_path.glob("*.mlpkg*"))


@pytest.mark.usefixtures("_hears_interrupts")
def test_an_interrupted_pack_leaves_nothing(minilm_directory: Path, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("inferox")
    process = subprocess.Popen(  # noqa: S603 - our own program
        [program, "pack", minilm_directory, "-o", tmp_path / "x.mlpkg"],
        stderr=subprocess.PIPE,
    )
    assert_interruptible(process, once=lambda: bool(list(tmp_path.iterdir())))
    assert list(tmp_path.iterdir()) == []
