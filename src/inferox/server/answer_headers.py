"""Response headers that say how an answer was computed."""

from __future__ import annotations

from inferox.engine import Answer


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
        "x-inferox-cut-inputs": str(sum(tokens.count > 0 for tokens in answer.cut_tokens)),
        "x-inferox-queue-ms": f"{1000 * answer.queue_s:.1f}",
        "x-inferox-compute-ms": f"{1000 * answer.compute_s:.1f}",
    }
    return {name: value for name, value in facts.items() if value is not None}
