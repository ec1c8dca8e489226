"""Workers that replace others are forked from a process that has imported their modules, and is fit to be forked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from inferox import Engine, EngineConfig
from inferox.core import ExecutionError, RequestError
from inferox.engine.workers.forked_process import ForkedProcess, ForkServer
from inferox.engine.workers.installed_modules import list_installed_modules
from inferox.engine.workers.launcher import Launcher
from tests.engine.workers.factories import CRASH, HERE
from tests.engine.workers.test_workers import is_alive, wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks workers")


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


def start_server(*modules: str, paths: str = "") -> ForkServer:
    return ForkServer(modules, {**os.environ, "PYTHONPATH": os.pathsep.join([paths, *sys.path])})


def test_workers_that_replace_others_are_forked() -> None:
    with Engine(EngineConfig(isolation="process", workers=1, threads=1)) as engine:
        engine.load(f"{HERE}make_dangerous", name="model", trust_code=True)
        first = engine.workers()[0].pid
        assert parent_of(first) == os.getpid()
        with pytest.raises(
            RequestError, match="two worker processes died of it; of the last, its process was ended by"
        ):
            engine.infer("model", [[CRASH]])
        assert engine.infer("model", [[20, 30]]).results[0] == 100
        wait_until(lambda: len(engine.workers()) == 2)
        pids = {worker.pid for worker in engine.workers()}
        servers = set(map(parent_of, pids))
        assert first not in pids
        assert servers.isdisjoint({os.getpid()})
        assert len(servers) == 1
    wait_until(lambda: not any(map(is_alive, pids | servers)))


def test_how_a_fork_ends_is_told() -> None:
    launcher = Launcher(EngineConfig(threads=1))
    launcher.learn(["json"])
    ours, theirs = os.pipe()
    process = launcher.launch((ours, theirs))  # these are no socket and no record: it ends with an error
    assert isinstance(process, ForkedProcess)
    assert process.wait(20) == 1
    process.kill()  # its number may be another's by now
    assert process.wait() == 1
    launcher.close()
    os.close(ours)
    os.close(theirs)


def test_forks_end_with_the_process_that_they_are_forked_from() -> None:
    with Engine(EngineConfig(isolation="process", workers=1, threads=1)) as engine:
        engine.load(f"{HERE}make_dangerous", name="model", trust_code=True)
        os.kill(engine.workers()[0].pid, 9)
        assert engine.infer("model", [[20, 30]]).results[0] == 100
        fork = engine.workers()[0].pid
        server = parent_of(fork)
        assert server != os.getpid()
        os.kill(server, 9)
        wait_until(lambda: not is_alive(fork))
        assert engine.infer("model", [[20, 30]]).results[0] == 100
        assert parent_of(engine.workers()[0].pid) not in {server, os.getpid()}


@pytest.mark.parametrize(
    ("code", "obstacle"),
    [
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()", "threads"),
        ("device = open('/dev/full', 'w')", "opened /dev/full"),
        ("import os\nos._exit(3)", "has ended"),
    ],
)
def test_a_process_that_is_not_fit_is_not_forked(tmp_path: Path, code: str, obstacle: str) -> None:
    (tmp_path / "unfit.py").write_text(code, encoding="utf-8")
    with pytest.raises(ExecutionError, match=obstacle):
        start_server("unfit", paths=str(tmp_path))


def test_workers_are_new_processes_where_forks_are_not_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "unfit.py").write_text("import os\nos._exit(3)", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    launcher = Launcher(EngineConfig(threads=1))
    launcher.learn(["unfit"])
    with (tmp_path / "file").open("w") as file:
        process = launcher.launch((file.fileno(), file.fileno()))
        assert isinstance(process, subprocess.Popen)
        assert process.wait(30) == 1
    launcher.close()


def test_a_server_serves_until_its_forks_have_ended() -> None:
    launcher = Launcher(EngineConfig(threads=1))
    launcher.learn(["json"])
    ours, theirs = os.pipe()
    first = launcher.launch((ours, theirs))
    launcher.learn(["csv"])  # the next one is forked from a process that has this, too
    second = launcher.launch((ours, theirs))
    assert parent_of(first.pid) != parent_of(second.pid)
    assert first.wait(20) == second.wait(20) == 1
    launcher.close()
    os.close(ours)
    os.close(theirs)


def test_a_server_that_is_stopped_does_not_stop_others(monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_server("json")
    monkeypatch.setattr("inferox.engine.workers.forked_process._ANSWER_S", 0.2)
    os.kill(server._process.pid, 19)
    began_s = time.monotonic()
    with pytest.raises(ExecutionError, match="does not answer"):
        server._ask({"wait": 1}, timeout_s=0.1)
    server.close()
    assert time.monotonic() - began_s < 10
    assert not is_alive(server._process.pid)


def test_modules_of_the_user_are_not_imported_before_a_model_needs_them() -> None:
    modules = list_installed_modules()
    assert {"json.decoder", "numpy", "inferox.engine.workers.launcher"} <= set(modules)
    assert not [name for name in modules if name.startswith(("tests", "__main__"))]
