"""Model directories: each gives the model that transformers loads from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers

from inferox.core import (
    ConfigError,
    DataType,
    Dim,
    InputTooLongError,
    LoadError,
    ManifestError,
    PackageError,
    SourceModel,
    TensorSpec,
)
from inferox.sources import open_source
from tests.sources.checkpoints import TEXT_CONFIGS, make_model, make_texts, save_model

_WITH_TOKEN_TYPES = {"bert", "electra"}


def _assert_equal(
    source: SourceModel, reference: torch.nn.Module, inputs: dict[str, npt.NDArray[Any]], names: tuple[str, ...]
) -> None:
    """Checks that every output is the reference's, except for rounding, and matches the signature."""
    with torch.inference_mode():
        expected = reference(**{name: torch.tensor(value) for name, value in inputs.items()})
    outputs = source.compute(inputs)
    assert tuple(outputs) == source.signature.output_names == names
    bindings: dict[str, int] = source.signature.check_inputs(inputs)
    for spec in source.signature.outputs:
        # On some processors, products of a single row are rounded by where the weights lie in memory.
        np.testing.assert_allclose(outputs[spec.name], expected[spec.name].numpy(), 1e-5, 1e-6)
        spec.check(outputs[spec.name], bindings)


def _dims(source: SourceModel) -> dict[str, tuple[Dim, ...]]:
    return {spec.name: spec.dims for spec in source.signature.outputs}


@pytest.mark.parametrize("model_type", TEXT_CONFIGS)
def test_bare_text_encoder(model_type: str, tmp_path: Path) -> None:
    model = make_model(model_type, "Model")
    source = open_source(save_model(model, tmp_path))
    names = ("input_ids", "attention_mask") + ("token_type_ids",) * (model_type in _WITH_TOKEN_TYPES)
    tables = {"input_ids": model.config.vocab_size, "token_type_ids": 2}
    assert source.signature.inputs == tuple(
        TensorSpec(name, DataType.I64, ("batch", "seq"), tables.get(name)) for name in names
    )
    assert _dims(source) == {"last_hidden_state": ("batch", "seq", 16)}
    assert source.example_inputs is None
    _assert_equal(source, model, make_texts(names), ("last_hidden_state",))
    _assert_equal(source, model, make_texts(names, rows=1, length=1), ("last_hidden_state",))


@pytest.mark.parametrize("model_type", TEXT_CONFIGS)
@pytest.mark.parametrize(
    ("head", "dims"),
    [("ForSequenceClassification", ("batch", 3)), ("ForTokenClassification", ("batch", "seq", 3))],
)
def test_text_encoder_with_head(model_type: str, head: str, dims: tuple[Dim, ...], tmp_path: Path) -> None:
    model = make_model(model_type, head, num_labels=3)
    source = open_source(save_model(model, tmp_path))
    assert source.facts.architecture == type(model).__name__
    assert _dims(source) == {"logits": dims}
    _assert_equal(source, model, make_texts(source.signature.input_names), ("logits",))


@pytest.mark.parametrize("model_type", TEXT_CONFIGS)
def test_the_longest_row_is_the_longest_that_the_model_takes(model_type: str, tmp_path: Path) -> None:
    model = make_model(model_type, "Model")
    source = open_source(save_model(model, tmp_path))
    if model_type == "modernbert":  # it rotates vectors, for any position
        assert source.signature.limits == {}
        return
    limit = source.signature.limits["seq"]
    assert limit <= model.config.max_position_embeddings
    names = source.signature.input_names
    _assert_equal(source, model, make_texts(names, rows=1, length=limit), ("last_hidden_state",))
    with pytest.raises(InputTooLongError, match=f"has {limit + 1} tokens, but the model takes {limit} at most"):
        source.compute(make_texts(names, rows=1, length=limit + 1))
    tensors = {name: torch.from_numpy(array) for name, array in make_texts(names, rows=1, length=limit + 1).items()}
    with pytest.raises((IndexError, RuntimeError)):  # nor does transformers take any more
        model(**tensors)


def test_cross_encoder(tmp_path: Path) -> None:
    model = make_model("bert", "ForSequenceClassification", num_labels=1)
    source = open_source(save_model(model, tmp_path), task="rerank")
    assert _dims(source) == {"logits": ("batch", 1)}
    _assert_equal(source, model, make_texts(source.signature.input_names), ("logits",))


@pytest.mark.parametrize("model_type", TEXT_CONFIGS)
def test_pretraining_head_is_left_out(model_type: str, tmp_path: Path) -> None:
    model = make_model(model_type, "ForMaskedLM")
    source = open_source(save_model(model, tmp_path))
    assert source.facts.architecture == type(model.base_model).__name__
    assert source.facts.left_out
    _assert_equal(source, model.base_model, make_texts(source.signature.input_names), ("last_hidden_state",))


def test_raw_takes_the_stated_class(tmp_path: Path) -> None:
    model = make_model("bert", "ForMaskedLM")
    source = open_source(save_model(model, tmp_path), task="raw")
    assert _dims(source) == {"logits": ("batch", "seq", 60)}
    _assert_equal(source, model, make_texts(source.signature.input_names), ("logits",))


def test_embed_takes_the_encoder_of_a_classifier(tmp_path: Path) -> None:
    model = make_model("roberta", "ForSequenceClassification")
    source = open_source(save_model(model, tmp_path), task="embed")
    assert source.facts.architecture == "RobertaModel"
    assert set(source.facts.left_out) == {name for name in model.state_dict() if name.startswith("classifier.")}
    _assert_equal(source, model.base_model, make_texts(source.signature.input_names), ("last_hidden_state",))


def _images(edge: int) -> dict[str, npt.NDArray[Any]]:
    return {"pixel_values": np.random.default_rng(0).standard_normal((3, 3, edge, edge)).astype(np.float32)}


def test_vision_transformer(tmp_path: Path) -> None:
    model = make_model("vit", "Model")
    source = open_source(save_model(model, tmp_path))
    assert source.facts.architecture_family == "Vision"
    assert source.signature.inputs == (TensorSpec("pixel_values", DataType.F32, ("batch", 3, 16, 16)),)
    assert _dims(source) == {"last_hidden_state": ("batch", 5, 16), "pooler_output": ("batch", 16)}
    _assert_equal(source, model, _images(16), ("last_hidden_state", "pooler_output"))


def test_residual_network(tmp_path: Path) -> None:
    model = make_model("resnet", "Model")
    source = open_source(save_model(model, tmp_path))
    assert source.signature.inputs == (TensorSpec("pixel_values", DataType.F32, ("batch", 3, 32, 32)),)
    assert _dims(source) == {"last_hidden_state": ("batch", 16, 4, 4), "pooler_output": ("batch", 16, 1, 1)}
    _assert_equal(source, model, _images(32), ("last_hidden_state", "pooler_output"))


@pytest.mark.parametrize(("model_type", "edge"), [("vit", 16), ("resnet", 32)])
def test_image_classifier(model_type: str, edge: int, tmp_path: Path) -> None:
    model = make_model(model_type, "ForImageClassification", num_labels=4)
    source = open_source(save_model(model, tmp_path))
    assert _dims(source) == {"logits": ("batch", 4)}
    _assert_equal(source, model, _images(edge), ("logits",))


def test_encoder_of_an_image_classifier_has_no_pooler(tmp_path: Path) -> None:
    model = make_model("vit", "ForImageClassification")
    source = open_source(save_model(model, tmp_path), task="embed")
    assert source.signature.output_names == ("last_hidden_state",)
    _assert_equal(source, model.base_model, _images(16), ("last_hidden_state",))


def test_real_model(minilm_directory: Path) -> None:
    source = open_source(minilm_directory)
    reference = transformers.AutoModel.from_pretrained(minilm_directory).eval()
    ids = np.array([[101, 7592, 2088, 102], [101, 102, 0, 0]], dtype=np.int64)
    inputs = {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64), "token_type_ids": np.zeros_like(ids)}
    _assert_equal(source, reference, inputs, ("last_hidden_state",))
    facts = source.facts
    assert (facts.kind, facts.model_type, facts.architecture) == ("huggingface", "bert", "BertModel")
    assert (facts.architecture_family, facts.license) == ("EncoderOnly", "apache-2.0")
    assert (facts.repo_id, facts.revision) == (None, None)
    assert facts.directory is not None
    assert (facts.directory / "modules.json").read_bytes() == (minilm_directory / "modules.json").read_bytes()
    assert facts.config == json.loads((minilm_directory / "config.json").read_text())
    assert source.num_parameters == sum(value.numel() for value in reference.parameters())


# Folders without a model.


def _edit_config(directory: Path, **changes: Any) -> Path:
    path = directory / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    return directory


@pytest.fixture
def bert_directory(tmp_path: Path) -> Path:
    return save_model(make_model("bert", "Model"), tmp_path / "bert")


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"there is no .*absent"):
        open_source(tmp_path / "absent")


def test_not_a_model_directory(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match=r"not a model directory: .* has no config\.json"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"config\.json is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"hidden_size": 3}', "states no model_type"),
    ],
)
def test_malformed_config(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ManifestError, match=message):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "brt"}, "does not know the model type 'brt'"),
        ({"architectures": ["BrtModel"]}, "architecture 'BrtModel'"),
        ({"architectures": ["load_tool"]}, "architecture 'load_tool'"),
        ({"architectures": ["AutoModel"]}, "architecture 'AutoModel'"),
        ({"architectures": "BertModel"}, "must be a list of names"),
        ({"auto_map": {"AutoModel": "modeling.Mine"}}, "code that comes with the model"),
    ],
)
def test_unusable_config(changes: dict[str, Any], message: str, bert_directory: Path) -> None:
    with pytest.raises(PackageError, match=message):
        open_source(_edit_config(bert_directory, **changes))


def test_config_of_another_size(bert_directory: Path) -> None:
    with pytest.raises(LoadError, match="another shape"):
        open_source(_edit_config(bert_directory, hidden_size=32))


@pytest.mark.parametrize("task", ["classify", "rerank", "token-classify", "image-classify"])
def test_task_without_its_head(task: str, bert_directory: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs a classifier .* is a BertModel"):
        open_source(bert_directory, task=task)


def test_images_of_unknown_size(tmp_path: Path) -> None:
    save_model(make_model("resnet", "Model"), tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    with pytest.raises(PackageError, match="states the size of the images"):
        open_source(tmp_path)


def test_sound_is_not_supported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
    with pytest.raises(PackageError, match=r"a Wav2Vec2Model reads audio \(input_values\), which is not supported"):
        open_source(tmp_path)


def test_text_with_images_is_not_supported(tmp_path: Path) -> None:
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.CLIPConfig(
        text_config={**small, "vocab_size": 20}, vision_config={**small, "image_size": 16, "patch_size": 8}
    )
    transformers.CLIPModel(config).save_pretrained(tmp_path)
    with pytest.raises(PackageError, match="a CLIPModel compares texts with images, with an encoder for each"):
        open_source(tmp_path)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("key", "task"), [("num_labels", "classify"), ("num_labels", "raw"), ("rotations", "embed")])
def test_a_config_that_would_cause_endless_work_is_named(
    key: str, task: str, minilm_directory: Path, tmp_path: Path
) -> None:
    head = "ForSequenceClassification" if task == "classify" else "Model"
    directory = save_model(make_model("bert", head), tmp_path)
    shutil.copy(minilm_directory / "tokenizer.json", directory / "tokenizer.json")
    config = json.loads((directory / "config.json").read_text())
    config.pop("id2label", None)
    (directory / "config.json").write_text(json.dumps({**config, key: 10**9}))
    if key == "rotations":  # which is neither a count nor a setting of BERT
        assert open_source(directory, task=task).facts.config[key] == 10**9
        return

    with pytest.raises(LoadError, match=f"its largest numbers are {key} = 1,000,000,000"):
        open_source(directory, task=task)
