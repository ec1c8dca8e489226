"""``inferox doctor``: checks every backend on this machine."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

from inferox.cli.options import debug_option, json_option
from inferox.cli.terminal import make_console, say

if TYPE_CHECKING:
    from inferox.core import Device

EXIT_NO_BACKEND = 5


@dataclass(frozen=True)
class Finding:
    """The result of checking one device of a backend, or a backend without devices.

    Attributes:
        backend: The backend's name.
        version: The runtime's version; ``None`` if the backend is not available.
        device: The device's name; ``None`` if there is none.
        memory_total_bytes: The device's memory; ``None`` if unknown.
        memory_free_bytes: The free part of it; ``None`` if unknown.
        passed: Whether a small computation gave the right numbers.
        reason: The reason why it failed; ``None`` if it passed.
        hint: What to install or change; ``None`` if nothing is wrong, or unknown.
    """

    backend: str
    version: str | None
    device: str | None
    memory_total_bytes: int | None
    memory_free_bytes: int | None
    passed: bool
    reason: str | None
    hint: str | None


@click.command(short_help="Check every backend on this machine.", epilog="Example: inferox doctor --json")
@json_option
@debug_option
def doctor(*, as_json: bool) -> None:
    """Check every backend: version, devices, memory, and a real computation on each device.

    Ends with exit code 5 if no backend works.
    """
    from inferox.backends.registry import backend_names

    findings = [finding for name in backend_names() for finding in _examine(name)]
    if as_json:
        import json

        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        _print(findings)
    if not any(finding.passed for finding in findings):
        sys.exit(EXIT_NO_BACKEND)


def _examine(name: str) -> list[Finding]:
    from inferox.backends.registry import get_backend, probe_backend
    from inferox.core import ErrorBorder, ExecutionError, InferoxError

    availability = probe_backend(name)
    if not availability.available:
        return [Finding(name, None, None, None, None, passed=False, reason=availability.reason, hint=availability.hint)]
    try:
        with ErrorBorder(f"the backend {name}")("listing its devices", default=ExecutionError):
            found = [_examine_device(name, availability.version, device) for device in get_backend(name).devices()]
    except InferoxError as error:
        reason, hint = error.message, error.hint
        return [Finding(name, availability.version, None, None, None, passed=False, reason=reason, hint=hint)]
    nothing = Finding(name, availability.version, None, None, None, passed=False, reason="it has no devices", hint=None)
    return found or [nothing]


def _examine_device(name: str, version: str | None, device: Device) -> Finding:
    from inferox.backends.registry import get_backend
    from inferox.core import ErrorBorder, ExecutionError, InferoxError

    total, free = None, None
    try:
        with ErrorBorder(f"the backend {name}")(f"examining {device.id}", default=ExecutionError):
            if memory := device.memory_info():
                total, free = memory.total_bytes, memory.free_bytes
            get_backend(name).self_test(device.id)
    except InferoxError as error:
        return Finding(name, version, str(device.id), total, free, passed=False, reason=error.message, hint=error.hint)
    return Finding(name, version, str(device.id), total, free, passed=True, reason=None, hint=None)


def _print(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    from inferox.report.quantities import bytes_text

    table = Table()
    for heading in ("backend", "version", "device", "memory", "free", "computation"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        verdict = Text("pass", style="green") if finding.passed else Text(f"fail: {finding.reason}", style="red")
        table.add_row(
            finding.backend,
            finding.version or "",
            finding.device or "",
            "" if finding.memory_total_bytes is None else bytes_text(finding.memory_total_bytes),
            "" if finding.memory_free_bytes is None else bytes_text(finding.memory_free_bytes),
            verdict,
        )
    make_console().print(table)
    # Below the table, as no column has room for a command, which must be whole to be copied.
    for finding in findings:
        if finding.hint:
            say(f"{finding.backend}: {finding.hint}")
