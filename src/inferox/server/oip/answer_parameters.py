"""Response parameters that say how an answer was computed."""

from __future__ import annotations

from inferox.engine import Answer


def describe_parameters(answer: Answer) -> dict[str, str | int]:
    """Returns the parameters that say how an answer was computed, apart from its model and version.

    Args:
        answer: The answer.
    """
    cut = [str(index) for index, tokens in enumerate(answer.cut_tokens) if tokens.count]
    facts: dict[str, str | int | None] = {
        "inferox_artifact": answer.artifact,
        "inferox_parity": answer.parity_class,
        "inferox_embedding_space": answer.embedding_space,
        "inferox_cut_inputs": len(cut),
        # The indices of the cut items, from 0. Parameters cannot be lists.
        "inferox_cut_items": ",".join(cut) or None,
    }
    return {name: value for name, value in facts.items() if value is not None}
