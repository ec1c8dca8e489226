"""The text settings that a model's files state: the length limit, truncation and padding."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from inferox.sources.tokenizer_names import LIMIT_IS_RESOLVED, TOKENIZER_CONFIG_FILE
from inferox.tasks.options import read_json
from inferox.tasks.tokenizer import TOKENIZER_FILE

_SENTENCE_FILES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""The names under which sentence-transformers has stored the limit of its models."""

_POSITIONS_AFTER_PADDING = frozenset(
    {
        "camembert",
        "data2vec-text",
        "esm",
        "ibert",
        "layoutlmv3",
        "longformer",
        "luke",
        "mpnet",
        "roberta",
        "roberta-prelayernorm",
        "xlm-roberta",
        "xlm-roberta-xl",
        "xmod",
    }
)
"""Model types that count positions from ``pad_token_id + 1``, so that their tables have that many more than a row."""

UNKNOWN_LIMIT = 1_000_000
"""The number beyond which ``model_max_length`` means "unknown" in transformers' files."""


def read_text_options(directory: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Reads a model's settings for truncation and padding of texts.

    Args:
        directory: The folder of the model.
        config: Its ``config.json``.

    Returns:
        The options of ``TextTokenizer.open``, as JSON values.

    Raises:
        PackageError: If a file is not a JSON object.
    """
    sentence = next(filter(None, (read_json(directory / name) for name in _SENTENCE_FILES)), {})
    tokenizer = read_json(directory / TOKENIZER_CONFIG_FILE, allow_non_finite=True) or {}
    special = read_json(directory / "special_tokens_map.json") or {}
    return {
        "max_length": _max_length(sentence, tokenizer, config),
        "truncation_side": tokenizer.get("truncation_side", "right"),
        "lowercase": sentence.get("do_lower_case") is True,
        "pad_token": _content(tokenizer.get("pad_token") or special.get("pad_token")),
        "pad_token_id": _token_id(config.get("pad_token_id")),
        "token_types": "token_type_ids" in tokenizer.get("model_input_names", ("token_type_ids",)),
        "split_special_tokens": tokenizer.get("split_special_tokens") is True,
    }


def text_files(directory: Path) -> tuple[str, ...]:
    """Returns the files of a model that a package needs to read texts, relative to the model's folder."""
    present = [TOKENIZER_CONFIG_FILE] if (directory / TOKENIZER_CONFIG_FILE).is_file() else []
    return (TOKENIZER_FILE, *present)


def _max_length(sentence: Mapping[str, Any], tokenizer: Mapping[str, Any], config: Mapping[str, Any]) -> int | None:
    stated = _number(sentence.get("max_seq_length"))
    # If transformers resolved the files, its limit is the shorter of the tokenizer's and the config's, and
    # sentence-transformers' own overrides it; such a source's signature has the limit of the model's own tables.
    positions = None if tokenizer.get(LIMIT_IS_RESOLVED) is True else _positions(config)
    stated = stated or _number(tokenizer.get("model_max_length"))
    limits = [limit for limit in (stated, positions) if limit is not None and 0 < limit <= UNKNOWN_LIMIT]
    return min(limits, default=None)


def _positions(config: Mapping[str, Any]) -> int | None:
    positions = _number(config.get("max_position_embeddings"))
    if positions is None or config.get("model_type") not in _POSITIONS_AFTER_PADDING:
        return positions
    # MPNet's code uses 1 for padding, whatever its config states.
    padding = 1 if config["model_type"] == "mpnet" else _number(config.get("pad_token_id", 1)) or 0
    return positions - padding - 1


def _number(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole else None


def _token_id(value: Any) -> int | None:
    """Reads a token id; ``None`` for negative ones, with which configs state that there is no such token."""
    number = _number(value)
    return None if number is None or number < 0 else number


def _content(token: Any) -> str | None:
    """Returns the text of a special token, which files state as a string or as an object."""
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None
