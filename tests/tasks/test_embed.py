"""Vectors of texts, against sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize, Transformer
from sentence_transformers.sentence_transformer.modules import Dropout, LayerNorm, Pooling
from transformers import AutoModel, BertConfig, BertModel

from inferox.core import ManifestError, PackageError, RequestError, UnsafePathError
from inferox.tasks import EmbedTask, choose_task, open_task
from inferox.tasks.given_items import iterate_items

from .models import FunctionModel, text_signature, token_vectors, torch_model

WORDS = [
    *("hello", "world", "naïve", "café", "東京", "привет", "مرحبا", "नमस्ते", "🙂👩\u200d👩\u200d👧", "e=mc²", "a-b"),
    *("ﬁ", "İ", "x\x00y", "[SEP]", "\u202eabc", "\ufeff", "supercalifragilisticexpialidocious", "\t\n", "don't"),
]  # fmt: skip


def varied_texts(count: int) -> list[str]:
    """Texts of 0 to 400 words in many scripts."""
    random = np.random.default_rng(7)
    return [" ".join(random.choice(WORDS, size=random.choice([0, 1, 2, 5, 10, 20, 60, 400]))) for _ in range(count)]


def open_embed(directory: Path, model: FunctionModel) -> EmbedTask:
    """Opens the task from a model's files, its options having passed through JSON as in a package."""
    config = json.loads((directory / "config.json").read_text())
    choice = choose_task(directory, config, model.signature)
    assert choice.name == "embed"
    assert all((directory / name).is_file() for name in choice.files)
    task = open_task("embed", json.loads(json.dumps(choice.options)), directory, model.signature)
    assert isinstance(task, EmbedTask)
    return task


@pytest.fixture(scope="module")
def bert_directory(tokenizer_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small seeded BERT with a real tokenizer, without sentence-transformers' files."""
    torch.manual_seed(0)
    directory = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=64
    )
    BertModel(config).save_pretrained(directory)
    for file in tokenizer_directory.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    return directory


def small_model(directory: Path) -> FunctionModel:
    return torch_model(AutoModel.from_pretrained(directory), text_signature(token_vectors(16)))


def check_equal(directory: Path, texts: list[str]) -> None:
    model = small_model(directory)
    task = open_embed(directory, model)

    vectors = task.run(model, texts)

    expected = SentenceTransformer(str(directory), device="cpu").encode(texts)
    assert task.dimension == expected.shape[1]
    np.testing.assert_allclose(vectors, expected, atol=1e-5, rtol=1e-5)


def test_equals_sentence_transformers_on_varied_texts(minilm_directory: Path, minilm: FunctionModel) -> None:
    texts = varied_texts(24)  # e2e/test_minilm.py has more
    task = open_embed(minilm_directory, minilm)

    vectors = task.run(minilm, texts)

    assert vectors.dtype == np.float32
    assert vectors.shape == (24, task.dimension) == (24, 384)
    expected = SentenceTransformer(str(minilm_directory), device="cpu").encode(texts)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_a_bare_encoder_is_pooled_by_the_mean(bert_directory: Path) -> None:
    check_equal(bert_directory, varied_texts(30))


@pytest.mark.parametrize(
    "pooling",
    ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken", ("mean", "cls", "lasttoken")],
)
def test_every_pooling_equals_sentence_transformers(bert_directory: Path, tmp_path: Path, pooling: Any) -> None:
    SentenceTransformer(modules=[Transformer(str(bert_directory)), Pooling(16, pooling)], device="cpu").save(
        str(tmp_path)
    )

    check_equal(tmp_path, varied_texts(20))


@pytest.mark.parametrize("activation", [torch.nn.Tanh, torch.nn.Identity, torch.nn.ReLU, torch.nn.GELU, torch.nn.SiLU])
def test_layers_after_pooling_equal_sentence_transformers(
    bert_directory: Path, tmp_path: Path, activation: type[torch.nn.Module]
) -> None:
    torch.manual_seed(1)
    modules = [
        Transformer(str(bert_directory), max_seq_length=20),
        Pooling(16, "mean"),
        Dropout(0.5),
        LayerNorm(16),
        Dense(16, 24, activation_function=activation(), use_residual=True),
        Normalize(),
        Dense(24, 24, bias=False, activation_function=activation(), use_residual=True),
    ]
    model = SentenceTransformer(modules=modules, device="cpu", truncate_dim=10)
    model.save(str(tmp_path))

    check_equal(tmp_path, varied_texts(20))


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "weightedmean", "lasttoken", "mean_sqrt_len_tokens"])
def test_prompts_equal_sentence_transformers(
    bert_directory: Path, tmp_path: Path, pooling: Any, include_prompt: bool
) -> None:
    reference = SentenceTransformer(
        modules=[Transformer(str(bert_directory)), Pooling(16, pooling, include_prompt=include_prompt)],
        prompts={"query": "query: find this ", "passage": "passage: "},
        default_prompt_name="passage",
        device="cpu",
    )
    reference.save(str(tmp_path))
    model, texts = small_model(tmp_path), varied_texts(10)
    task = open_embed(tmp_path, model)

    default, query = task.run(model, texts), task.with_prompt("query").run(model, texts)

    np.testing.assert_allclose(default, reference.encode(texts), atol=1e-5)
    np.testing.assert_allclose(query, reference.encode_query(texts), atol=1e-5)
    assert set(task.prompts) == {"query", "passage", "document"}


@pytest.mark.parametrize("lowercase", [True, False])
def test_texts_are_lowercased_where_the_files_say_so(bert_directory: Path, tmp_path: Path, lowercase: bool) -> None:
    SentenceTransformer(modules=[Transformer(str(bert_directory)), Pooling(16)], device="cpu").save(str(tmp_path))
    tokenizer = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer["normalizer"] = None
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": lowercase}))
    model = small_model(tmp_path)

    loud, quiet = open_embed(tmp_path, model).run(model, ["HELLO WORLD", "hello world"])

    assert np.array_equal(loud, quiet) is lowercase


def test_an_unknown_prompt_is_refused(minilm_directory: Path, minilm: FunctionModel) -> None:
    with pytest.raises(
        RequestError,
        match=r"no prompt 'title' \(the model has no prompts of its own; query and document can",
    ):
        open_embed(minilm_directory, minilm).with_prompt("title")


def test_no_texts_give_an_empty_matrix(minilm_directory: Path, minilm: FunctionModel) -> None:
    task = open_embed(minilm_directory, minilm)

    results = task.run(minilm, [])

    assert results.shape == (0, 384)
    assert results.dtype == np.float32


def test_a_vector_does_not_depend_on_its_batch(minilm_directory: Path, minilm: FunctionModel) -> None:
    task = open_embed(minilm_directory, minilm)
    texts = ["a", "a rather longer text about nothing at all", ""]

    together = task.run(minilm, texts)

    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(task.run(minilm, [text])[0], vector, atol=1e-6)


def test_a_model_of_fixed_shape_ignores_its_padding(bert_directory: Path) -> None:
    free = small_model(bert_directory)
    outputs = token_vectors(16)
    fixed_output = type(outputs)(outputs.name, outputs.dtype, (2, 12, 16))
    fixed = torch_model(AutoModel.from_pretrained(bert_directory), text_signature(fixed_output, dims=(2, 12)))
    texts = ["one", "two words", "three whole words"]

    vectors = open_embed(bert_directory, fixed).run(fixed, texts)

    np.testing.assert_allclose(vectors, open_embed(bert_directory, free).run(free, texts), atol=1e-5)


def test_samples_reach_from_the_empty_text_to_the_limit(minilm_directory: Path, minilm: FunctionModel) -> None:
    task = open_embed(minilm_directory, minilm)

    lengths = [[len(row["input_ids"]) for row in task.encode(batch)] for batch in task.samples()]

    assert min(map(min, lengths)) == 2
    assert max(map(max, lengths)) == 256
    assert any(len(batch) == 1 for batch in lengths)
    assert any(len(set(batch)) > 5 for batch in lengths)
    assert task.samples() == task.samples()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"pooling": ["median"]}, ManifestError, "'pooling' must list some of cls, max"),
        ({"pooling": []}, ManifestError, "'pooling' must list some of"),
        ({"pooling": "mean"}, ManifestError, "'pooling' must be of the type list, but is 'mean'"),
        ({"pooling": None}, ManifestError, "the task's options need 'pooling' of the type list"),
        (
            {"default_prompt": "title"},
            ManifestError,
            "'default_prompt' is 'title', but the prompts are query",
        ),
        (
            {"modules": [{"type": "conv"}]},
            ManifestError,
            "a layer after pooling must be one of normalise, dense, layer_norm, but is 'conv'",
        ),
        ({"modules": ["dense"]}, ManifestError, r"'modules\[0\]' must be of the type dict"),
        ({"modules": [{"type": "layer_norm", "weights": "absent"}]}, PackageError, "absent cannot be read"),
        ({"modules": [{"type": "layer_norm", "weights": "../x"}]}, UnsafePathError, "leads out of the model's folder"),
        ({"modules": [{"type": "layer_norm", "weights": "/etc/x"}]}, UnsafePathError, "leads out"),
        (
            {"modules": [{"type": "layer_norm", "weights": "model.safetensors"}]},
            PackageError,
            "model.safetensors of .* lacks 'norm.weight'; it has",
        ),
        (
            {"modules": [{"type": "dense", "weights": "model.safetensors", "activation": "cosine"}]},
            ManifestError,
            "'activation' must be one of .*, but is 'cosine'",
        ),
        ({"max_length": 2}, ManifestError, "a limit of 2 tokens leaves no room for a text beside 2 special tokens"),
        ({"max_length": True}, ManifestError, "'max_length' must be of the type int, but is True"),
        ({"truncation_side": "middle"}, ManifestError, "'truncation_side' must be left or right"),
    ],
)
def test_wrong_options_are_refused(
    bert_directory: Path, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    choice = choose_task(bert_directory, json.loads((bert_directory / "config.json").read_text()), None)

    with pytest.raises(error, match=message):
        open_task("embed", {**choice.options, **options}, bert_directory, text_signature(token_vectors(16)))


def test_a_dense_layer_of_another_width_is_refused(bert_directory: Path, tmp_path: Path) -> None:
    SentenceTransformer(modules=[Transformer(str(bert_directory)), Pooling(16), Dense(16, 8)], device="cpu").save(
        str(tmp_path)
    )
    choice = choose_task(tmp_path, {"model_type": "bert"}, None)

    with pytest.raises(ManifestError, match=r"must have the shape \[8, 32\], but has \[8, 16\]"):
        open_task("embed", choice.options, tmp_path, text_signature(token_vectors(32)))


def test_a_model_without_token_vectors_is_refused(bert_directory: Path) -> None:
    choice = choose_task(bert_directory, {"model_type": "bert"}, None)

    with pytest.raises(ManifestError, match=r"the task embed reads one output \[batch, seq, hidden\]"):
        open_task("embed", choice.options, bert_directory, text_signature())


def test_texts_that_can_be_read_once(bert_directory: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    choice = choose_task(bert_directory, {"model_type": "bert"}, None)
    task = open_task("embed", choice.options, bert_directory, text_signature(token_vectors(4)))
    model = FunctionModel(
        text_signature(token_vectors(4)),
        lambda arrays: {"last_hidden_state": np.ones((*arrays["input_ids"].shape, 4), np.float32)},
    )
    with (tmp_path / "texts.txt").open() as lines:
        assert len(task.run(model, lines)) == 2  # type: ignore[arg-type]  # what callers do all the same
    assert len(task.run(model, (text for text in ["a", "b", "c"]))) == 3  # type: ignore[arg-type]


def _pandas(kind: str, **options: Any) -> Callable[[Any], Any]:
    return lambda held: getattr(pytest.importorskip("pandas"), kind)(held, **options)


@pytest.mark.parametrize(
    "hold",
    [
        *(
            list,
            tuple,
            iter,
            np.array,
            lambda texts: dict.fromkeys(texts).keys(),
            lambda texts: dict(enumerate(texts)).values(),
            pa.array,
        ),
        *(lambda texts: pa.chunked_array([texts[:1], texts[1:]]), lambda texts: pa.array(texts, pa.large_string())),
        *(_pandas("Series"), _pandas("Series", index=[7, 7, 3]), _pandas("Index"), _pandas("Categorical")),
        *(_pandas("Series", dtype="string"), lambda texts: pa.array(texts).dictionary_encode()),
    ],
)
def test_texts_in_columns_of_other_libraries(bert_directory: Path, hold: Callable[[list[str]], Any]) -> None:
    model, texts = small_model(bert_directory), ["one", "two words", "one and two"]
    task = open_embed(bert_directory, model)
    np.testing.assert_array_equal(task.run(model, hold(texts)), task.run(model, texts))
    assert list(iterate_items(hold(texts))) == texts


@pytest.mark.parametrize("make", [_pandas("DataFrame"), pa.table])
def test_a_table_in_place_of_a_column_is_refused(bert_directory: Path, make: Callable[[Any], Any]) -> None:
    table = make({"text": ["a"]})
    model = small_model(bert_directory)
    with pytest.raises(RequestError, match=r"got a table of the type .* \(give one of its columns"):
        open_embed(bert_directory, model).run(model, table)


@pytest.mark.parametrize("items", [None, 3, {"a text"}, {"text": "x"}, object()])
def test_items_that_are_not_a_list(bert_directory: Path, items: Any) -> None:
    model = small_model(bert_directory)
    with pytest.raises(
        RequestError, match=f"expected a list of items, but got a value of the type {type(items).__name__}"
    ):
        open_embed(bert_directory, model).run(model, items)


def test_a_generator_and_an_array_of_texts(bert_directory: Path) -> None:
    model, texts = small_model(bert_directory), ["one", "two words"]
    task = open_embed(bert_directory, model)
    expected = task.run(model, texts)
    for items in (iter(texts), np.array(texts)):
        np.testing.assert_array_equal(task.run(model, items), expected)  # type: ignore[arg-type]
