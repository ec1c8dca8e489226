"""Long texts that are cut before they are tokenised become the same rows as without that."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import (
    AddedToken,
    Encoding,
    Regex,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from inferox.core import InferoxWarning, InputTooLongError
from inferox.tasks import TextTokenizer, cut_rule, text_cuts
from inferox.tasks.cut_rule import CutRule, read_cut_rule
from inferox.tasks.text_cuts import encode_cut, shift_offsets
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
    "съешь же ещё",
    "Ξεσκεπάζω ΟΔΟΣ",
    "यह परीक्षण",
    "ภาษาไทย",
    "한국어 한글",
    "שלום عربي",
    "👩\u200d🚀🇩🇪👍🏽",
    '{"a":[1,2]}',
    "camelCaseABCdef_x",
    "QUJDREVGR0h",
    "x\u0323\u0301\u0302",
    "ﬁ Ⅷ \u00b4",
    "a\x00b\x1cc",
    "12345678901234567890",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
)
GAPS = (
    *(" ", "  ", "\n", "\t ", " \u0301", "\u00a0", "-", "", "''", ". ", "\r\n\r\n", "\u200b", "▁", "\u0600", "。", ","),
    *("\u3000", "\u2028", "\u200d", "\ufeff", "、", "!?", "   \n  ", " " * 40),
)
LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CLIP = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
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
    "o200k": (
        "BPE",
        None,
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(O200K), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
    ),
    "clip": (
        "BPE",
        normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]),
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(CLIP), "removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False),
            ]
        ),
    ),
    "metaspace": ("Unigram", None, pre_tokenizers.Metaspace()),
    "spaces": ("BPE", normalizers.NFC(), pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "multilingual": (
        "Unigram",
        normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
    ),
    "digits": (
        "WordPiece",
        normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]),
        pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.Punctuation(),
                pre_tokenizers.WhitespaceSplit(),
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
    return Tokenizer.from_str(train(kind))


@cache
def train(kind: str) -> str:
    name, normalizer, splitter = KINDS[kind]
    model, trainer = TRAINERS[name]
    tokenizer = Tokenizer(model())
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = splitter
    corpus = [f"{first}{gap}{second}" for first in WORDS for gap in GAPS[::5] for second in WORDS[::3]]
    more: dict[str, Any] = {"unk_token": "[UNK]"} if name == "Unigram" else {}
    if name == "BPE":
        more = {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet()}
    tokenizer.train_from_iterator(corpus, trainer(vocab_size=600, special_tokens=SPECIAL, show_progress=False, **more))
    tokenizer.add_tokens(
        [AddedToken("<n>", lstrip=True, rstrip=True), AddedToken("ok", single_word=True), AddedToken("zz")]
    )
    if kind == "spaces":
        tokenizer.add_tokens([AddedToken(" " * count, normalized=count % 2 == 0) for count in range(2, 9)])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    text: str = tokenizer.to_str()
    return text


@pytest.fixture(scope="module", params=KINDS)
def directory(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp(request.param)
    make_tokenizer(request.param).save(str(path / "tokenizer.json"))
    return path


def texts(most: int) -> st.SearchStrategy[str]:
    words = st.one_of(st.sampled_from((*WORDS, "a b c", "one two")), st.text(max_size=4))
    parts = st.tuples(words, st.sampled_from(GAPS), st.integers(1, 3))
    return st.lists(parts, max_size=most).map(lambda found: "".join((word * times + gap) for word, gap, times in found))


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


@cache
def open_tokenizer(directory: Path, side: str, max_length: int) -> TextTokenizer:
    options = {"max_length": max_length, "truncation_side": side}
    return TextTokenizer.open(directory, options, text_signature())


@pytest.mark.parametrize("side", ["right", "left"])
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=texts(60), second=texts(40), max_length=st.integers(4, 24))
def test_rows_are_those_of_whole_texts(directory: Path, side: str, first: str, second: str, max_length: int) -> None:
    tokenizer = open_tokenizer(directory, side, max_length)
    compare(tokenizer, [first, (first, "a b"), ("a b", second), (first, second), (second, ""), second * 3])


@cache
def open_with_rule(directory: Path, side: str) -> tuple[Tokenizer, CutRule]:
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    rule = read_cut_rule(tokenizer, side)
    assert rule is not None
    return tokenizer, rule


def check_used_tokens(directory: Path, side: str, long: str) -> bool:
    """Checks that all tokens that may be used are those of the whole text, and returns whether it was cut."""
    tokenizer, rule = open_with_rule(directory, side)
    with pytest.MonkeyPatch.context() as monkeypatch:
        set_windows(monkeypatch, 24)
        item = encode_cut(tokenizer.encode_batch, tokenizer.encode_batch, [long], 4, rule)[0]
    offsets = np.array(item.encoding.offsets)
    shift_offsets(offsets, [item], np.array([len(offsets)]))
    used: list[Any] = []
    expected: list[Any] = []
    for owners, ids, places, found in (
        (item.encoding.sequence_ids, item.encoding.ids, offsets.tolist(), used),
        ((whole := tokenizer.encode(long)).sequence_ids, whole.ids, list(map(list, whole.offsets)), expected),
    ):
        found.extend((token, place) for owner, token, place in zip(owners, ids, places, strict=True) if owner == 0)
    count = len(used) - item.surplus
    if side == "right":
        assert used[:count] == expected[:count]
    else:
        assert used[len(used) - count :] == expected[len(expected) - count :]
    return not item.is_whole


@pytest.mark.parametrize("side", ["right", "left"])
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(long=texts(60))
def test_used_tokens_are_those_of_the_whole_text(directory: Path, side: str, long: str) -> None:
    check_used_tokens(directory, side, long)


@pytest.mark.parametrize("side", ["right", "left"])
def test_tokens_of_words_beside_the_cut_are_surplus(side: str) -> None:
    tokenizer = make_tokenizer("gpt2")
    rule = read_cut_rule(tokenizer, side)
    assert rule is not None
    parts = ("b " * 40, "qxyqxy " * 300)
    with pytest.MonkeyPatch.context() as monkeypatch:
        set_windows(monkeypatch, 240)
        long = "".join(parts if side == "right" else parts[::-1])
        item = encode_cut(tokenizer.encode_batch, tokenizer.encode_batch, [long], 4, rule)[0]
    of_seven_words = 7 * len(tokenizer.encode(" qxyqxy", add_special_tokens=False))
    assert of_seven_words > 8
    assert of_seven_words < item.surplus < len(item.encoding)


# Each depends on what stands beside the place of a cut: capital letters on the next small one, groups of digits and
# repeated tokens on where they begin, white space on the token that takes it in.
DEPENDENT = (
    "東京ABCd",
    "'tomorrow!!foo's ",
    "1234567890",
    "a\n   \n \n",
    "x" + " " * 30 + "<n>",
    "<n>" + " " * 30,
    "zzz",
)


@pytest.mark.parametrize("side", ["right", "left"])
def test_cuts_at_every_place_of_dependent_texts(directory: Path, side: str) -> None:
    for unit in DEPENDENT:
        for shift in range(12):
            check_used_tokens(directory, side, f"{'b' * shift} c {unit * 150} d {'e' * shift}")


@pytest.mark.parametrize("side", ["right", "left"])
def test_long_texts_are_cut(directory: Path, side: str) -> None:
    options = {"max_length": 16, "truncation_side": side}
    tokenizer = TextTokenizer.open(directory, options, text_signature())
    long = "hello world don't THE 3.14 " * 40
    # A space that is part of an added token is no place for a cut.
    is_cut = (directory.name, side) != ("spaces0", "left")
    assert compare(tokenizer, [long, (long, "a"), ("a", long), (long, long), "a"]) == [is_cut] * 3 + [False] * 2


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_real_tokenizer(minilm_directory: Path, side: str) -> None:
    options = {"max_length": 32, "truncation_side": side, "lowercase": True}
    tokenizer = TextTokenizer.open(minilm_directory, options, text_signature())
    long = "".join(word + gap for gap in GAPS for word in WORDS) * 4 + " and plain words" * 20
    assert compare(tokenizer, [long, long[::-1], "東京" * 500, "съешь же " * 99]) == [True] * 4
    words = ["a" * 1000, " " * 1000, f"x {'é' * 999} [MASK]{' ' * 999}y-{'🙂' * 999}", "a" * 250]
    assert compare(tokenizer, [*words, *((word, "x y") for word in words)]) == [False] * 8


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


# What texts of each kind that users send repeat.
LONG = {
    "English": "the quick brown fox jumps over the lazy dog ",
    "Russian": "съешь же ещё этих мягких французских булок ",
    "Greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία ",
    "Hindi": "यह एक परीक्षण वाक्य है ",
    "Arabic": "صِف خَلقَ خَودِ كَمِثلِ الشَمسِ ",
    "Korean": "키스의 고유조건은 입술끼리 ",
    "Chinese": "今天天气很好、我们去公园。",
    "sentences": "Hello, world. ",
    "lines": "word\n",
    "CSV": "12,34,56,78\r\n",
    "JSON": '{"a":1,"b":2},',
    "HTML": "<p>text</p>\n",
    "code": "def f(x):\n    return x[0]\n\n\n",
    "indented": "value" + " " * 30,
    "base64": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo0+/",
}
ONE_PIECE = {
    "no spaces": "a",
    "digits": "7",
    "emoji": "🙂",
    "kana": "ひらがな",
    "hexadecimal": "c0ffee42",
    "spaces": " ",
}


def count_characters(tokenizer: Tokenizer, text: str, side: str) -> int:
    """Counts the characters that are tokenised of a text."""
    count = 0

    def encode(texts: Sequence[Any]) -> list[Encoding]:
        nonlocal count
        count += sum(map(len, texts))
        encodings: list[Encoding] = tokenizer.encode_batch(texts)
        return encodings

    rule = read_cut_rule(tokenizer, side)
    assert rule is not None
    encode_cut(encode, encode, [text], 256, rule)
    return count


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("text", [*LONG, *ONE_PIECE])
def test_few_characters_of_a_long_text_are_tokenised(minilm_directory: Path, text: str, side: str) -> None:
    tokenizer = Tokenizer.from_file(str(minilm_directory / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    unit = (LONG | ONE_PIECE)[text]
    assert count_characters(tokenizer, unit * (300_000 // len(unit)), side) < 80_000


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("kind", ["roberta", "llama3", "o200k", "clip", "spaces"])
def test_few_characters_are_tokenised_by_patterns(kind: str, text: str) -> None:
    unit = LONG[text]
    assert count_characters(make_tokenizer(kind), unit * (300_000 // len(unit)), "right") < 80_000


@pytest.mark.parametrize(
    "token",
    [
        AddedToken("two words"),
        AddedToken("two\u3000words", normalized=True),
        AddedToken("aaab"),
        AddedToken("a" * 40, special=True),
        AddedToken("the", lstrip=True, rstrip=True),
        AddedToken(" " * 5, normalized=False),
        AddedToken("-", lstrip=True, single_word=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["bert", "roberta", "multilingual"])
@pytest.mark.parametrize("side", ["right", "left"])
def test_added_tokens_are_never_divided(tmp_path: Path, kind: str, side: str, token: AddedToken) -> None:
    tokenizer = make_tokenizer(kind)
    tokenizer.add_tokens([token])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    opened = TextTokenizer.open(tmp_path, {"max_length": 8, "truncation_side": side}, text_signature())
    parts = ["two words ", "two\u3000words ", "aaab" * 9, "a" * 150, " " * 70, "the ", "- -", "x. "]
    for rotation in range(len(parts)):
        text = "".join(parts[rotation:] + parts[:rotation])
        compare(opened, [text[start:] * 3 for start in range(0, 60, 7)])


def test_plain_characters_stand_for_themselves() -> None:
    plain = find_characters(cut_rule._VISIBLE)
    joined = {
        unicodedata.normalize("NFD", made)[1:2]
        for made in map(chr, range(sys.maxunicode + 1))
        if len(unicodedata.normalize("NFD", made)) > 1
    }
    for form in ("NFD", "NFKD"):
        first = {unicodedata.normalize(form, character)[0] for character in plain}
        assert not {made for made in first if unicodedata.combining(made) or unicodedata.category(made)[0] == "M"}
        assert not first & joined - set("あ")
    assert not {made for made in plain if unicodedata.category(made) in {"Cf", "Cc", "Cs", "Zs", "Zl", "Zp"}}


@pytest.mark.parametrize(
    "normalizer",
    [
        None,
        normalizers.BertNormalizer(),
        normalizers.BertNormalizer(lowercase=False),
        normalizers.Lowercase(),
        normalizers.NFC(),
        normalizers.NFD(),
        normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "splitter",
    [pre_tokenizers.BertPreTokenizer(), pre_tokenizers.Whitespace(), pre_tokenizers.WhitespaceSplit()],
    ids=str,
)
def test_characters_of_words_stay_in_one_word(normalizer: Any, splitter: Any) -> None:
    for kind, end in ((cut_rule._WORD, "x"), (cut_rule._EMOJI, "🙂")):
        for character in find_characters(kind):
            text = end + character + end
            made = text if normalizer is None else normalizer.normalize_str(text)
            assert len(made) >= len(text), character
            assert len(splitter.pre_tokenize_str(made)) == 1, character


@cache
def find_characters(kind: str) -> list[str]:
    found = re.findall(f"[{kind}]", "".join(map(chr, range(sys.maxunicode + 1))))
    return [character for character in found if unicodedata.category(character) != "Cn"]


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
        ({"pre_tokenizer": pre_tokenizers.Sequence([pre_tokenizers.ByteLevel(), pre_tokenizers.Metaspace()])}, set()),
    ],
)
def test_what_is_not_known_to_be_safe_is_not_cut(changes: dict[str, Any], sides: set[str]) -> None:
    tokenizer = make_tokenizer("cased")
    for name, value in changes.items():
        setattr(tokenizer, name, value)
    tokenizer = Tokenizer.from_str(json.dumps(json.loads(tokenizer.to_str())))
    assert {side for side in ("right", "left") if read_cut_rule(tokenizer, side) is not None} == sides
