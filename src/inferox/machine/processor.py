"""What the operating system says of the processor."""

from __future__ import annotations

from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
"""Where Linux describes the processor. Python itself gives no name of it there."""


def processor_facts() -> dict[str, str]:
    """What Linux states of the last core that it lists, such as ``model name`` and ``flags``; empty elsewhere."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {name.strip(): text.strip() for name, colon, text in (line.partition(":") for line in lines) if colon}
