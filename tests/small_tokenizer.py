"""The tokenizer of all-MiniLM-L6-v2 with only its first tokens, for small models.

Reading all 30,522 tokens takes longer than everything else in most tests of a small model.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

VOCABULARY = 8000
"""Its special tokens, every letter within and at the beginning of a word, and the commonest words."""

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")


def write_small_tokenizer(directory: Path, minilm: Path, names: Iterable[str] = TOKENIZER_FILES) -> None:
    """Writes files of the tokenizer to a folder.

    Args:
        directory: The folder.
        minilm: The folder of all-MiniLM-L6-v2.
        names: Those of ``TOKENIZER_FILES`` that are wanted.
    """
    for name in names:
        (directory / name).write_text(_shorten(minilm / name), encoding="utf-8")


@cache
def _shorten(path: Path) -> str:
    text = path.read_text(encoding="utf-8")
    if path.name == "vocab.txt":
        return "".join(text.splitlines(keepends=True)[:VOCABULARY])
    if path.name == "tokenizer.json":
        tokenizer = json.loads(text)
        vocabulary = tokenizer["model"]["vocab"].items()
        tokenizer["model"]["vocab"] = {token: index for token, index in vocabulary if index < VOCABULARY}
        return json.dumps(tokenizer, ensure_ascii=False)
    return text
