"""Response headers that say how an answer was computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferox.engine import Answer

_CUT_INPUTS = "x-inferox-cut-inputs"
_HOW = (
    "x-inferox-model",
    "x-inferox-model-version",
    "x-inferox-artifact",
    "x-inferox-parity",
    "x-inferox-embedding-space",
)


def describe(answer: Answer) -> dict[str, str]:
    """Returns the headers that say how an answer was computed.

    Args:
        answer: The answer.
    """
    facts = {
        "x-inferox-model": answer.model,
        "x-inferox-model-version": answer.version,
        "x-inferox-artifact": answer.artifact,
        "x-inferox-parity": answer.parity_class,
        "x-inferox-embedding-space": answer.embedding_space,
        _CUT_INPUTS: str(sum(tokens.count > 0 for tokens in answer.cut_tokens)),
        "x-inferox-queue-ms": f"{1000 * answer.queue_s:.1f}",
        "x-inferox-compute-ms": f"{1000 * answer.compute_s:.1f}",
    }
    return {name: value for name, value in facts.items() if value is not None}


def merge(parts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Returns the headers of an answer made of several: the cut inputs of all, and what they have in common.

    Args:
        parts: The headers of each, at least one.
    """
    first = parts[0]
    same = {
        name: first[name] for name in _HOW if name in first and all(part.get(name) == first[name] for part in parts)
    }
    return {**same, _CUT_INPUTS: str(sum(int(part[_CUT_INPUTS]) for part in parts))}
