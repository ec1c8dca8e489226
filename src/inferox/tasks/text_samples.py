"""Texts on which runtimes are compared."""

from __future__ import annotations

import random

_WORDS = (
    "the", "of", "and", "a", "water", "model", "river", "quantum", "Monday", "London", "Zürich", "naïve", "café", "42",
    "3.14", "can't", "state-of-the-art", "however,", "(sic)", "why?", "running", "unbelievable", "東京", "привет",
    "مرحبا", "नमस्ते", "한국어", "🙂", "e=mc²", "antidisestablishmentarianism", "x", "https://example.org/a?b=c",
)  # fmt: skip

_SENTENCES = (
    "The ferry leaves at six in the morning and returns after dark.",
    "What is the difference between a virus and a bacterium?",
    "Sales rose by four per cent in the third quarter.",
    "He forgot his umbrella on the bus again.",
    "The court found that the contract had been broken by both sides.",
    "Peel the potatoes, cut them into slices and fry them in butter.",
    "My phone no longer charges since the last update.",
    "Nous cherchons un appartement près de la gare.",
    "A herd of elephants crossed the dry lake at sunset.",
    "Die Sitzung wurde auf nächsten Dienstag verschoben.",
    "The library needs Python 3.11 or newer and a C compiler.",
    "Does this insurance cover damage by storm and hail?",
    "The violinist practised the same four bars until midnight.",
    "Nurses and doctors went on strike for higher pay.",
    "return [item for item in items if item.price < limit]",
    "Copper conducts electricity better than iron does.",
)
"""Natural sentences, none of which a quantiser is calibrated on."""

_LONGEST = 512
"""The longest sample in tokens, also where a model takes more: attention over thousands would dwarf the packing."""


def sample_texts(max_length: int | None) -> list[list[str]]:
    """Makes texts of every length that a model takes, from one word to its limit, and the empty text.

    Args:
        max_length: The most tokens of a row; ``None`` where there is no limit.

    Returns:
        Batches of texts: a short one alone, a long one alone, texts of mixed lengths together, and natural sentences.
        The same at every call. Their outputs are stored in the package, so they are few.
    """
    limit = min(max_length or _LONGEST, _LONGEST)
    draw = random.Random(0)  # noqa: S311 - varied, not secret
    lengths = [0, 1, 3, 8, 21, 34]
    texts = [" ".join(draw.choices(_WORDS, k=min(length, limit))) for length in lengths]
    # A word is at least one token, so that this one reaches the limit.
    longest = " ".join(draw.choices(_WORDS, k=limit))
    return [[texts[1]], [longest], texts, list(_SENTENCES)]


def sample_pairs(max_length: int | None) -> list[list[tuple[str, str]]]:
    """Makes pairs of texts of different lengths; see ``sample_texts``."""
    return [[(text, batch[-1 - index]) for index, text in enumerate(batch)] for batch in sample_texts(max_length)]
