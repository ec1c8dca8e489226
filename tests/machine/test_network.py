"""A process without network access, and what it may still do."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

CODE = """
import socket, subprocess, sys, threading, time
from inferox.machine.network import deny_sockets
waiting = threading.Event()
found = []

def connect(*arguments):
    try:
        socket.socket(*arguments).close()
        return "made"
    except PermissionError:
        return "refused"

def work():
    waiting.wait()
    found.append(connect())

before = threading.Thread(target=work)
before.start()
assert connect() == "made"
assert deny_sockets()
waiting.set()
before.join()
found += [connect(socket.AF_INET6), connect(socket.AF_INET, socket.SOCK_DGRAM), connect(socket.AF_UNIX)]
child = "import socket; socket.socket()"
done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
found.append("refused" if "PermissionError" in done.stderr else "made")
pair = socket.socketpair()  # what event loops wake themselves with
pair[0].send(b"a")
assert pair[1].recv(1) == b"a"
print(*found)
"""


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in {"x86_64", "aarch64"}, reason="needs seccomp's filters"
)
def test_no_thread_and_no_child_can_make_a_socket() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=60)  # noqa: S603
    assert done.stdout.split() == ["refused"] * 5, done.stderr
