"""Errors of the tokenizers library, on real files that make it fail and panic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from inferox.core import InferoxError, InputTooLongError, PackageError
from inferox.sources.tokenizer_limits import check_tokenizer
from inferox.tasks import TextTokenizer
from inferox.tasks.texts import MAX_TEXT_CHARACTERS
from inferox.tasks.tokenizer_border import translated_panics, translated_tokenizer

from .models import text_signature


def write(directory: Path, **changes: Any) -> Path:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "[UNK]": 2}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    (directory / "tokenizer.json").write_text(json.dumps({**json.loads(tokenizer.to_str()), **changes}))
    return directory


def open_tokenizer(directory: Path) -> TextTokenizer:
    return TextTokenizer.open(directory, {"max_length": 8}, text_signature())


def test_a_vocabulary_without_its_unknown_token(tmp_path: Path) -> None:
    model = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "[UNK]"}
    tokenizer = open_tokenizer(write(tmp_path, model=model))

    assert tokenizer.encode(["a b"])[0]["input_ids"].tolist() == [0, 1]
    with pytest.raises(PackageError, match=r"tokenizing the texts .* failed: .*(unk|UNK)"):
        tokenizer.encode(["a c"])
    with pytest.raises(PackageError, match=r"tokenizing the prompt .* failed"):
        tokenizer.count_prompt("c")


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="}},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": "("}, "content": ""}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "[z-a]"}, "behavior": "Isolated", "invert": False}},
        {"model": {"type": "Unigram", "vocab": [], "unk_id": 7}},
        {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["x", "y"]]}},
        {"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x", "type_id": 0}}]}},
        {"truncation": {"max_length": 1, "strategy": "LongestFirst", "stride": 9, "direction": "Right"}},
    ],
)
def test_files_that_make_it_fail_end_in_errors_of_ours_or_work(changes: dict[str, Any], tmp_path: Path) -> None:
    try:
        open_tokenizer(write(tmp_path, **changes)).encode(["a b", "\u00e9 x", ("a", "b " * 50)])
    except InferoxError as error:
        assert "tokenizer.json" in str(error)  # noqa: PT017 - some versions of the library take these files


def test_panics_are_translated_and_interrupts_are_not() -> None:
    class PanicException(BaseException):
        """As pyo3 makes it."""

    with (
        pytest.raises(PackageError, match=r"reading x failed: index out of bounds \(mend it\)"),
        translated_tokenizer("reading x", hint="mend it"),
    ):
        raise PanicException("index out of bounds\nnote: backtrace")
    with pytest.raises(KeyboardInterrupt), translated_tokenizer("reading x", hint="mend it"):
        raise KeyboardInterrupt


def test_a_text_beyond_the_limit_of_characters_is_refused_at_once(tmp_path: Path) -> None:
    tokenizer = open_tokenizer(write(tmp_path))

    with pytest.raises(InputTooLongError, match="text 1 has 10000001 characters"):
        tokenizer.encode(["a", "a" * (MAX_TEXT_CHARACTERS + 1)])


@pytest.mark.parametrize("dropout", [0.5, 1, 1e-30])
def test_random_tokens_are_refused(dropout: float, tmp_path: Path) -> None:
    model = {"type": "BPE", "dropout": dropout, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
    with pytest.raises(PackageError, match=r"'model\.dropout' of tokenizer.json"):
        open_tokenizer(write(tmp_path, model=model))
    with pytest.raises(PackageError, match=r"'model\.dropout' of tokenizer.json"):
        check_tokenizer({"model": model})


@pytest.mark.parametrize("dropout", [None, 0, 0.0])
def test_no_dropout_is_taken(dropout: float | None, tmp_path: Path) -> None:
    model = {"type": "BPE", "dropout": dropout, "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}
    tokenizer = open_tokenizer(write(tmp_path, model=model))
    assert tokenizer.encode(["ab"])[0]["input_ids"].tolist() == [2]


def test_only_panics_are_translated_as_panics() -> None:
    class PanicException(BaseException):
        """As pyo3 makes it."""

    with (
        pytest.raises(PackageError, match=r"asking x failed: out of bounds \(mend it\)"),
        translated_panics("asking x", hint="mend it"),
    ):
        raise PanicException("out of bounds")
    for error in (ValueError("no"), KeyboardInterrupt()):
        with pytest.raises(type(error)), translated_panics("asking x", hint="mend it"):
            raise error
