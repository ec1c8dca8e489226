"""The texts on which a package is proven against the library that defines its model."""

from __future__ import annotations

from collections.abc import Sequence

from inferox.parity import ProofInput

_TEXTS = (
    "",
    " ",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG.",
    "Berlin ist die Hauptstadt der Bundesrepublik Deutschland, und Zürich liegt in der Schweiz.",
    "McDonald's iPhone eBay NATO's 3rd-quarter U.S.A. results",
    "naïve café résumé Ångström coöperate São Paulo Žižek",
    "nai\u0308ve cafe\u0301 (written with combining marks)",
    "ﬁne ﬂour ½ ² ™ Ⅷ ㎏",
    "\u0130stanbul ISPARTA \u0131 i, straße STRASSE ẞ",
    "ΟΔΥΣΣΕΥΣ Οδυσσεύς Ελλάδα",
    "Привет, как дела? ЁЛКА ёлка",
    "العربية مُشَكَّلَة وبدون تشكيل",
    "שָׁלוֹם עולם",
    "हिन्दी में एक वाक्य, नमस्ते",
    "ภาษาไทยไม่มีช่องว่างระหว่างคำ",
    "東京都は日本の首都です。カタカナ ﾊﾝｶｸ",
    "我们在北京大学学习中文,漢字。",
    "한국어 문장입니다. 한글",
    "Tiếng Việt có nhiều dấu thanh",
    "👍🏽 👨‍👩‍👧‍👦 🇩🇪 😀 e=mc²",
    "  leading, trailing and   repeated   spaces  ",
    "tabs\tand\nline\r\nbreaks\n\nand a non\u00a0breaking space",
    "zero\u200bwidth\u200djoiner \ufeffmark soft\u00adhyphen \u202eright to left\u202c",
    "control \x01\x02 and replacement \ufffd characters",
    "don't can't won't it's we'll I'd they're rock'n'roll",
    "state-of-the-art well-known e-mail self–aware em—dash …",
    "$1,234.56 3.14159 1e-10 0x1F 50% #hashtag @user",
    "https://example.org/a/b?c=d&e=f#g user.name+tag@example.org C:\\Users\\x",
    "def f(x):\n    return {'a': [1, 2, 3]}  # comment",
    '<html><body class="x">&amp; &lt;tags&gt;</body></html>',
    "antidisestablishmentarianism Donaudampfschifffahrtsgesellschaftskapitän",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "?!.,;:()[]{}'\"`~^_-+=*/\\|",
    "?",
    "query: how are trees cut?",
    "A man is eating food. Someone is having a meal. Shares dropped on Wall Street.",
)

_WORDS = (
    "The", "ferry", "leaves", "at", "six", "in", "the", "morning,", "and", "returns", "after", "dark", "without", "a",
    "single", "Passenger", "in", "Zürich",
)  # fmt: skip

_COMPUTED_LIMIT = 512
"""The most tokens for which an answer is computed if a model takes more: attention over thousands would take longer
than all other inputs together. For longer inputs, only the tokens are compared."""

_TOKENIZED_LIMIT = 40_000
"""The limit of tokens beyond which no input reaches a model's limit."""

_MOST_SPECIAL = 12
"""The most special tokens that are tried: some vocabularies have thousands."""


def make_proof_inputs(
    task: str, *, max_length: int | None, special_tokens: Sequence[str], prompts: Sequence[str] = ()
) -> list[ProofInput]:
    """Makes varied inputs for a text task: many scripts, white space, special tokens, empty and too long texts.

    Args:
        task: The task's name.
        max_length: The most tokens of a row; ``None`` if there is no limit.
        special_tokens: The texts that the tokenizer maps to one token each, such as ``[MASK]``.
        prompts: The names of the model's prompts.

    Returns:
        The inputs, the same at every call; empty for a task that takes tensors.
    """
    texts = [*_TEXTS, *_special_texts(special_tokens)]
    long = _long_texts(max_length)
    if task == "rerank":
        return [ProofInput(pair, answered=answered) for pair, answered in _pairs(texts, long)]
    if task not in {"embed", "classify", "token-classify"}:
        return []
    inputs = [ProofInput(text) for text in texts]
    inputs += [ProofInput(text, answered=answered) for text, answered in long]
    if task == "classify":
        inputs += [ProofInput(pair, answered=answered) for pair, answered in _pairs(texts[3:15], long)]
    inputs += [ProofInput(text, prompt) for prompt in prompts for text in (texts[3], texts[0], texts[12])]
    inputs += [ProofInput(long[-1][0], prompt, answered=long[-1][1]) for prompt in prompts]
    return inputs


def _special_texts(tokens: Sequence[str]) -> list[str]:
    if not tokens:
        return []
    some = [tokens[index * len(tokens) // _MOST_SPECIAL] for index in range(min(_MOST_SPECIAL, len(tokens)))]
    masks = [token for token in tokens if "mask" in token.lower()] or some[:1]
    chosen = dict.fromkeys([*masks[:1], *(some if len(tokens) > _MOST_SPECIAL else tokens)])
    alone = [f"The capital of France is {token} today." for token in chosen]
    return [*alone, " ".join([masks[0]] * 12), "".join(chosen), f"x{masks[0]}y {masks[0]} z", masks[0].swapcase()]


def _long_texts(max_length: int | None) -> list[tuple[str, bool]]:
    """Makes texts near and beyond the limit, each with whether its answer is computed."""
    if max_length is None or max_length > _TOKENIZED_LIMIT:
        return [(" ".join(_WORDS * 12), True)]
    answered = max_length <= _COMPUTED_LIMIT
    counts = (max(1, max_length - 12), max_length + 7)
    texts = [" ".join(_WORDS[(index + count) % len(_WORDS)] for index in range(count)) for count in counts]
    return [(" ".join(_WORDS * 8), True), *((text, answered) for text in texts)]


def _pairs(texts: Sequence[str], long: Sequence[tuple[str, bool]]) -> list[tuple[tuple[str, str], bool]]:
    """Makes pairs: each text with another, and long texts on either side and on both."""
    pairs = [((text, texts[(index + 7) % len(texts)]), True) for index, text in enumerate(texts)]
    text, answered = long[-1]
    return [*pairs, ((texts[3], text), answered), ((text, texts[3]), answered), ((text, text), answered)]
