"""The fixtures and hooks of all tests."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.cores import stay_on_one_core
from tests.shared import SharedFolders, find_minilm
from tests.timing import format_folder_times

Command = Callable[..., "subprocess.CompletedProcess[bytes]"]

stay_on_one_core()

# The duration of an example depends on what else the machine does, so no test may fail because of it. The examples
# depend only on the test, so that a run repeats the one before; "make test-random" draws others, and
# "make test-all" twice as many.
settings.register_profile("inferox", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("thorough", deadline=None, derandomize=True, max_examples=100)
settings.register_profile("random", deadline=None, print_blob=True, max_examples=100)
settings.load_profile("inferox")


@pytest.fixture(scope="session", autouse=True)
def _own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps packages that tests unpack and verify out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFEROX_STORE", str(tmp_path_factory.mktemp("store")))
        yield


@pytest.fixture(scope="module", autouse=True)
def _exempt_what_is_there() -> None:
    """Keeps Python from searching what earlier modules have imported: half a million objects for each closed model."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def minilm_directory() -> Path:
    """The folder of all-MiniLM-L6-v2 with its real weights, from the distribution that contains it."""
    return find_minilm()


@pytest.fixture(scope="session")
def shared_folders(tmp_path_factory: pytest.TempPathFactory) -> SharedFolders:
    """Folders of costly test data, which all processes of this run share."""
    root = tmp_path_factory.getbasetemp()
    return SharedFolders((root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "shared")


@pytest.fixture(scope="session")
def inferox(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Runs ``inferox`` as a user does: in a separate process, with a store of its own."""
    environment = {**os.environ, "INFEROX_STORE": str(tmp_path_factory.mktemp("store")), "HF_HUB_OFFLINE": "1"}
    program = Path(sys.executable).with_name("inferox")

    def run(*arguments: str | Path, stdin: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(  # noqa: S603 - our own program
            [program, *arguments], input=stdin, capture_output=True, env=environment, cwd=cwd, timeout=240, check=False
        )

    return run


@pytest.fixture(scope="session")
def minilm_package(shared_folders: SharedFolders, inferox: Command, minilm_directory: Path) -> Path:
    """all-MiniLM-L6-v2 in fp32 for every runtime, as one file, packed by the command."""

    def fill(folder: Path) -> None:
        runtimes = ("--backends", "torch,onnxruntime,openvino,candle", "--precision", "fp32")
        done = inferox("pack", minilm_directory, "-o", folder / "minilm.mlpkg", "--name", "minilm", *runtimes)
        assert done.returncode == 0
        # Its own progress; the libraries say nothing.
        assert all(line.startswith(b"inferox: ") for line in done.stderr.splitlines()), done.stderr

    return shared_folders.get("minilm", fill) / "minilm.mlpkg"


@pytest.fixture(scope="session")
def packages(shared_folders: SharedFolders, minilm_directory: Path) -> dict[str, Path]:
    """The small packages, by task."""
    from tests.task_packages import get_task_packages  # which imports PyTorch

    return get_task_packages(shared_folders, minilm_directory)


@pytest.fixture(scope="session")
def bert_in_all_forms(shared_folders: SharedFolders, minilm_directory: Path) -> Path:
    """A small BERT with MiniLM's tokenizer for three runtimes, in fp32 and in int8, as a folder beside its source."""
    from inferox import pack
    from tests.packing.test_kinds import save_text_model

    def fill(folder: Path) -> None:
        save_text_model(folder / "source", minilm_directory, "bert", "Model")
        runtimes = ("torch", "onnxruntime", "openvino")
        pack(folder / "source", folder / "bert", backends=runtimes, precisions=("fp32", "int8"))

    return shared_folders.get("bert in all forms", fill) / "bert"


@pytest.fixture(scope="session")
def bert_package(shared_folders: SharedFolders, bert_in_all_forms: Path) -> Path:
    """The same in fp32, as one file beside its source."""
    from inferox.core import Precision
    from tests.fewer_artifacts import keep_artifacts

    def fill(folder: Path) -> None:
        shutil.copytree(bert_in_all_forms.parent / "source", folder / "source")
        keep_artifacts(bert_in_all_forms, folder / "bert.mlpkg", lambda artifact: artifact.precision is Precision.FP32)

    return shared_folders.get("bert", fill) / "bert.mlpkg"


@pytest.fixture(scope="session")
def classifier_package(shared_folders: SharedFolders, minilm_directory: Path) -> Path:
    """A small BERT that classifies, in fp32 for ONNX Runtime and OpenVINO, as one file."""
    from inferox import pack
    from tests.packing.test_kinds import save_text_model

    def fill(folder: Path) -> None:
        save_text_model(folder / "source", minilm_directory, "bert", "ForSequenceClassification", num_labels=5)
        backends = ("onnxruntime", "openvino")
        pack(folder / "source", folder / "classifier.mlpkg", task="classify", backends=backends, precisions=("fp32",))

    return shared_folders.get("classifier", fill) / "classifier.mlpkg"


@pytest.fixture(scope="session")
def recurrent_package(shared_folders: SharedFolders) -> Path:
    """A recurrent network as a folder: it takes one length with PyTorch, and every length with ONNX Runtime."""
    from inferox import pack
    from tests.packing.modules import make_lstm

    def fill(folder: Path) -> None:
        pack(make_lstm, folder / "lstm", backends=("torch", "onnxruntime"), dims={"steps": ("batch", "seq", 4)})

    return shared_folders.get("recurrent", fill) / "lstm"


@pytest.fixture(scope="session")
def image_package(shared_folders: SharedFolders) -> Path:
    """A small convolutional network in fp32 for ONNX Runtime and OpenVINO, as a folder."""
    from inferox import pack
    from tests.packing.modules import make_cnn

    def fill(folder: Path) -> None:
        pack(make_cnn, folder / "cnn", backends=("onnxruntime", "openvino"), precisions=("fp32",), name="cnn")

    return shared_folders.get("image", fill) / "cnn"


@pytest.fixture(scope="session")
def served_packages(
    shared_folders: SharedFolders,
    minilm_directory: Path,
    bert_in_all_forms: Path,
    classifier_package: Path,
    image_package: Path,
) -> dict[str, Path]:
    """The small packages for other runtimes than PyTorch, by task: processes that serve them start seconds earlier."""
    from tests.task_packages import get_served_packages

    others = {"embed": bert_in_all_forms, "classify": classifier_package, "raw": image_package}
    return get_served_packages(shared_folders, minilm_directory, others)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keeps Python from searching objects for garbage that live until the end: the libraries, and the tests themselves.

    They are most of a million objects. Searching them took a fifth of the time of their collection, and a tenth of the
    time of the tests. A tenth of them is garbage already, which is not worth searching all of them either.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


FIRST = ("tests/e2e/test_minilm.py", "tests/test_public_surface.py")
"""The module that makes the package for which others would wait, and a long one that would otherwise run alone at the
end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts first what another process would otherwise wait for at the end."""
    order = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: order.get(item.nodeid.partition("::")[0], len(order)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Prints the time of each folder, if the slowest tests are requested."""
    if config.getoption("durations") is None:
        return
    reports = [report for found in terminalreporter.stats.values() for report in found if hasattr(report, "when")]
    terminalreporter.section("folders of tests")
    for line in format_folder_times(report for report in reports if hasattr(report, "duration")):
        terminalreporter.write_line(line)
