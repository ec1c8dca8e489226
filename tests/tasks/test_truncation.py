"""The handling of texts that are longer than a model takes."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from inferox.core import ConfigError, InputTooLongError, TruncationWarning
from inferox.tasks import TextResult, TextTokenizer
from inferox.tasks.truncation import read_cut_tokens, report_truncation

from .models import text_signature

TEXTS: list[str | tuple[str, str]] = ["short", "word " * 20, ("first " * 9, "second " * 4)]


@pytest.mark.parametrize("side", ["right", "left"])
def test_the_tokens_that_a_row_lost_are_counted(tokenizer_directory: Path, side: str) -> None:
    tokenizer = TextTokenizer.open(tokenizer_directory, {"max_length": 8, "truncation_side": side}, text_signature())
    whole = AutoTokenizer.from_pretrained(tokenizer_directory)

    rows = tokenizer.encode(TEXTS)

    lengths = [len(whole(*([text] if isinstance(text, str) else text))["input_ids"]) for text in TEXTS]
    assert [tokens.count for tokens in read_cut_tokens(rows)] == [max(0, length - 8) for length in lengths]
    assert lengths[0] < 8 < min(lengths[1:])


def test_what_is_done(tokenizer_directory: Path) -> None:
    tokenizer = TextTokenizer.open(tokenizer_directory, {"max_length": 8}, text_signature())
    cut, whole = tokenizer.encode(TEXTS), tokenizer.encode(["short"])

    with pytest.warns(
        TruncationWarning, match="2 of 3 texts are longer than the model takes and were cut, by up to 14"
    ):
        report_truncation(cut, "warn")
    with pytest.raises(InputTooLongError, match="text 1 has 22 tokens, but the model takes 8 at most"):
        report_truncation(cut, "error")
    with pytest.raises(ConfigError, match="must be one of error, warn, cut, but is 'yes'"):
        report_truncation(whole, "yes")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report_truncation(cut, "cut")
        for choice in ("error", "warn", "cut"):
            report_truncation(whole, choice)


def test_a_result_is_a_tuple_that_keeps_whether_its_text_was_cut() -> None:
    result = TextResult(["a", "b"], truncated=True)
    assert result == ("a", "b")
    copies: tuple[Any, ...] = (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result))  # noqa: S301
    for other in copies:
        assert (other, type(other), other.truncated) == (result, TextResult, True)
