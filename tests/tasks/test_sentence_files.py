"""Every setting of sentence-transformers is honoured, has no effect on the numbers, or is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from inferox.core import ConfigError, ManifestError, PackageError, UnsafePathError
from inferox.tasks import choose_task

OLD = "sentence_transformers.models."
CONFIG = {"model_type": "bert", "architectures": ["BertModel"]}


def entry(index: int, kind: str, folder: str, **others: Any) -> dict[str, Any]:
    return {"idx": index, "name": str(index), "path": folder, "type": kind, **others}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model with every kind of layer, of width 4."""
    modules = [
        entry(0, f"{OLD}Transformer", ""),
        entry(1, f"{OLD}Pooling", "1_Pooling"),
        entry(2, f"{OLD}Dense", "2_Dense"),
        entry(3, f"{OLD}LayerNorm", "3_LayerNorm"),
        entry(4, f"{OLD}Normalize", "4_Normalize"),
    ]
    layers = {
        "1_Pooling": {"word_embedding_dimension": 4, "pooling_mode_cls_token": True},
        "2_Dense": {"in_features": 4, "out_features": 3},
        "3_LayerNorm": {"dimension": 3},
        "4_Normalize": {},
    }
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    for folder, config in layers.items():
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps(config))
    ones = np.ones((3, 4), np.float32)
    save_file({"linear.weight": ones, "linear.bias": ones[:, 0].copy()}, tmp_path / "2_Dense/model.safetensors")
    save_file(
        {"norm.weight": ones[:, 0].copy(), "norm.bias": ones[:, 0].copy()}, tmp_path / "3_LayerNorm/model.safetensors"
    )
    return tmp_path


def change(path: Path, values: Any) -> None:
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**before, **values}))


def test_the_whole_model_is_described(directory: Path) -> None:
    options = choose_task(directory, CONFIG, None).options

    assert (options["pooling"], options["include_prompt"]) == (["cls"], True)
    assert [layer["type"] for layer in options["modules"]] == ["dense", "layer_norm", "normalise"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_seq_length", 9),
        ("do_lower_case", False),
        ("transformer_task", "feature-extraction"),
        ("modality_config", {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}),
        ("module_output_name", "token_embeddings"),
        ("processing_kwargs", {"text": {"truncation": True, "padding": True}, "image": {"size": 3}}),
        ("unpad_inputs", False),
        ("query_length", None),
        ("query_expansion", None),
        ("model_args", {"torch_dtype": "bfloat16", "attn_implementation": "sdpa", "trust_remote_code": True}),
        ("tokenizer_args", {"use_fast": True}),
        ("config_kwargs", {}),
    ],
)
def test_settings_that_change_nothing_are_taken(directory: Path, key: str, value: Any) -> None:
    before = choose_task(directory, CONFIG, None).options
    change(directory / "sentence_bert_config.json", {key: value})

    after = choose_task(directory, CONFIG, None).options

    assert {**after, "max_length": None} == {**before, "max_length": None}


@pytest.mark.parametrize("file", ["sentence_bert_config.json", "sentence_xlnet_config.json"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_seq_length", "long"),
        ("max_seq_length", -1),
        ("do_lower_case", "yes"),
        ("transformer_task", "fill-mask"),
        ("modality_config", {"text": {"method": "forward", "method_output_name": ["hidden_states", 2]}}),
        ("modality_config", {"text": {"method": "get_text_features", "method_output_name": "pooler_output"}}),
        (
            "modality_config",
            {
                "text": {"method": "forward", "method_output_name": "last_hidden_state"},
                "message": {"method": "forward", "method_output_name": "last_hidden_state", "format": "flat"},
            },
        ),
        ("module_output_name", "sentence_embedding"),
        ("processing_kwargs", {"text": {"max_length": 3}}),
        ("processing_kwargs", {"common": {"add_special_tokens": False}}),
        ("processing_kwargs", {"txt": {}}),
        ("query_length", 32),
        ("document_length", 180),
        ("query_expansion", {"length": 32}),
        ("model_kwargs", {"subfolder": "x"}),
        ("tokenizer_args", {"do_lower_case": True}),
        ("processor_kwargs", {"truncation_side": "left"}),
        ("config_args", {"num_hidden_layers": 1}),
        ("tokenizer_name_or_path", "bert-base-uncased"),
        ("method_output_name", "hidden_states"),
        ("max_len", 30),
    ],
)
def test_settings_of_the_transformer_are_refused(directory: Path, file: str, key: str, value: Any) -> None:
    change(directory / file, {key: value})

    with pytest.raises(ConfigError) as caught:
        choose_task(directory, CONFIG, None)

    assert all(part in str(caught.value) for part in (file, repr(key), repr(value), "--task raw"))


@pytest.mark.parametrize(
    ("key", "value", "taken"),
    [
        ("__version__", {"sentence_transformers": "2.0.0"}, True),
        ("model_type", "SentenceTransformer", True),
        ("similarity_fn_name", "dot", True),
        ("prompts", {"query": None, "passage": "p: "}, True),
        ("default_prompt_name", "document", True),
        ("truncate_dim", 2, True),
        ("requirements", {}, True),
        ("model_type", "SparseEncoder", False),
        ("model_type", "ColBERT", False),
        ("model_type", "CrossEncoder", False),
        ("similarity_fn_name", "maxsim", False),
        ("prompts", {"query": ["q: "]}, False),
        ("prompts", ["q: "], False),
        ("default_prompt_name", "passage", False),
        ("default_prompt_name", 1, False),
        ("truncate_dim", 0, False),
        ("truncate_dim", "2", False),
        ("query_prefix", "[Q] ", False),
        ("requirements", {"transformers": ">=99"}, False),
    ],
)
def test_settings_of_the_model(directory: Path, key: str, value: Any, taken: bool) -> None:
    change(directory / "config_sentence_transformers.json", {key: value})

    if taken:
        choose_task(directory, CONFIG, None, task="embed")
        return
    with pytest.raises(ConfigError) as caught:
        choose_task(directory, CONFIG, None, task="embed")
    assert "config_sentence_transformers.json" in str(caught.value)
    assert key in str(caught.value)


@pytest.mark.parametrize("kind", ["SparseEncoder", "ColBERT"])
@pytest.mark.parametrize("architecture", ["BertModel", "BertForMaskedLM", "BertForSequenceClassification"])
def test_another_kind_of_model_is_refused_whatever_its_architecture(
    directory: Path, kind: str, architecture: str
) -> None:
    change(directory / "config_sentence_transformers.json", {"model_type": kind})

    with pytest.raises(ConfigError, match=f"'model_type' to '{kind}'"):
        choose_task(directory, {**CONFIG, "architectures": [architecture]}, None)


def test_a_prompt_that_is_null_is_the_empty_text(directory: Path) -> None:
    change(directory / "config_sentence_transformers.json", {"prompts": {"query": None, "p": "p: "}})

    assert choose_task(directory, CONFIG, None).options["prompts"] == {"query": "", "p": "p: "}


@pytest.mark.parametrize(
    "path",
    [
        *("models.Dense", "models.Dense.Dense", "models.dense.Dense", "base.modules.Dense", "base.modules.dense.Dense"),
        *("sentence_transformer.modules.Dense", "cross_encoder.modules.Dense", "sparse_encoder.models.Dense"),
    ],
)
def test_a_module_has_the_names_of_every_version(directory: Path, path: str) -> None:
    modules = json.loads((directory / "modules.json").read_text())
    modules[2]["type"] = f"sentence_transformers.{path}"
    (directory / "modules.json").write_text(json.dumps(modules))

    assert choose_task(directory, CONFIG, None).options["modules"][0]["type"] == "dense"


@pytest.mark.parametrize(
    ("index", "changes", "error", "message"),
    [
        (2, {"type": "pylate.models.Dense.Dense"}, ConfigError, "pylate.models.Dense.Dense, which is not one of"),
        (2, {"type": "Dense"}, ConfigError, "of the type Dense, which is not one of"),
        (2, {"type": "sentence_transformers.models.Pooling.Dense"}, ConfigError, "which is not one of"),
        (2, {"type": "custom_st.Transformer"}, ConfigError, "custom_st.Transformer, which is not one of"),
        (
            2,
            {"type": f"{OLD}CNN"},
            ConfigError,
            "2 in modules.json (folder '2_Dense') is of the type CNN, which",
        ),
        (2, {"type": f"{OLD}WeightedLayerPooling"}, ConfigError, "WeightedLayerPooling, which mixes the outputs"),
        (2, {"type": f"{OLD}Pooling"}, ConfigError, "lists Transformer, Pooling, Pooling, LayerNorm, Normalize"),
        (1, {"type": f"{OLD}Normalize"}, ConfigError, "lists Transformer, Normalize, Dense, LayerNorm, Normalize"),
        (2, {"path": "../2_Dense"}, UnsafePathError, "module 2 in modules.json: the path '../2_Dense' leads out"),
        (2, {"path": "/2_Dense"}, UnsafePathError, "leads out of the model's folder"),
        (2, {"path": None}, ManifestError, "module 2 in modules.json needs 'path' as a string, but has None"),
        (2, {"revision": "x"}, ConfigError, "module 2 in modules.json has the unknown key 'revision' ('x')"),
        (2, {"name": "1"}, ManifestError, "several modules the name '1'"),
    ],
)
def test_modules_are_refused(
    directory: Path, index: int, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    modules = json.loads((directory / "modules.json").read_text())
    modules[index].update(changes)
    (directory / "modules.json").write_text(json.dumps(modules))

    with pytest.raises(error) as caught:
        choose_task(directory, CONFIG, None)

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("folder", "changes", "error", "message"),
    [
        (
            "1_Pooling",
            {"pooling_mode": "median"},
            ConfigError,
            "sets 'pooling_mode' to 'median', which is not one of cls, max",
        ),
        ("1_Pooling", {"pooling_mode": []}, ConfigError, "sets 'pooling_mode' to []"),
        ("1_Pooling", {"pooling_mode_cls_token": "yes"}, ManifestError, "'pooling_mode_cls_token' to true or false"),
        ("1_Pooling", {"include_prompt": 0}, ManifestError, "'include_prompt' to true or false"),
        ("1_Pooling", {"word_embedding_dimension": None}, ManifestError, "lacks the embedding_dimension"),
        ("1_Pooling", {"attention_pooling": True}, ConfigError, "has the key 'attention_pooling' (True)"),
        ("2_Dense", {"activation_function": "mine.Swish"}, ConfigError, "'activation_function' to 'mine.Swish'"),
        ("2_Dense", {"activation_function": None}, ConfigError, "'activation_function' to None"),
        ("2_Dense", {"module_input_name": "token_embeddings"}, ConfigError, "'module_input_name' to 'token_embed"),
        ("2_Dense", {"module_output_name": "scores"}, ConfigError, "'module_output_name' to 'scores'"),
        ("2_Dense", {"use_spectral_norm": True}, ConfigError, "has the key 'use_spectral_norm' (True)"),
        ("2_Dense", {"in_features": "4"}, ManifestError, "must set 'in_features' to an integer, but sets it to '4'"),
        ("2_Dense", {"out_features": 2}, ManifestError, "must hold {'linear.weight': [2, 4], 'linear.bias': [2]}"),
        ("2_Dense", {"bias": False}, ManifestError, "must hold {'linear.weight': [3, 4]}"),
        ("2_Dense", {"use_residual": True}, ManifestError, "'residual.weight': [3, 4]}"),
        ("3_LayerNorm", {"dimension": 5}, ManifestError, "must hold {'norm.weight': [5], 'norm.bias': [5]}"),
        ("3_LayerNorm", {"eps": 1e-3}, ConfigError, "has the key 'eps' (0.001)"),
        ("4_Normalize", {"module_input_name": "token_embeddings"}, ConfigError, "'module_input_name' to 'token_embed"),
        ("4_Normalize", {"p": 1}, ConfigError, "has the key 'p' (1)"),
    ],
)
def test_layers_are_refused(
    directory: Path, folder: str, changes: dict[str, Any], error: type[Exception], message: str
) -> None:
    change(directory / folder / "config.json", changes)

    with pytest.raises(error) as caught:
        choose_task(directory, CONFIG, None)

    assert f"{folder}/" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("folder", ["1_Pooling", "2_Dense", "3_LayerNorm"])
def test_a_config_that_did_not_come_along_is_named(directory: Path, folder: str) -> None:
    (directory / folder / "config.json").unlink()

    with pytest.raises(PackageError, match=rf"{folder}/config\.json, .* is missing"):
        choose_task(directory, CONFIG, None)


def test_weights_that_did_not_come_along_are_named(directory: Path) -> None:
    (directory / "2_Dense" / "model.safetensors").unlink()

    with pytest.raises(PackageError, match=r"2_Dense/model\.safetensors, with the weights of the Dense, is missing"):
        choose_task(directory, CONFIG, None)


def test_normalize_had_no_config_in_older_versions(directory: Path) -> None:
    (directory / "4_Normalize" / "config.json").unlink()

    assert choose_task(directory, CONFIG, None).options["modules"][-1] == {"type": "normalise"}


@pytest.mark.parametrize("kept", ["config_sentence_transformers.json", "sentence_bert_config.json", "1_Pooling"])
def test_nothing_is_made_up_where_modules_json_did_not_come_along(tmp_path: Path, kept: str) -> None:
    path = tmp_path / (kept if kept.endswith(".json") else f"{kept}/config.json")
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")

    with pytest.raises(PackageError, match=rf"{kept}.* is in .*, but modules\.json, .* is missing"):
        choose_task(tmp_path, CONFIG, None, task="embed")


@pytest.mark.parametrize("task", ["embed", "rerank"])
@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_chat_template_without_modules_json_is_refused(tmp_path: Path, file: str, task: str) -> None:
    (tmp_path / file).write_text(json.dumps({"chat_template": "{{ messages }}"}))

    with pytest.raises(ConfigError, match=r"there is a chat template .* and no modules\.json"):
        choose_task(tmp_path, {**CONFIG, "num_labels": 1}, None, task=task)


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"architectures": ["Qwen3ForCausalLM"]}, "last"),
        ({"architectures": ["Qwen3ForCausalLM"], "is_causal": False}, "mean"),
        ({"architectures": ["GPT2LMHeadModel"]}, "mean"),
        ({"architectures": ["Qwen3Model"]}, "mean"),
        ({}, "mean"),
    ],
)
def test_a_model_without_modules_json_is_pooled_as_sentence_transformers_does(
    tmp_path: Path, config: dict[str, Any], pooling: str
) -> None:
    assert choose_task(tmp_path, config, None, task="embed").options["pooling"] == [pooling]
