"""The task that a model is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from inferox.core import BATCH, ConfigError, DataType, PackageError, Signature, TensorSpec
from inferox.tasks import TASK_NAMES, choose_task, detect_task

from .models import text_signature, token_vectors

POOLING = {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}
TRANSFORMER = {"type": "sentence_transformers.models.Transformer", "path": ""}
MEAN = {"embedding_dimension": 4, "pooling_mode": "mean"}
CHAIN = {"modules": [TRANSFORMER, POOLING], "1_Pooling__config": MEAN}


def write(directory: Path, **files: Any) -> Path:
    """Writes JSON files; ``__`` in a name stands for a folder's slash."""
    for name, content in files.items():
        path = directory / f"{name.replace('__', '/')}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return directory


def architecture(name: str, **settings: Any) -> dict[str, Any]:
    return {"architectures": [name], "model_type": "bert", **settings}


@pytest.mark.parametrize(
    ("files", "config", "task"),
    [
        ({"modules": [TRANSFORMER, POOLING]}, {}, "embed"),
        ({"tokenizer": {}}, architecture("BertModel"), "embed"),
        ({"tokenizer_config": {}}, architecture("BertForMaskedLM"), "embed"),
        ({"tokenizer": {}}, architecture("BertForSequenceClassification", num_labels=2), "classify"),
        ({"tokenizer": {}}, architecture("BertForSequenceClassification"), "classify"),
        ({"tokenizer": {}}, architecture("BertForSequenceClassification", num_labels=1), "rerank"),
        (
            {"tokenizer": {}},
            architecture("BertForSequenceClassification", num_labels=1, problem_type="regression"),
            "classify",
        ),
        (
            {"config_sentence_transformers": {"model_type": "CrossEncoder"}, "modules": [TRANSFORMER]},
            architecture("BertForSequenceClassification", num_labels=1, problem_type="regression"),
            "rerank",
        ),
        (
            {"tokenizer": {}},
            architecture("BertForSequenceClassification", id2label={"0": "x"}, sentence_transformers={}),
            "rerank",
        ),
        (
            {"config_sentence_transformers": {"model_type": "CrossEncoder"}, "modules": [TRANSFORMER]},
            architecture("BertForSequenceClassification", num_labels=3),
            "classify",
        ),
        ({"tokenizer": {}}, architecture("BertForTokenClassification"), "token-classify"),
        ({}, {"architectures": ["ViTForImageClassification"], "model_type": "vit"}, "image-classify"),
        ({}, {"architectures": ["ViTModel"], "model_type": "vit"}, "raw"),
        ({}, architecture("BertModel"), "raw"),
        ({}, {}, "raw"),
        ({"tokenizer": {}}, {"architectures": "BertModel"}, "raw"),
    ],
)
def test_the_task_is_found_in_the_files(
    tmp_path: Path, files: dict[str, Any], config: dict[str, Any], task: str
) -> None:
    assert detect_task(write(tmp_path, **files), config, None) == task


@pytest.mark.parametrize("vocabulary", ["vocab.txt", "vocab.json", "sentencepiece.bpe.model"])
def test_a_tokenizer_in_an_older_form_counts(tmp_path: Path, vocabulary: str) -> None:
    (tmp_path / vocabulary).touch()

    choice = choose_task(tmp_path, architecture("BertModel"), text_signature(token_vectors(8)))

    assert choice.name == "embed"
    assert choice.files == ("tokenizer.json",)


def test_an_encoder_that_gives_no_token_vectors_is_raw(tmp_path: Path) -> None:
    logits = TensorSpec("logits", DataType.F32, (BATCH, 8))

    assert detect_task(write(tmp_path, tokenizer={}), architecture("BertForSomething"), text_signature(logits)) == "raw"


def test_a_single_file_is_raw() -> None:
    choice = choose_task(None, {}, Signature((), ()))

    assert (choice.name, choice.options, choice.files) == ("raw", {}, ())
    with pytest.raises(ConfigError, match=r"the task embed needs files beside the model.* \(use the task raw\)"):
        choose_task(None, {}, None, task="embed")


def test_the_task_can_be_chosen(tmp_path: Path) -> None:
    choice = choose_task(write(tmp_path, modules=[TRANSFORMER, POOLING]), {"vocab_size": 9}, None, task="raw")

    assert (choice.name, choice.options) == ("raw", {"vocab_size": 9})


def test_an_unknown_task_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no task 'translate' \(use one of embed, classify"):
        choose_task(tmp_path, {}, None, task="translate")
    assert TASK_NAMES == ("embed", "classify", "token-classify", "rerank", "image-classify", "raw")


def test_options_of_embed_state_everything_and_are_json(minilm_directory: Path) -> None:
    choice = choose_task(minilm_directory, json.loads((minilm_directory / "config.json").read_text()), None)

    assert json.loads(json.dumps(choice.options)) == {
        "max_length": 256,
        "truncation_side": "right",
        "lowercase": False,
        "pad_token": "[PAD]",
        "pad_token_id": 0,
        "token_types": True,
        "split_special_tokens": False,
        "pooling": ["mean"],
        "include_prompt": True,
        "modules": [{"type": "normalise"}],
        "prompts": {},
        "default_prompt": None,
        "truncate_dim": None,
    }
    assert choice.files == ("tokenizer.json", "tokenizer_config.json")


def test_the_weights_of_layers_are_carried(tmp_path: Path) -> None:
    dense = {"type": "sentence_transformers.models.Dense", "path": "2_Dense"}
    config = {"in_features": 4, "out_features": 2}
    write(tmp_path, modules=[TRANSFORMER, POOLING, dense], **{"1_Pooling__config": MEAN, "2_Dense__config": config})
    weights = {"linear.weight": np.ones((2, 4), np.float32), "linear.bias": np.ones(2, np.float32)}
    save_file(weights, tmp_path / "2_Dense" / "model.safetensors")

    choice = choose_task(tmp_path, {}, None)

    assert choice.files == ("tokenizer.json", "2_Dense/model.safetensors")
    assert choice.options["modules"] == [
        {"type": "dense", "weights": "2_Dense/model.safetensors", "activation": "tanh", "residual": False}
    ]


@pytest.mark.parametrize(
    ("pooling", "expected"),
    [
        ({"pooling_mode_cls_token": True}, ["cls"]),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": True}, ["max", "mean"]),
        ({"pooling_mode_mean_tokens": False}, ["mean"]),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, ["last"]),
        ({"pooling_mode": "weightedmean"}, ["weighted_mean"]),
        ({"pooling_mode": ["cls", "mean_sqrt_len_tokens"]}, ["cls", "mean_sqrt_len"]),
        ({"pooling_mode": "cls", "pooling_mode_mean_tokens": True}, ["cls"]),
    ],
)
def test_pooling_is_read_in_its_old_and_new_form(tmp_path: Path, pooling: dict[str, Any], expected: list[str]) -> None:
    write(tmp_path, modules=[TRANSFORMER, POOLING], **{"1_Pooling__config": {"embedding_dimension": 4, **pooling}})

    assert choose_task(tmp_path, {}, None).options["pooling"] == expected


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({"modules": [{"path": "1"}]}, PackageError, r"module 0 in modules\.json needs 'type' as a string"),
        ({"modules": {"0": 1}}, PackageError, r"modules\.json must be a list of objects"),
        ({"modules": [1]}, PackageError, r"modules\.json must be a list of objects"),
        ({"modules": "["}, PackageError, r"modules\.json is not JSON"),
        (
            {"modules": [TRANSFORMER], "sentence_bert_config": "x"},
            PackageError,
            r"sentence_bert_config\.json is not JSON",
        ),
        (
            {**CHAIN, "tokenizer_config": []},
            PackageError,
            r"tokenizer_config\.json must be a JSON obj",
        ),
        (
            {**CHAIN, "config_sentence_transformers": {"prompts": 3}},
            ConfigError,
            "config_sentence_transformers.json sets 'prompts' to 3, which is not supported: it must give a text",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(
    tmp_path: Path, files: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        choose_task(write(tmp_path, **files), {}, None)


@pytest.mark.parametrize(
    ("files", "config", "expected"),
    [
        ({"sentence_bert_config": {"max_seq_length": 100}, "tokenizer_config": {"model_max_length": 50}}, {}, 100),
        ({"sentence_bert_config": {"max_seq_length": None}, "tokenizer_config": {"model_max_length": 50}}, {}, 50),
        ({"sentence_roberta_config": {"max_seq_length": 75}}, {}, 75),
        ({"tokenizer_config": {"model_max_length": 10**30}}, {}, None),
        ({"tokenizer_config": {"model_max_length": 10**30}}, {"max_position_embeddings": 512}, 512),
        ({"sentence_bert_config": {"max_seq_length": 900}}, {"max_position_embeddings": 512}, 512),
        ({}, {"max_position_embeddings": 514, "model_type": "roberta", "pad_token_id": 1}, 512),
        ({}, {"max_position_embeddings": 514, "model_type": "xlm-roberta"}, 512),
        ({}, {"max_position_embeddings": 514, "model_type": "mpnet", "pad_token_id": 1}, 512),
        ({}, {"max_position_embeddings": 512, "model_type": "bert", "pad_token_id": 0}, 512),
        ({"tokenizer_config": {"model_max_length": 64}}, {"max_position_embeddings": -1}, 64),
        ({"tokenizer_config": {"model_max_length": True}}, {}, None),
        ({}, {}, None),
    ],
)
def test_the_limit_comes_from_the_models_own_files(
    tmp_path: Path, files: dict[str, Any], config: dict[str, Any], expected: int | None
) -> None:
    choice = choose_task(write(tmp_path, **CHAIN, **files), config, None, task="embed")

    assert choice.options["max_length"] == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"tokenizer_config": {"pad_token": "<pad>"}}, "<pad>"),
        ({"tokenizer_config": {"pad_token": {"content": "<pad>"}}}, "<pad>"),
        ({"special_tokens_map": {"pad_token": {"content": "<pad>"}}}, "<pad>"),
        ({"tokenizer_config": {"pad_token": None}}, None),
        ({}, None),
    ],
)
def test_the_padding_token_is_read_in_every_form(tmp_path: Path, files: dict[str, Any], expected: str | None) -> None:
    assert choose_task(write(tmp_path, **files), {}, None, task="embed").options["pad_token"] == expected
