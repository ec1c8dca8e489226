"""What is known about a machine when something is measured on it."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from inferox.machine import description, processor
from inferox.machine.description import busy_cores


def test_another_program_that_computes_keeps_a_core_busy() -> None:
    spinning = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
    try:
        assert spinning.stdout is not None
        spinning.stdout.readline()
        assert busy_cores() > 0.2
    finally:
        spinning.kill()
        spinning.communicate()


@pytest.mark.parametrize(
    ("shares", "usable", "allowed", "busy"),
    [
        ([100, 50, 0, 0], {0, 1, 2, 3}, 4, 1.5),
        ([100, 50, 0, 0], {1, 2}, 2, 0.5),
        # A container that may use 2 of the 64 cores that it sees.
        ([5] * 64, set(range(64)), 2, 0.0),
        ([100] * 63 + [0], set(range(64)), 2, 1.0),
        ([100] * 64, set(range(64)), 2, 2.0),
    ],
)
def test_only_cores_that_the_process_may_use_count(
    monkeypatch: pytest.MonkeyPatch, shares: list[float], usable: set[int], allowed: int, busy: float
) -> None:
    monkeypatch.setattr(psutil, "cpu_percent", lambda interval, percpu: shares)  # noqa: ARG005 - the names are psutil's
    monkeypatch.setattr("os.sched_getaffinity", lambda _: usable, raising=False)
    monkeypatch.setattr(description, "available_cores", lambda: allowed)
    assert busy_cores() == pytest.approx(busy)


@pytest.mark.parametrize(
    ("stated", "named"),
    [
        ("fpu avx2 fma", ("AVX2",)),
        ("avx2 avx512f avx512_vnni avx512_bf16", ("AVX2", "AVX-512", "VNNI", "bf16")),
        ("avx2 avx_vnni", ("AVX2", "VNNI")),
        ("avx2 avx512f avx512_vnni amx_tile amx_bf16", ("AVX2", "AVX-512", "VNNI", "AMX", "bf16")),
        ("asimd sve i8mm bf16", ("SVE", "I8MM", "bf16")),
        (None, ()),
    ],
)
def test_instruction_sets_are_named(monkeypatch: pytest.MonkeyPatch, stated: str | None, named: tuple[str]) -> None:
    monkeypatch.setattr(processor, "processor_flags", lambda: None if stated is None else frozenset(stated.split()))
    assert processor.processor_instructions() == named
