"""The tokenizer that is written, against transformers on the whole directory."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from inferox.core import BATCH, SEQUENCE, DataType, PackageError, Signature, TensorSpec
from inferox.sources.auto_tokenizer import compare_tokenizers, save_tokenizer
from inferox.tasks import TextTokenizer
from inferox.tasks.files.texts import read_text_options
from tests.small_tokenizer import VOCABULARY, write_small_tokenizer

TEXTS = [
    "Hello World THE Café",
    "naïve 東京 [MASK] [SEP]<s></s> x",
    "",
    "one two three four five six seven eight nine ten eleven twelve",
    "newtoken and NewToken, don't",
]
PAIRS = list(zip(TEXTS, TEXTS[::-1], strict=True))


def signature(*names: str) -> Signature:
    inputs = names or ("input_ids", "attention_mask", "token_type_ids")
    return Signature(tuple(TensorSpec(name, DataType.I64, (BATCH, SEQUENCE)) for name in inputs), ())


def assert_like_transformers(directory: Path, target: Path) -> None:
    target.mkdir()
    save_tokenizer(directory, target, {})
    opened = TextTokenizer.open(target, read_text_options(target, {}), signature())
    reference = transformers.AutoTokenizer.from_pretrained(directory)
    for given, (first, second) in ((TEXTS, (TEXTS, None)), (PAIRS, (TEXTS, TEXTS[::-1]))):
        expected = reference(first, second, truncation="longest_first")
        for index, row in enumerate(opened.encode(given)):
            types = expected.get("token_type_ids", [[0] * len(ids) for ids in expected["input_ids"]])
            assert row["input_ids"].tolist() == expected["input_ids"][index]
            assert expected["attention_mask"][index] == [1] * len(row["input_ids"])
            assert row["token_type_ids"].tolist() == types[index]
    assert opened.pad_values["input_ids"] == (reference.pad_token_id or 0)


@pytest.fixture
def directory(minilm_directory: Path, tmp_path: Path) -> Path:
    copied = tmp_path / "model"
    copied.mkdir()
    write_small_tokenizer(copied, minilm_directory)
    return copied


def change(path: Path, **settings: Any) -> None:
    values = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**values, **settings}))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_lower_case": False},
        {"strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"tokenize_chinese_chars": False},
        {"cls_token": "[MASK]"},
        {"cls_token": {"content": "[unused1]", "__type": "AddedToken"}},
        {"pad_token": "[unused3]"},
        {"split_special_tokens": True},
        {"model_max_length": 9},
        {"model_max_length": 9, "truncation_side": "left"},
        {"model_input_names": ["input_ids", "attention_mask"]},
        {"tokenizer_class": "DistilBertTokenizer"},
        {"tokenizer_class": "ElectraTokenizerFast", "do_lower_case": False},
        {"additional_special_tokens": ["newtoken"]},
    ],
)
def test_settings_of_the_config(settings: dict[str, Any], directory: Path, tmp_path: Path) -> None:
    change(directory / "tokenizer_config.json", **{"model_max_length": 32, **settings})

    assert_like_transformers(directory, tmp_path / "written")


def test_added_tokens_of_their_own_file(directory: Path, tmp_path: Path) -> None:
    stated = json.loads((directory / "tokenizer_config.json").read_text())
    kept = {"model_max_length": 32, "tokenizer_class": stated["tokenizer_class"]}
    (directory / "tokenizer_config.json").write_text(json.dumps(kept))
    change(directory / "added_tokens.json", newtoken=VOCABULARY)

    assert_like_transformers(directory, tmp_path / "written")


def test_special_tokens_of_their_own_file(directory: Path, tmp_path: Path) -> None:
    stated = json.loads((directory / "tokenizer_config.json").read_text())
    kept = {"model_max_length": 32, "tokenizer_class": stated["tokenizer_class"]}
    (directory / "tokenizer_config.json").write_text(json.dumps(kept))
    tokens = {"sep_token": "[unused5]", "mask_token": "newtoken"}
    change(directory / "special_tokens_map.json", **tokens)

    assert_like_transformers(directory, tmp_path / "written")


def byte_level() -> tokenizers.Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {
        token: index for index, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *letters, "he"])
    }
    tokenizer = tokenizers.Tokenizer(models.BPE(vocabulary, [("h", "e")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def unigram() -> tokenizers.Tokenizer:
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -9.0), ("▁", -3.0), ("he", -2.0), ("▁T", -4.0)]
    tokenizer = tokenizers.Tokenizer(models.Unigram([*pieces, *((c, -5.0) for c in "helowrdantfiv")], unk_id=3))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


@pytest.mark.parametrize("make", [byte_level, unigram])
@pytest.mark.parametrize("settings", [{}, {"truncation_side": "left"}, {"add_prefix_space": True}])
@pytest.mark.parametrize("name", ["PreTrainedTokenizerFast", "RobertaTokenizer", "XLMRobertaTokenizer"])
def test_other_algorithms(
    make: Callable[[], tokenizers.Tokenizer], settings: dict[str, Any], name: str, tmp_path: Path
) -> None:
    if (make is byte_level) is (name == "XLMRobertaTokenizer") or (make is unigram and name == "RobertaTokenizer"):
        pytest.skip("a class of another algorithm")
    folder = tmp_path / "model"
    folder.mkdir()
    make().save(str(folder / "tokenizer.json"))
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    change(folder / "tokenizer_config.json", tokenizer_class=name, model_max_length=16, **tokens, **settings)

    assert_like_transformers(folder, tmp_path / "written")


@pytest.mark.parametrize("name", ["CanineTokenizer", "ByT5Tokenizer"])
def test_a_tokenizer_in_python_is_refused_by_name(name: str, tmp_path: Path) -> None:
    change(tmp_path / "tokenizer_config.json", tokenizer_class=name)

    with pytest.raises(PackageError, match=f"{name}, which is written in Python and has no tokenizer.json"):
        save_tokenizer(tmp_path, tmp_path, {})


def test_a_tokenizer_that_does_more_than_its_file_is_refused(directory: Path) -> None:
    # A class may modify its tokenizer's behaviour; here, the file cannot express that.
    change(directory / "tokenizer_config.json", split_special_tokens=True)
    loaded = transformers.AutoTokenizer.from_pretrained(directory)
    written = tokenizers.Tokenizer.from_str(loaded.backend_tokenizer.to_str())
    written.no_padding()
    written.no_truncation()

    with pytest.raises(PackageError, match=r"cannot express: for 'a \[.*input_ids"):
        compare_tokenizers(loaded, written)


@pytest.mark.parametrize(("stated", "limit"), [(7, 7), (600, 40), (None, 40)])
def test_the_limit_is_the_shorter_of_the_tokenizers_and_the_configs(
    stated: int | None, limit: int, directory: Path, tmp_path: Path
) -> None:
    config = transformers.BertConfig(max_position_embeddings=40)
    config.save_pretrained(directory)
    change(directory / "tokenizer_config.json", model_max_length=stated)
    (tmp_path / "written").mkdir()

    save_tokenizer(directory, tmp_path / "written", config.to_dict())

    assert read_text_options(tmp_path / "written", {})["max_length"] == limit


def test_do_lower_case_of_sentence_transformers(directory: Path, tmp_path: Path) -> None:
    change(directory / "tokenizer_config.json", do_lower_case=False)
    change(directory / "sentence_bert_config.json", do_lower_case=True, max_seq_length=20)
    shutil.copy(directory / "sentence_bert_config.json", tmp_path)
    save_tokenizer(directory, tmp_path, {})

    options = read_text_options(tmp_path, {})
    rows = TextTokenizer.open(tmp_path, options, signature()).encode(["HELLO World", "hello world"])

    assert options["max_length"] == 20
    assert rows[0]["input_ids"].tolist() == rows[1]["input_ids"].tolist()


def test_random_tokens_are_refused(tmp_path: Path) -> None:
    model = models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.1)
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizers.Tokenizer(model))
    made.save_pretrained(tmp_path / "model")
    (tmp_path / "target").mkdir()

    with pytest.raises(PackageError, match=r"'model.dropout' of tokenizer.json is 0.1\d*, which makes .* random"):
        save_tokenizer(tmp_path / "model", tmp_path / "target", {})
