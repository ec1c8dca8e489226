"""Tokenizers that would take too much are refused; those that transformers makes are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from inferox.core import PackageError
from inferox.sources.auto_tokenizer import save_tokenizer
from inferox.sources.tokenizer_limits import MAX_GROWTH, check_tokenizer, read_tokenizer
from inferox.tasks import TextTokenizer
from tests.tasks.models import text_signature

HONEST = (
    *("AlbertTokenizer", "BertTokenizer", "BigBirdTokenizer", "CLIPTokenizer", "CamembertTokenizer"),
    *(
        "CohereTokenizer",
        "DebertaTokenizer",
        "DebertaV2Tokenizer",
        "FunnelTokenizer",
        "GPT2Tokenizer",
        "GemmaTokenizer",
    ),
    *("GPTNeoXTokenizer", "HerbertTokenizer", "LayoutLMv3Tokenizer", "LlamaTokenizer", "MPNetTokenizer"),
    *("NllbTokenizer", "OpenAIGPTTokenizer", "Qwen2Tokenizer", "RobertaTokenizer", "T5Tokenizer", "WhisperTokenizer"),
    *("XGLMTokenizer", "XLMRobertaTokenizer", "XLNetTokenizer"),
)


def replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def document(**changes: Any) -> dict[str, Any]:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))  # noqa: S106
    return {**json.loads(tokenizer.to_str()), **changes}


def steps(key: str, *given_steps: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", key: list(given_steps)}


DOUBLED = replace({"String": "a"}, "aa")

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a template that is a number": (
        {"post_processor": {"type": "TemplateProcessing", "single": 1e999, "pair": [], "special_tokens": {}}},
        r"single of post_processor .* must be a list, but is inf",
    ),
    "ids of a template that are a number": (
        {
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [],
                "pair": [],
                "special_tokens": {"[SEP]": {"id": "[SEP]", "ids": 3, "tokens": ["[SEP]"]}},
            }
        },
        r"ids of post_processor .* must be a list, but is 3",
    ),
    "nested replacements": (
        {"normalizer": steps("normalizers", *[DOUBLED] * 30)},
        r"may make a text \d+ times as long",
    ),
    "nested sequences": (
        {"normalizer": steps("normalizers", steps("normalizers", DOUBLED, DOUBLED), *[DOUBLED] * 3)},
        r"32 times as long",
    ),
    "one long replacement": ({"normalizer": replace({"String": "a"}, "a" * 200)}, "200 times as long"),
    "replacing nothing": ({"normalizer": replace({"String": ""}, "b" * 40)}, "41 times as long"),
    "a pattern of nothing": ({"normalizer": replace({"Regex": "x*"}, "b" * 40)}, "41 times as long"),
    "a group of nothing": ({"normalizer": replace({"Regex": "(?:a?|b)"}, "b" * 40)}, "41 times as long"),
    "a repeated byte level": (
        {"pre_tokenizer": steps("pretokenizers", *[json.loads(pre_tokenizers.ByteLevel().__getstate__())] * 10)},
        "512 times as long",
    ),
    "normalizer and pre-tokenizer": (
        {
            "normalizer": replace({"String": "a"}, "aaaa"),
            "pre_tokenizer": steps("pretokenizers", *[json.loads(pre_tokenizers.ByteLevel().__getstate__())] * 4),
        },
        "32 times as long",
    ),
    "prepended text": ({"normalizer": {"type": "Prepend", "prepend": "p" * 50}}, "51 times as long"),
    "a repeated text": (
        {
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 100,
                "pair": [],
                "special_tokens": {},
            }
        },
        "100 times as long",
    ),
    "many tokens around": (
        {
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "x", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [],
                "special_tokens": {"x": {"id": "x", "ids": [0] * 300, "tokens": ["a"] * 300}},
            }
        },
        "adds 300 tokens",
    ),
    "backtracking without end": ({"normalizer": replace({"Regex": "(a+)+b"}, "")}, r"the pattern '\(a\+\)\+b'"),
    "backtracking to the square": (
        {"pre_tokenizer": json.loads(pre_tokenizers.Split(Regex("a+b"), "isolated").__getstate__())},
        r"pre_tokenizer \(Split\) of tokenizer.json has the pattern 'a\+b'",
    ),
    "too many steps": (
        {"normalizer": steps("normalizers", *[{"type": "StripAccents"}] * 40)},
        "more than 32 steps",
    ),
    "deep sequences": (
        {"normalizer": json.loads('{"type": "Sequence", "normalizers": [' * 60 + "]}" * 60)},
        "more than 32 steps",
    ),
    "an unknown step": ({"normalizer": {"type": "Shout"}}, "normalizer .Shout. of tokenizer.json is a step that"),
    "a step without a type": ({"pre_tokenizer": {}}, "pre_tokenizer of tokenizer.json must be an object with a type"),
    "long words": (
        {"model": {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a", "max_input_chars_per_word": 10**6}},
        r"'model.max_input_chars_per_word' of tokenizer.json is 1000000",
    ),
    "nested pieces": (
        {"model": {"type": "Unigram", "vocab": [["a" * length, -1.0] for length in range(1, 100)], "unk_id": 0}},
        r"'model.vocab' of tokenizer.json has 3\d pieces with which",
    ),
    "a long piece": (
        {"model": {"type": "Unigram", "vocab": [["a", 0.0], ["a" * 200, -1.0]], "unk_id": 0}},
        r"a piece of 200 characters",
    ),
    "a long added token": ({"added_tokens": [{"id": 0, "content": "a" * 2000}]}, "up to 2,000 characters"),
    "a map that lengthens": (
        # A trie of no bytes, and one text of 40 characters.
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAAAHh4" + "eHh4" * 12 + "eHgA"}},
        "40 times as long",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_those_that_would_take_too_much_are_refused(case: str) -> None:
    changes, message = REFUSED[case]
    with pytest.raises(PackageError, match=message):
        check_tokenizer(document(**changes))


def test_a_package_is_refused_before_the_library_reads_it(tmp_path: Path) -> None:
    # Added tokens are normalised while the file is read: 2 ** 31 characters.
    added = {"id": 2, "content": "a", "single_word": False, "lstrip": False, "rstrip": False, "normalized": True}
    hostile = document(normalizer=steps("normalizers", *[DOUBLED] * 31), added_tokens=[{**added, "special": False}])
    (tmp_path / "tokenizer.json").write_text(json.dumps(hostile))
    with pytest.raises(PackageError, match="times as long"):
        TextTokenizer.open(tmp_path, {}, text_signature())
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    with pytest.raises(PackageError, match="times as long"):
        save_tokenizer(tmp_path, tmp_path, {})


@pytest.mark.parametrize("place", ["normalizer", "model"])
def test_a_key_that_comes_twice_is_refused(place: str) -> None:
    content = json.dumps(document()).replace(f'"{place}": ', f'"{place}": null, "{place}": ', 1)
    with pytest.raises(PackageError, match=f"tokenizer.json.*{place}.* twice"):
        read_tokenizer(content.encode())


@pytest.mark.parametrize("name", HONEST)
def test_what_transformers_makes_is_taken(name: str) -> None:
    tokenizer = getattr(transformers, name)()
    check_tokenizer(json.loads(tokenizer.backend_tokenizer.to_str()))


def test_a_real_tokenizer_is_taken(minilm_directory: Path) -> None:
    read_tokenizer((minilm_directory / "tokenizer.json").read_bytes())


def test_every_kind_of_step_is_known() -> None:
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.Sequence(
        [
            *(normalizers.NFC(), normalizers.Lowercase(), normalizers.StripAccents(), normalizers.Nmt()),
            *(normalizers.Strip(), normalizers.BertNormalizer(), normalizers.ByteLevel(), normalizers.Prepend("a")),
        ]
    )
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *(pre_tokenizers.BertPreTokenizer(), pre_tokenizers.CharDelimiterSplit("x"), pre_tokenizers.Whitespace()),
            *(pre_tokenizers.Punctuation(), pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits()),
            *(pre_tokenizers.UnicodeScripts(), pre_tokenizers.Metaspace(), pre_tokenizers.ByteLevel()),
            pre_tokenizers.Split(" ", "isolated"),
        ]
    )
    made.add_tokens([AddedToken("a")])
    check_tokenizer(json.loads(made.to_str()))


_STEPS = st.one_of(
    st.builds(normalizers.Replace, st.text("ab", max_size=3), st.text("ab", max_size=3)),
    st.builds(
        lambda pattern, content: normalizers.Replace(Regex(pattern), content),
        st.sampled_from(["a*", "b+", "a?b*", "(?:ab|b)", "[ab]", "a{2,}", "(?:a|b)?"]),
        st.text("ab", max_size=3),
    ),
    st.builds(normalizers.Prepend, st.text("ab", max_size=3)),
)


@given(st.lists(_STEPS, max_size=5), st.text("abc", min_size=1, max_size=30))
def test_what_is_taken_grows_no_further_than_is_said(given_steps: list[Any], text: str) -> None:
    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.Sequence(given_steps)
    try:
        check_tokenizer(json.loads(made.to_str()))
    except PackageError:
        return
    # A pattern that matches nothing also matches at the end, once more than there are characters.
    assert len(made.normalizer.normalize_str(text)) <= MAX_GROWTH * (len(text) + 1)
