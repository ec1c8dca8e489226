"""Long texts that are cut before they are tokenised become the same rows as without that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from inferox.core import InferoxWarning, InputTooLongError
from inferox.tasks import TextTokenizer, text_cuts
from inferox.tasks.text_cuts import is_cuttable
from inferox.tasks.texts import Text
from inferox.tasks.truncation import CUT_TOKENS, MORE_CUT, CutTokens, read_cut_tokens, report_truncation

from .models import text_signature

SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = (
    "hello world",
    "Café naïve",
    "don't e\u0301 x",
    "THE the",
    "3.14 1,000",
    "東京の天気",
    "🙂 ok",
    "[MASK]",
    "<n>",
)
GAPS = (" ", "  ", "\n", "\t ", " \u0301", "\u00a0", "-", "", "''", ". ", "\r\n\r\n", "\u200b", "▁", "\u0600")
LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TRAINERS: dict[str, Any] = {
    "WordPiece": (lambda: models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12), trainers.WordPieceTrainer),  # noqa: S106
    "BPE": (models.BPE, trainers.BpeTrainer),
    "Unigram": (models.Unigram, trainers.UnigramTrainer),
}
KINDS: dict[str, tuple[str, Any, Any]] = {
    "bert": ("WordPiece", normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()),
    "cased": ("WordPiece", None, pre_tokenizers.Whitespace()),
    "gpt2": ("BPE", None, pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "roberta": ("BPE", normalizers.NFC(), pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "llama3": (
        "BPE",
        normalizers.NFC(),
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(LLAMA), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
    ),
    "t5": (
        "Unigram",
        normalizers.Sequence(
            [normalizers.NFKC(), normalizers.Strip(left=False), normalizers.Replace(Regex(" {2,}"), " ")]
        ),
        pre_tokenizers.Metaspace(),
    ),
    "albert": (
        "Unigram",
        normalizers.Sequence([normalizers.Replace("''", '"'), normalizers.NFKD(), normalizers.StripAccents()]),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")]),
    ),
}


def make_tokenizer(kind: str) -> Tokenizer:
    name, normalizer, splitter = KINDS[kind]
    model, trainer = TRAINERS[name]
    tokenizer = Tokenizer(model())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    corpus = [f"{first}{gap}{second}" for first in WORDS for gap in GAPS for second in WORDS]
    unknown = {"unk_token": "[UNK]"} if name == "Unigram" else {}
    tokenizer.train_from_iterator(
        corpus, trainer(vocab_size=400, special_tokens=SPECIAL, show_progress=False, **unknown)
    )
    tokenizer.add_tokens([AddedToken("<n>", lstrip=True, rstrip=True), AddedToken("ok", single_word=True)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return tokenizer


@pytest.fixture(scope="module", params=KINDS)
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("kind")
    make_tokenizer(request.param).save(str(path / "tokenizer.json"))
    return path


def texts(most: int) -> st.SearchStrategy[str]:
    parts = st.tuples(st.sampled_from((*WORDS, "a b c", "one two")), st.sampled_from(GAPS))
    return st.lists(parts, max_size=most).map(lambda found: "".join(word + gap for word, gap in found))


def set_windows(monkeypatch: pytest.MonkeyPatch, characters: int) -> None:
    monkeypatch.setattr(text_cuts, "MIN_WINDOW_CHARACTERS", characters)
    monkeypatch.setattr(text_cuts, "_WINDOW_PER_TOKEN", 1)


def compare(tokenizer: TextTokenizer, given_texts: list[Text]) -> list[bool]:
    """Compares the rows with and without cutting first, and returns which texts were cut."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        set_windows(monkeypatch, 10**9)
        expected = tokenizer.encode(given_texts, offsets=True)
        set_windows(monkeypatch, 24)
        rows = tokenizer.encode(given_texts, offsets=True)
    for row, wanted in zip(rows, expected, strict=True):
        assert row.keys() == wanted.keys()
        for name in wanted.keys() - {CUT_TOKENS, MORE_CUT}:
            np.testing.assert_array_equal(row[name], wanted[name])
    for counted, true in zip(read_cut_tokens(rows), read_cut_tokens(expected), strict=True):
        assert 0 < counted.count < true.count if counted.is_least else counted == true
    return [tokens.is_least for tokens in read_cut_tokens(rows)]


@pytest.mark.parametrize("side", ["right", "left"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=texts(60), second=texts(40), max_length=st.integers(4, 24))
def test_rows_are_those_of_whole_texts(directory: Path, side: str, first: str, second: str, max_length: int) -> None:
    options = {"max_length": max_length, "truncation_side": side}
    tokenizer = TextTokenizer.open(directory, options, text_signature())
    compare(tokenizer, [first, (first, "a b"), ("a b", second), (first, second), (second, ""), second * 3])


@pytest.mark.parametrize("side", ["right", "left"])
def test_long_texts_are_cut(directory: Path, side: str) -> None:
    options = {"max_length": 16, "truncation_side": side}
    tokenizer = TextTokenizer.open(directory, options, text_signature())
    long = "hello world don't THE 3.14 " * 40
    assert compare(tokenizer, [long, (long, "a"), ("a", long), (long, long), "a"]) == [True, True, True, False, False]


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_real_tokenizer(minilm_directory: Path, side: str) -> None:
    options = {"max_length": 32, "truncation_side": side, "lowercase": True}
    tokenizer = TextTokenizer.open(minilm_directory, options, text_signature())
    long = "".join(word + gap for gap in GAPS for word in WORDS) * 4 + " and plain words" * 20
    assert compare(tokenizer, [long, long[::-1], "東京" * 500, "a" * 1000]) == [True, True, False, False]


def test_the_number_of_cut_tokens_is_a_lower_bound(minilm_directory: Path) -> None:
    tokenizer = TextTokenizer.open(minilm_directory, {"max_length": 32}, text_signature())
    rows = tokenizer.encode(["word " * 100_000, "word " * 40])
    tokens = read_cut_tokens(rows)
    assert (tokens[0].is_least, 1000 < tokens[0].count < 10_000) == (True, True)
    assert tokens[1] == CutTokens(10)
    with pytest.warns(InferoxWarning, match=rf"2 of 2 texts .* by {tokens[0].count:,} tokens or more"):
        report_truncation(rows, "warn")
    with pytest.raises(InputTooLongError, match=rf"text 0 has {tokens[0].count + 32} tokens or more, but the model"):
        report_truncation(rows, "error")


@pytest.mark.parametrize(
    ("changes", "sides"),
    [
        ({}, {"right", "left"}),
        ({"normalizer": normalizers.Strip()}, {"right"}),
        ({"normalizer": normalizers.Replace(" ", "_")}, set()),
        ({"normalizer": normalizers.Replace("a", " ")}, set()),
        ({"normalizer": normalizers.Replace(Regex("[a-z] "), "x")}, set()),
        ({"normalizer": normalizers.Prepend("x")}, set()),
        ({"pre_tokenizer": pre_tokenizers.Metaspace(split=False)}, set()),
        ({"pre_tokenizer": pre_tokenizers.Split(Regex("a b"), "isolated")}, set()),
        ({"pre_tokenizer": pre_tokenizers.Split(Regex(LLAMA), "removed")}, set()),
        ({"pre_tokenizer": pre_tokenizers.ByteLevel(use_regex=False)}, set()),
        ({"pre_tokenizer": pre_tokenizers.CharDelimiterSplit("x")}, set()),
        ({"added": AddedToken("two words")}, set()),
        ({"added": AddedToken("two\u3000words", normalized=True), "normalizer": normalizers.NFKC()}, set()),
    ],
)
def test_what_is_not_known_to_be_safe_is_not_cut(changes: dict[str, Any], sides: set[str]) -> None:
    tokenizer = make_tokenizer("cased")
    for name in changes.keys() - {"added"}:
        setattr(tokenizer, name, changes[name])
    if "added" in changes:
        tokenizer.add_tokens([changes["added"]])
    tokenizer = Tokenizer.from_str(json.dumps(json.loads(tokenizer.to_str())))
    assert {side for side in ("right", "left") if is_cuttable(tokenizer, side)} == sides
