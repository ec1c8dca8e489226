"""Replacement workers are forked from a process that has imported their modules, and is fit to be forked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from inferox import Engine, EngineConfig
from inferox.core import ExecutionError, RequestError
from inferox.engine.workers.fork_server import _leaves_room
from inferox.engine.workers.forked_process import ForkedProcess, ForkServer
from inferox.engine.workers.launcher import Launcher
from inferox.engine.workers.pool import WorkerPool
from inferox.engine.workers.prerequisite_list import list_prerequisites
from inferox.engine.workers.prerequisites import Prerequisites
from inferox.machine.cgroup import MemoryLimit
from tests.engine.thread_limit import no_more_threads
from tests.engine.workers.factories import CRASH, HERE, TOKENIZER_VARIABLE
from tests.engine.workers.test_workers import is_alive, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers")


def start_launcher() -> Launcher:
    """Makes a launcher that has replaced a worker, and forks the next."""
    launcher = Launcher(EngineConfig(threads=1))
    launcher.learn(Prerequisites(("json",)))
    with Path(os.devnull).open("w") as file:  # no socket: the worker ends with an error
        assert launcher.launch((file.fileno(), file.fileno())).wait(30) == 1
    assert is_ready(launcher)
    return launcher


def is_ready(launcher: Launcher) -> bool:
    """Returns whether workers are forked, once the process that they are forked from has been started."""
    if (starting := launcher._starting) is not None:
        starting.join(30)
    return launcher._server is not None


def wait_for_server(engine: Engine) -> None:
    pool = engine._host
    assert isinstance(pool, WorkerPool)
    assert is_ready(pool._launcher)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def test_a_worker_is_started_as_a_new_process_where_no_thread_can_prepare_the_fork_of_one() -> None:
    launcher = Launcher(EngineConfig(threads=1))
    launcher.learn(Prerequisites(("json",)))
    with no_more_threads(), Path(os.devnull).open("w") as file:
        process = launcher.launch((file.fileno(), file.fileno()))
    assert isinstance(process, subprocess.Popen)
    assert process.wait(30) == 1
    launcher.close()


def test_workers_that_replace_others_are_forked_and_have_their_tokenizers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, log = tmp_path / "tokenizer.json", tmp_path / "log"
    Tokenizer(BPE()).save(str(file))
    monkeypatch.setenv(TOKENIZER_VARIABLE, str(file))
    with Engine(EngineConfig(isolation="process", workers=1, threads=1)) as engine:
        engine.load(f"{HERE}make_with_tokenizer", name="model", trust_code=True)
        first = engine.workers()[0].pid
        assert parent_of(first) == os.getpid()
        os.kill(first, 9)
        assert engine.infer("model", [[20, 30]]).results[0] == 100
        wait_for_server(engine)
        with pytest.raises(
            RequestError, match="two worker processes died of it; of the last, its process was ended by"
        ):
            engine.infer("model", [[CRASH]])
        assert engine.infer("model", [[20, 30]]).results[0] == 100
        wait_until(lambda: len(engine.workers()) == 2)
        wait_until(lambda: log.read_text().split().count("ready") == 3)  # two workers and the sandbox
        pids = {worker.pid for worker in engine.workers()}
        (server,) = set(map(parent_of, pids))
        assert server != os.getpid()
    wait_until(lambda: not any(map(is_alive, pids | {server})))
    assert log.read_text().split() == ["read"] * 2 + ["ready"] * 3  # two new processes, and those three


def test_the_end_of_a_fork_is_reported() -> None:
    launcher = start_launcher()
    ours, theirs = os.pipe()
    process = launcher.launch((ours, theirs))  # neither a socket nor a record: the worker ends with an error
    assert isinstance(process, ForkedProcess)
    assert process.wait(20) == 1
    process.kill()  # its process id may be reused by now
    assert process.wait() == 1
    launcher.close()
    os.close(ours)
    os.close(theirs)


def test_forks_end_with_the_process_that_they_are_forked_from() -> None:
    with Engine(EngineConfig(isolation="process", workers=1, threads=1)) as engine:
        engine.load(f"{HERE}make_dangerous", name="model", trust_code=True)
        for _ in range(2):
            os.kill(engine.workers()[0].pid, 9)
            assert engine.infer("model", [[20, 30]]).results[0] == 100
            wait_for_server(engine)
        fork = engine.workers()[0].pid
        server = parent_of(fork)
        assert server != os.getpid()
        os.kill(server, 9)
        wait_until(lambda: not is_alive(fork))
        assert engine.infer("model", [[20, 30]]).results[0] == 100
        wait_for_server(engine)


UNFIT = {
    "has_thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "has_device": "device = open('/dev/full', 'w')",
    "ends": "import os\nos._exit(3)",
    "imports_unfit": "import has_thread",
    "fit": "",
}


def test_modules_after_which_a_process_is_not_fit_are_left_to_the_forks(tmp_path: Path) -> None:
    for name, code in UNFIT.items():
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    script = (
        "import sys\nfrom inferox.engine.workers.fork_server import find_obstacle, import_fit\n"
        f"import_fit({[*UNFIT, 'ends.below', 'missing']})\n"
        f"print(find_obstacle(), [name for name in {list(UNFIT)} if name in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "None ['fit']"


@pytest.mark.parametrize(
    ("code", "obstacle"), [(UNFIT["has_thread"], "it has 2 threads"), (UNFIT["has_device"], "it has opened /dev/full")]
)
def test_what_is_not_fit_says_why(code: str, obstacle: str) -> None:
    script = f"{code}\nfrom inferox.engine.workers.fork_server import find_obstacle\nprint(find_obstacle())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == obstacle


def test_workers_are_new_processes_where_forks_are_not_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import sys\nif any('fork_server' in word for word in sys.orig_argv): import has_thread"
    (tmp_path / "sitecustomize.py").write_text(code, encoding="utf-8")
    (tmp_path / "has_thread.py").write_text(UNFIT["has_thread"], encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    server = ForkServer(os.environ)
    with pytest.raises(ExecutionError, match="workers cannot be forked: it has 2 threads"):
        server.prepare(Prerequisites(("json",)))
    server.close()
    launcher = Launcher(EngineConfig(threads=1))
    launcher.learn(Prerequisites(("json",)))
    with (tmp_path / "file").open("w") as file:
        for _ in range(2):
            process = launcher.launch((file.fileno(), file.fileno()))
            assert isinstance(process, subprocess.Popen)
            assert process.wait(30) == 1
            assert not is_ready(launcher)
    launcher.close()


def test_a_server_serves_until_its_forks_have_ended() -> None:
    launcher = start_launcher()
    ours, theirs = os.pipe()
    first = launcher.launch((ours, theirs))
    server = parent_of(first.pid)
    launcher.learn(Prerequisites(("csv",)))  # the next ones are forked from a process that has it, too
    second = launcher.launch((ours, theirs))
    assert is_ready(launcher)
    third = launcher.launch((ours, theirs))
    assert parent_of(second.pid) == os.getpid()
    assert parent_of(third.pid) not in {server, os.getpid()}
    assert is_alive(server)
    assert [process.wait(20) for process in (first, second, third)] == [1, 1, 1]
    launcher.close()
    assert not is_alive(server)
    os.close(ours)
    os.close(theirs)


def test_a_server_that_is_being_started_ends_where_nobody_needs_it() -> None:
    launcher = Launcher(EngineConfig(threads=1))
    launcher.learn(Prerequisites(("json",)))
    with Path(os.devnull).open("w") as file:
        process = launcher.launch((file.fileno(), file.fileno()))
    wait_until(lambda: launcher._being_started is not None)
    pid = launcher._being_started._process.pid  # type: ignore[union-attr]
    launcher.close()
    assert not is_alive(pid)
    assert process.wait(30) == 1


def test_a_server_that_is_stopped_does_not_stop_others(monkeypatch: pytest.MonkeyPatch) -> None:
    server = ForkServer(os.environ)
    monkeypatch.setattr("inferox.engine.workers.forked_process._ANSWER_S", 0.2)
    os.kill(server._process.pid, 19)
    began_s = time.monotonic()
    with pytest.raises(ExecutionError, match="does not answer"):
        server._ask({"wait": 1}, timeout_s=0.1)
    server.close()
    assert time.monotonic() - began_s < 10
    assert not is_alive(server._process.pid)


def test_a_late_answer_is_never_taken_for_another() -> None:
    server = ForkServer(os.environ)
    server.prepare(Prerequisites(("json",)))
    os.kill(server._process.pid, 19)
    with pytest.raises(ExecutionError, match="does not answer"):
        server._ask({"import": [], "read": [], "load": {}}, timeout_s=0.1)
    os.kill(server._process.pid, 18)
    assert server._process.wait(20) == -9
    with pytest.raises(ExecutionError, match="has been ended"):
        server._ask({"wait": 1})
    server.close()


def test_where_there_is_no_room_for_another_fork_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = tmp_path / "full"
    code = (
        "import os\nfork = os.fork\n"
        "def fork_or_fail():\n"
        f"    if os.path.exists({str(full)!r}): raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "    return fork()\n"
        "os.fork = fork_or_fail"
    )
    (tmp_path / "sitecustomize.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    server = ForkServer(os.environ)
    server.prepare(Prerequisites(("json",)))
    ours, theirs = os.pipe()
    first = server.fork("{}", os.environ, (ours, theirs))
    full.touch()
    with pytest.raises(ExecutionError, match=r"no worker can be forked: .*Resource temporarily unavailable"):
        server.fork("{}", os.environ, (ours, theirs))
    full.unlink()
    assert [first.wait(20), server.fork("{}", os.environ, (ours, theirs)).wait(20)] == [1, 1]
    server.close()
    os.close(ours)
    os.close(theirs)


def test_modules_of_the_user_are_not_imported_before_a_model_needs_them() -> None:
    modules = list_prerequisites().modules
    assert {"json.decoder", "numpy", "inferox.engine.workers.launcher"} <= set(modules)
    assert not [name for name in modules if name.startswith(("tests", "__main__"))]


LOADS = {
    "fit": "print('loaded')",
    "starts a thread": "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()",
    "ends": "os._exit(0)",
    "raises": "raise ValueError",
}


def test_what_backends_load_in_advance_is_loaded_only_where_a_fork_of_the_process_is_fit_then() -> None:
    script = (
        "import os, threading, time\nfrom inferox.engine.workers import fork_server\n"
        "class Fake:\n"
        "    def load_in_advance(self, listed):\n"
        "        exec(listed[0])\n"
        "        loaded.append(listed[0])\n"
        "loaded = []\nfork_server.get_backend = lambda name: Fake()\n"
        f"for code in {list(LOADS.values())}:\n    fork_server.load_fit({{'fake': [code]}})\n"
        "assert loaded == [\"print('loaded')\"], loaded\nassert fork_server.find_obstacle() is None"
    )
    subprocess.run([sys.executable, "-c", script], check=True)  # noqa: S603


def test_under_a_limit_of_memory_nothing_is_loaded_that_no_worker_counts() -> None:
    found = Prerequisites(("json",), (), {"onnxruntime": ("a session",)})
    for limit, loaded in ((None, found.loaded), (2**30, {})):
        launcher = Launcher(EngineConfig(threads=1, memory_limit_bytes=limit))
        launcher.learn(found)
        assert launcher._known == Prerequisites(found.modules, (), loaded)
        launcher.close()


def test_a_container_has_room_for_what_is_loaded_once_more() -> None:
    before = MemoryLimit(100, 20)
    assert _leaves_room(None, before)
    assert _leaves_room(before, MemoryLimit(100, 59))
    assert not _leaves_room(before, MemoryLimit(100, 61))
