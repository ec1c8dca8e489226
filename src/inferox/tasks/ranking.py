"""Rankings of documents by their scores for a query, whoever computed the scores."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from inferox.core import RequestError
from inferox.tasks.given_items import iterate_items, refuse_single


@dataclass(frozen=True)
class RankedDocument:
    """A document's place in a ranking.

    Attributes:
        index: The document's index in the given list.
        score: Its relevance to the query; higher is better.
        truncated: Whether the query and the document together were longer than the model takes, and were cut; ``None``
            if a server does not say.
    """

    index: int
    score: float
    truncated: bool | None = False


def pair_documents(query: str, documents: Iterable[str], *, top_k: int | None = None) -> list[tuple[str, str]]:
    """Makes the items of a ranking.

    Args:
        query: The query.
        documents: The documents.
        top_k: The number of documents requested; ``None`` for all.

    Returns:
        The query with each document.

    Raises:
        RequestError: If the documents are a single text or not a list, or ``top_k`` is not a non-negative integer.
    """
    refuse_single(documents, "a list of documents")
    if not isinstance(documents, Iterable):
        raise RequestError(
            f"expected a list of documents, but got a value of the type {type(documents).__name__}", hint="give a list"
        )
    if top_k is not None and (type(top_k) is not int or top_k < 0):
        raise RequestError(f"top_k must be a non-negative integer, but is {top_k!r}")
    return [(query, document) for document in iterate_items(documents)]


def rank_documents(
    scores: Iterable[float], *, top_k: int | None = None, truncated: Iterable[Any] | None = None
) -> list[RankedDocument]:
    """Orders documents by their scores.

    Args:
        scores: The score of each document.
        top_k: The number of documents to return; ``None`` for all.
        truncated: Whether each was cut, with ``None`` if that is not known; ``None`` if it does not matter.

    Returns:
        The documents, the best first; documents with equal scores keep their order.
    """
    cuts = repeat(False) if truncated is None else (None if cut is None else bool(cut) for cut in truncated)
    documents = [
        RankedDocument(index, score, cut) for index, (score, cut) in enumerate(zip(scores, cuts, strict=False))
    ]
    ranked = sorted(documents, key=lambda item: -item.score)
    return ranked[:top_k]
