"""Documents in the order in which they answer a query, whoever has scored them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from inferox.core import RequestError


@dataclass(frozen=True)
class RankedDocument:
    """A document's place in a ranking.

    Attributes:
        index: The document's index in the list that was given.
        score: How well it answers the query; higher is better.
        truncated: Whether the query and the document together were longer than the model takes, and were cut;
            ``None`` where a server does not say.
    """

    index: int
    score: float
    truncated: bool | None = False


def pair_documents(query: str, documents: Iterable[str], *, top_k: int | None = None) -> list[tuple[str, str]]:
    """Makes the items of a ranking.

    Args:
        query: The query.
        documents: The documents.
        top_k: How many are wanted; ``None`` for all.

    Returns:
        The query with each document.

    Raises:
        RequestError: If the documents are a single one or no list, or ``top_k`` is not an integer of 0 or more.
    """
    if isinstance(documents, str | bytes):
        raise RequestError("expected a list of documents, got a single one", hint="put it in a list")
    if not isinstance(documents, Iterable):
        raise RequestError(
            f"expected a list of documents, got a value of the type {type(documents).__name__}", hint="give a list"
        )
    if top_k is not None and (type(top_k) is not int or top_k < 0):
        raise RequestError(f"top_k must be 0 or more, but is {top_k!r}")
    return [(query, document) for document in documents]


def rank_documents(
    scores: Iterable[float], *, top_k: int | None = None, truncated: Iterable[Any] | None = None
) -> list[RankedDocument]:
    """Orders documents by their scores.

    Args:
        scores: The score of each document.
        top_k: How many to return; ``None`` for all.
        truncated: Whether each was cut, with ``None`` where that is not known; ``None`` where it does not matter.

    Returns:
        The documents, the best first; documents with equal scores stay in the order in which they came.
    """
    cuts = repeat(False) if truncated is None else (None if cut is None else bool(cut) for cut in truncated)
    documents = [
        RankedDocument(index, score, cut) for index, (score, cut) in enumerate(zip(scores, cuts, strict=False))
    ]
    ranked = sorted(documents, key=lambda item: -item.score)
    return ranked[:top_k]
