"""Text to tokens, against transformers."""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sentence_transformers.base.modules import Transformer
from tokenizers import Tokenizer, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from inferox.core import BATCH, SEQUENCE, DataType, ManifestError, PackageError, RequestError, Signature, TensorSpec
from inferox.tasks import TextTokenizer
from inferox.tasks.text_cuts import CutEncoding

from .models import text_signature
from .test_embed import bert_directory, varied_texts

__all__ = ["bert_directory"]


def open_tokenizer(directory: Path, **options: Any) -> TextTokenizer:
    return TextTokenizer.open(directory, {"max_length": 32, "pad_token": "[PAD]", **options}, text_signature())


@pytest.mark.parametrize("max_length", [5, 32, 256, None])
@pytest.mark.parametrize("side", ["right", "left"])
def test_texts_equal_transformers(tokenizer_directory: Path, max_length: int | None, side: str) -> None:
    texts = varied_texts(60)
    reference = AutoTokenizer.from_pretrained(tokenizer_directory, truncation_side=side)

    rows = open_tokenizer(tokenizer_directory, max_length=max_length, truncation_side=side).encode(texts)

    expected = reference(texts, truncation=max_length is not None, max_length=max_length)
    for index, row in enumerate(rows):
        for name in ("input_ids", "token_type_ids"):
            assert row[name].tolist() == expected[name][index]
            assert row[name].dtype == np.int64
        assert expected["attention_mask"][index] == [1] * len(row["input_ids"])  # as a layout makes it


@pytest.mark.parametrize("max_length", [5, 8, 32, 256])
def test_pairs_equal_transformers(tokenizer_directory: Path, max_length: int) -> None:
    first, second = varied_texts(60), varied_texts(60)[::-1]
    if max_length < 32:
        # transformers takes seconds and gigabytes to cut a pair of long texts to a few tokens.
        first, second = ([text[:100] for text in texts] for texts in (first, second))
    reference = AutoTokenizer.from_pretrained(tokenizer_directory)

    rows = open_tokenizer(tokenizer_directory, max_length=max_length).encode(list(zip(first, second, strict=True)))

    expected = reference(first, second, truncation="longest_first", max_length=max_length)
    for index, row in enumerate(rows):
        for name in ("input_ids", "token_type_ids"):
            assert row[name].tolist() == expected[name][index]


def test_the_padding_and_truncation_of_the_file_are_left_aside(minilm_directory: Path) -> None:
    stated = json.loads((minilm_directory / "tokenizer.json").read_text())
    assert stated["padding"] is not None
    assert stated["truncation"]["max_length"] == 128

    short, long = open_tokenizer(minilm_directory, max_length=200).encode(["hi", "word " * 500])

    assert len(short["input_ids"]) == 3
    assert len(long["input_ids"]) == 200


def test_offsets_are_those_of_characters(minilm_directory: Path) -> None:
    (row,) = open_tokenizer(minilm_directory).encode(["naïve 🙂 東京"], offsets=True)

    assert row["offsets"].tolist() == [[0, 0], [0, 5], [6, 7], [8, 9], [9, 10], [0, 0]]
    assert row["special_tokens_mask"].tolist() == [True, *[False] * 4, True]
    assert row["offsets"].dtype == np.int64


@pytest.mark.parametrize("offsets", [False, True])
def test_many_texts_are_tokenised_as_each_alone(tokenizer_directory: Path, offsets: bool) -> None:
    tokenizer, texts = open_tokenizer(tokenizer_directory), varied_texts(300)

    rows = tokenizer.encode(texts, offsets=offsets)

    for text, row in zip(texts, rows, strict=True):
        (alone,) = tokenizer.encode([text], offsets=offsets)
        assert {name: array.tolist() for name, array in row.items()} == {
            name: array.tolist() for name, array in alone.items()
        }


def test_the_encodings_of_many_texts_are_never_held_at_once(
    tokenizer_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    encode = TextTokenizer._encode_many

    def encode_and_count(tokenizer: TextTokenizer, texts: Sequence[Any], **options: Any) -> Sequence[CutEncoding]:
        encodings = encode(tokenizer, texts, **options)
        gc.collect()
        held.append(sum(isinstance(item, CutEncoding) for item in gc.get_objects()))
        return encodings

    monkeypatch.setattr(TextTokenizer, "_encode_many", encode_and_count)
    assert len(open_tokenizer(tokenizer_directory).encode(["some words"] * 500)) == 500
    assert max(held) <= 128


def test_a_text_without_tokens_is_named_by_its_own_place(tmp_path: Path, tokenizer_directory: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_directory / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = ["word"] * 300
    texts[290] = ""

    with pytest.raises(RequestError, match="text 290 has no tokens"):
        open_tokenizer(tmp_path).encode(texts)


def test_only_the_inputs_of_the_model_are_made(tokenizer_directory: Path) -> None:
    signature = Signature((TensorSpec("input_ids", DataType.I32, (BATCH, SEQUENCE)),), ())

    (row,) = TextTokenizer.open(tokenizer_directory, {}, signature).encode(["hello"])

    assert set(row) == {"input_ids", "cut_tokens", "more_cut"}
    assert row["input_ids"].dtype == np.int32


def test_an_input_that_no_text_gives_is_refused(tokenizer_directory: Path) -> None:
    with pytest.raises(ManifestError, match="a text becomes input_ids, attention_mask, token_type_ids"):
        TextTokenizer.open(tokenizer_directory, {}, text_signature(inputs=("input_ids", "position_ids")))


def test_a_fixed_length_of_the_model_is_a_limit(tokenizer_directory: Path) -> None:
    tokenizer = TextTokenizer.open(tokenizer_directory, {"max_length": 32}, text_signature(dims=(BATCH, 8)))

    assert tokenizer.max_length == 8
    assert len(tokenizer.encode(["word " * 20])[0]["input_ids"]) == 8


@pytest.mark.parametrize(
    ("options", "pad_id"),
    [
        ({"pad_token": "[MASK]"}, 103),
        ({"pad_token": "[MASK]", "pad_token_id": 7}, 7),
        ({"pad_token": "not a token", "pad_token_id": 7}, 7),
        ({"pad_token": None, "pad_token_id": 7}, 7),
        ({"pad_token": None}, 5),
    ],
)
def test_rows_are_padded_with_the_models_own_token(
    tokenizer_directory: Path, tmp_path: Path, options: dict[str, Any], pad_id: int
) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_directory / "tokenizer.json"))
    tokenizer.enable_padding(pad_id=5, pad_type_id=3, length=40)
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    assert open_tokenizer(tmp_path, **options).pad_values == {
        "input_ids": pad_id,
        "attention_mask": 0,
        "token_type_ids": 3,
    }


def test_a_model_without_a_mask_is_given_no_padding_unless_its_length_is_fixed(tokenizer_directory: Path) -> None:
    free = TextTokenizer.open(tokenizer_directory, {}, text_signature(inputs=("input_ids",)))
    fixed = TextTokenizer.open(tokenizer_directory, {}, text_signature(inputs=("input_ids",), dims=(BATCH, 8)))

    assert free.pad_values == {}
    assert fixed.pad_values["input_ids"] == 0


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ("hello", "expected a list of texts, but got a single one"),
        *[
            (
                kind(b"hello"),
                rf"expected a list of texts, but .* of the type {kind.__name__} .*decode it",
            )
            for kind in (bytes, bytearray, memoryview)
        ],
        (["a", None], "text 1 must be a string, but is of the type NoneType"),
        ([True], "text 0 must be a string, but is of the type bool"),
        *[
            ([kind(b"a")], rf"text 0 must be a string, but is of the type {kind.__name__} \(bytes are not text: decode")
            for kind in (bytes, bytearray, memoryview)
        ],
        ([pa.scalar("a")], r"text 0 must be a string, but is of the type StringScalar \(give its as_py\(\)"),
        ([("a", "b", "c")], "text 0 must be a string, but is of the type tuple with 3 parts"),
        ([("a", 3)], "the second text of pair 0 must be a string, but is of the type int"),
        (["fine", "cut \ud83d off"], r"text 1 has a lone surrogate at character 4: U\+D83D"),
        ([("a", "\udc00")], r"the second text of pair 0 has a lone surrogate at character 0: U\+DC00"),
    ],
)
def test_what_is_not_a_text_is_refused_by_name(tokenizer_directory: Path, items: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        open_tokenizer(tokenizer_directory).encode(items)


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "", " ", "\u2028", "\U0010ffff"])
def test_odd_but_valid_texts_are_taken(tokenizer_directory: Path, text: str) -> None:
    (row,) = open_tokenizer(tokenizer_directory).encode([text])

    assert row["input_ids"][0] == 101
    assert row["input_ids"][-1] == 102


@pytest.mark.parametrize("text", ["word " * 20_000, "x" * 100_000, "🙂" * 100_000, "東" * 100_000])
def test_100_000_characters_are_cut_within_seconds(tokenizer_directory: Path, text: str) -> None:
    tokenizer = open_tokenizer(tokenizer_directory)
    started = time.perf_counter()

    (row,) = tokenizer.encode([text])

    assert time.perf_counter() - started < 5
    assert len(row["input_ids"]) <= 32


@pytest.mark.parametrize("max_length", [8, 32, 512])
def test_pairs_of_100_000_characters_are_cut_within_seconds(tokenizer_directory: Path, max_length: int) -> None:
    tokenizer = open_tokenizer(tokenizer_directory, max_length=max_length)
    started = time.perf_counter()

    (row,) = tokenizer.encode([("word " * 20_000, "other " * 17_000)])

    assert time.perf_counter() - started < 5
    assert len(row["input_ids"]) == max_length


def test_a_missing_tokenizer_is_an_error_that_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"there is no tokenizer.json \(AutoTokenizer.*save_pretrained"):
        open_tokenizer(tmp_path)


@pytest.mark.parametrize(
    "content", ["", "{}", "[1]", "\x00\x01", '{"model": 3}', '{"model": {"type": "X"}}', "[" * 100_000, "\xff"]
)
def test_a_damaged_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content, encoding="latin-1")

    with pytest.raises(PackageError, match=r"tokenizer\.json.*(failed|is not JSON|must be a JSON object|nest)"):
        open_tokenizer(tmp_path)


@pytest.mark.parametrize("prompt", ["query: ", "find: "])
def test_the_length_of_a_prompt_is_without_the_special_token_after_it(minilm_directory: Path, prompt: str) -> None:
    assert open_tokenizer(minilm_directory).count_prompt(prompt) == 3


@pytest.mark.parametrize("max_length", [None, 4, 8])
@pytest.mark.parametrize("single", ["[CLS] $A [SEP]", "[CLS] $A", "[CLS] $A [SEP] [SEP]"])
def test_the_length_of_a_prompt_is_that_of_sentence_transformers(
    bert_directory: Path, tmp_path: Path, single: str, max_length: int | None
) -> None:
    shutil.copytree(bert_directory, tmp_path, dirs_exist_ok=True)
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    special = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=f"{single} $B", special_tokens=special)
    names = {
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "sep_token": "[SEP]",
        "mask_token": "[MASK]",
    }
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(tmp_path)
    reference = Transformer(str(tmp_path), max_seq_length=max_length)
    ours = open_tokenizer(tmp_path, max_length=max_length)

    for prompt in ("find ", "find [SEP]", "find the text in which it says [MASK]", "one two three four five six "):
        assert ours.count_prompt(prompt) == reference.preprocess(["x"], prompt=prompt)["prompt_length"], prompt
