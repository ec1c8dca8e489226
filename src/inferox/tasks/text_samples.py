"""Texts on which runtimes are compared."""

from __future__ import annotations

import random
from collections.abc import Sequence

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
"""Natural sentences that are not used to calibrate quantisers."""

_LONGEST = 512
"""The longest sample in tokens, even if a model takes more: attention over thousands would dominate packing time."""


_MOST_SPECIAL = 8
"""The most special tokens that are sampled: each costs a place in the outputs that a package stores."""


def sample_texts(max_length: int | None, special_tokens: Sequence[str] = ()) -> list[list[str]]:
    """Makes texts of all lengths that a model takes, from one word to its limit, and the empty text.

    Args:
        max_length: The most tokens of a row; ``None`` if there is no limit.
        special_tokens: The texts that the tokenizer maps to one token each, such as ``[MASK]``.

    Returns:
        Batches of texts: a short one alone, a long one alone, texts of mixed lengths together, natural sentences, and
        texts that contain special tokens beside one that contains none. The same at every call. Their outputs are
        stored in the package, so they are few.
    """
    limit = min(max_length or _LONGEST, _LONGEST)
    draw = random.Random(0)  # noqa: S311 - varied, not secret
    lengths = [0, 1, 3, 8, 21, 34]
    texts = [" ".join(draw.choices(_WORDS, k=min(length, limit))) for length in lengths]
    # A word is at least one token, so this text reaches the limit.
    longest = " ".join(draw.choices(_WORDS, k=limit))
    special = _special_texts(special_tokens)
    return [[texts[1]], [longest], texts, list(_SENTENCES), *([special] if special else [])]


def sample_pairs(max_length: int | None, special_tokens: Sequence[str] = ()) -> list[list[tuple[str, str]]]:
    """Makes pairs of texts of different lengths; see ``sample_texts``."""
    batches = sample_texts(max_length, special_tokens)
    return [[(text, batch[-1 - index]) for index, text in enumerate(batch)] for batch in batches]


def _special_texts(tokens: Sequence[str]) -> list[str]:
    """Makes texts with special tokens: one that is mostly masks, one with each token once, and one without any.

    Some models count a row's special tokens, such as its masks, and all of its vectors depend on that number.
    """
    if not tokens:
        return []
    masks = [token for token in tokens if "mask" in token.lower()]
    # Later tokens are often one family, such as 100 placeholders, of which a few represent all.
    count = _MOST_SPECIAL // 2
    spread = [tokens[index * len(tokens) // count] for index in range(count)]
    chosen = list(dict.fromkeys([*masks[:1], *tokens[:count], *spread]))[:_MOST_SPECIAL]
    repeated = (masks or chosen)[0]
    mixed = " ".join(part for word, token in zip(_WORDS[4:], chosen, strict=False) for part in (word, token))
    return [f"m {repeated} k {repeated} v {repeated * 3}", mixed, "the ferry leaves"]
