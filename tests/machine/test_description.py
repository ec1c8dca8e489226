"""What is known about a machine when something is measured on it."""

from __future__ import annotations

import subprocess
import sys

from inferox.machine import available_cores
from inferox.machine.description import busy_cores


def test_another_program_that_computes_keeps_a_core_busy() -> None:
    spinning = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        assert spinning.stdout is not None
        spinning.stdout.readline()
        assert 0.2 < busy_cores() <= available_cores()
    finally:
        spinning.kill()
        spinning.communicate()
