"""The export of the tokenizer that transformers makes from a model directory, so that no other file is needed."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transformers
from tokenizers import Tokenizer
from transformers.utils import logging as hf_logging

from inferox.core import PackageError, first_line, read_json_object
from inferox.sources.tokenizer_limits import read_tokenizer
from inferox.sources.tokenizer_names import LIMIT_IS_RESOLVED, TOKENIZER_CONFIG_FILE, TOKENIZER_FILE

_RAW_HINT = "pack it with the task raw, and tokenize with transformers yourself"

_LIMIT_NAMES = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "n_ctx")
"""The names that config classes give to the longest row; most map the name in their file to the first one."""

_TEXTS = (
    "",
    " ",
    "Hello, World! THE naïve Café; ÅNGSTRÖM ﬁne ½ x²",
    "  two  spaces,\ttabs\r\nand new\n\nlines  ",
    "東京の天気 는 좋다 привет Мир مرحبا नमस्ते ไทย",
    "🙂 👩‍👩‍👧 e\u0301 \u00a0\u200b\ufeff \x00 \ufffd",
    "don't can't state-of-the-art 3.14 1,000,000 https://example.org/a?b=c#d user@example.org",
    "antidisestablishmentarianism " * 3,
    "İstanbul STRASSE straße Σίσυφος ǅ",
)
"""The texts on which the exported tokenizer must agree with transformers'."""


def save_tokenizer(directory: Path, target: Path, config: Mapping[str, Any]) -> None:
    """Exports the tokenizer that ``AutoTokenizer`` makes from a whole directory.

    ``tokenizer.json`` alone is not the tokenizer: transformers modifies it according to the tokenizer's class,
    ``tokenizer_config.json``, ``special_tokens_map.json`` and ``added_tokens.json``. The result is written as a new
    ``tokenizer.json``, and settings that the format cannot hold, such as the limit and the truncation side, as a new
    ``tokenizer_config.json``. Both are read back and compared with transformers' own results.

    Args:
        directory: The folder of the model. It is not changed.
        target: The folder to write to.
        config: The model's ``config.json``.

    Raises:
        PackageError: If transformers cannot make the tokenizer, or if it does something in Python that
            ``tokenizer.json`` cannot express, or something that no package may do.
        OSError: If a file cannot be written.
    """
    with _quiet():
        tokenizer = _load(directory)
        backend = _backend(tokenizer)
        settings = _settings(tokenizer, directory, config)
        backend.no_padding()
        backend.no_truncation()
        content = backend.to_str(pretty=True).encode()
        read_tokenizer(content)
        (target / TOKENIZER_FILE).write_bytes(content)
        (target / TOKENIZER_CONFIG_FILE).write_text(
            json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        written = Tokenizer.from_file(str(target / TOKENIZER_FILE))
        written.encode_special_tokens = settings["split_special_tokens"]
        compare_tokenizers(tokenizer, written)


def gives_token_types(directory: Path) -> bool:
    """Returns whether a tokenizer that ``save_tokenizer`` wrote makes token types.

    Args:
        directory: The folder where it was written.
    """
    settings = read_json_object(directory / TOKENIZER_CONFIG_FILE, allow_non_finite=True)
    return "token_type_ids" in settings["model_input_names"]


def _load(directory: Path) -> Any:
    stated = directory / TOKENIZER_FILE
    if stated.is_file():
        # Checked before transformers reads it, since what it requests may already run then.
        read_tokenizer(stated.read_bytes())
    try:
        return transformers.AutoTokenizer.from_pretrained(
            str(directory), local_files_only=True, trust_remote_code=False
        )
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # each class fails in its own way, and the Rust library's panics are not Exceptions
        reason = first_line(error)
        raise PackageError(
            f"transformers cannot make a tokenizer of the files in {directory.name}: {reason}",
            hint="fix or complete the tokenizer's files (a SentencePiece model needs: pip install sentencepiece "
            "protobuf), or pack the model with the task raw",
        ) from error


def _backend(tokenizer: Any) -> Tokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(backend, Tokenizer):
        raise PackageError(
            f"transformers reads the texts of this model with {type(tokenizer).__name__}, which is written in Python "
            f"and has no {TOKENIZER_FILE}",
            hint=_RAW_HINT,
        )
    # A copy: the exported one has no padding or truncation, and transformers' own must stay unchanged.
    return Tokenizer.from_str(backend.to_str())


def _settings(tokenizer: Any, directory: Path, config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that transformers derived from all files, under the names of ``tokenizer_config.json``."""
    limits = [tokenizer.model_max_length, _longest(directory, config)]
    tokens = {
        name: str(token)
        for name, token in tokenizer.special_tokens_map.items()
        if isinstance(token, str) or hasattr(token, "content")
    }
    return {
        "tokenizer_class": type(tokenizer).__name__,
        "model_max_length": min(limit for limit in limits if limit is not None and limit > 0),
        LIMIT_IS_RESOLVED: True,
        "model_input_names": list(tokenizer.model_input_names),
        "padding_side": tokenizer.padding_side,
        "truncation_side": tokenizer.truncation_side,
        "split_special_tokens": bool(tokenizer.split_special_tokens),
        "pad_token_type_id": tokenizer.pad_token_type_id,
        **tokens,
    }


def _longest(directory: Path, config: Mapping[str, Any]) -> int | None:
    """Reads the longest row that the model's config states, under whichever name its class uses."""
    if not config.get("model_type"):
        return None
    try:
        made = transformers.AutoConfig.from_pretrained(str(directory), local_files_only=True, trust_remote_code=False)
    except Exception:  # noqa: BLE001 - config.json is read and judged elsewhere; here it gives a limit or none
        return None
    stated = (getattr(made, name, None) for name in _LIMIT_NAMES)
    # XLNet states -1 for "none".
    return next((value for value in stated if type(value) is int and value > 0), None)


def compare_tokenizers(tokenizer: Any, written: Tokenizer) -> None:
    """Compares ids, types and offsets on varied texts and pairs, and on the tokenizer's own special and added tokens.

    Args:
        tokenizer: transformers' tokenizer.
        written: The exported tokenizer, without padding and truncation.

    Raises:
        PackageError: If a result differs, or transformers' tokenizer fails.
    """
    special = [str(token) for token in tokenizer.all_special_tokens] + list(tokenizer.get_added_vocab())
    marked = f"a {special[0]}b {' '.join(special[:40])} c" if special else "a b c"
    for text in (*_TEXTS, marked):
        _compare_one(tokenizer, written, text, None)
        _compare_one(tokenizer, written, text, _TEXTS[2])


def _compare_one(tokenizer: Any, written: Tokenizer, first: str, second: str | None) -> None:
    given = [first] if second is None else [(first, second)]
    expected = _answer(tokenizer, first, second)
    got = written.encode_batch(given)[0]
    answers: dict[str, Sequence[Any]] = {
        "input_ids": got.ids,
        "token_type_ids": got.type_ids,
        "offset_mapping": got.offsets,
    }
    for name, value in answers.items():
        if name in expected and list(map(_plain, expected[name])) != list(map(_plain, value)):
            raise PackageError(
                f"the tokenizer {type(tokenizer).__name__} does something that {TOKENIZER_FILE} cannot express: for "
                f"{given[0]!r} transformers gives the {name} {expected[name]}, but the file gives {value}",
                hint=_RAW_HINT,
            )


def _answer(tokenizer: Any, first: str, second: str | None) -> Mapping[str, Any]:
    try:
        answer: Mapping[str, Any] = tokenizer(first, second, truncation=False, return_offsets_mapping=True)
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        reason = first_line(error)
        raise PackageError(
            f"the tokenizer {type(tokenizer).__name__} fails on the text {first!r}: {reason}",
            hint="fix its files (a vocabulary without an unknown token fails like this), or pack with the task raw",
        ) from error
    return answer


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


@contextmanager
def _quiet() -> Iterator[None]:
    verbosity = hf_logging.get_verbosity()
    hf_logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        hf_logging.set_verbosity(verbosity)
