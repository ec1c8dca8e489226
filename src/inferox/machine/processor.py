"""Facts that the operating system states about the processor."""

from __future__ import annotations

import platform
from pathlib import Path

_CPU_INFO = Path("/proc/cpuinfo")
"""The file in which Linux describes the processor, since Python itself does not name it there."""

BF16_FLAGS = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
"""Linux's flags for processors that multiply in bf16: Intel's AMX, AVX-512, and Arm's extension."""


_INSTRUCTIONS = {
    "AVX2": {"avx2"},
    "AVX-512": {"avx512f"},
    "VNNI": {"avx512_vnni", "avx_vnni"},
    "AMX": {"amx_tile"},
    "SVE": {"sve"},
    "I8MM": {"i8mm"},
    "bf16": BF16_FLAGS,
}
"""The instruction sets that decide how fast matrices are multiplied, with Linux's flags for each."""


def processor_facts() -> dict[str, str]:
    """Reads what Linux states about the last core listed, such as ``model name`` and ``flags``; empty elsewhere."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {name.strip(): text.strip() for name, colon, text in (line.partition(":") for line in lines) if colon}


def processor_flags() -> frozenset[str] | None:
    """Returns the processor's instruction sets, by Linux's names for them; ``None`` if they are not stated."""
    facts = processor_facts()
    stated = facts.get("flags", facts.get("Features"))
    return None if stated is None else frozenset(stated.split())


def processor_instructions() -> tuple[str, ...]:
    """Names the instruction sets that decide how fast matrices are multiplied; empty if they are not stated."""
    flags = processor_flags() or frozenset()
    return tuple(name for name, stated in _INSTRUCTIONS.items() if flags & stated)


def processor_name() -> str:
    """The processor's name, as far as it is known."""
    return processor_facts().get("model name") or platform.processor() or platform.machine()
