"""Encoders of the BERT family: every type and head, against transformers itself."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from inferox.core import (
    ExecutionError,
    InputTooLongError,
    LoadError,
    Model,
    OutOfMemoryError,
    RequestError,
)
from tests.backends.candle.artifacts import TEXT, load, text_artifact
from tests.sources.checkpoints import make_model, make_texts, save_model

TYPES = ("bert", "roberta", "xlm-roberta", "distilbert", "electra")
HEADS = ("Model", "ForSequenceClassification", "ForTokenClassification")


def inputs_of(model: Any) -> tuple[str, ...]:
    return TEXT if getattr(model.config, "type_vocab_size", 0) > 1 else TEXT[:2]


def reference(model: Any, inputs: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    with torch.inference_mode():
        found = model(**{name: torch.from_numpy(value) for name, value in inputs.items()})[0]
    array: npt.NDArray[Any] = found.numpy()
    return array


def output(model: Model, inputs: Any) -> npt.NDArray[Any]:
    (found,) = model.forward(inputs).values()
    return found.numpy()


def save_small(directory: Path, model_type: str = "bert", head: str = "Model", **settings: Any) -> tuple[Any, Model]:
    """Makes a small model twice: as transformers made it, and as Candle loaded it."""
    model = make_model(model_type, head, **settings)
    # Weights of their usual size leave the activations in the range where they all look alike.
    torch.manual_seed(7)
    for name, value in model.named_parameters():
        value.data += 0.3 * torch.randn_like(value) * ("LayerNorm" not in name)
    save_model(model, directory)
    return model, load(text_artifact(directory, type(model).__name__, inputs_of(model)))


@pytest.mark.parametrize("model_type", TYPES)
@pytest.mark.parametrize("head", HEADS)
def test_it_agrees_with_transformers(tmp_path: Path, model_type: str, head: str) -> None:
    model, loaded = save_small(tmp_path, model_type, head, **({} if head == "Model" else {"num_labels": 3}))
    for rows, length in ((3, 9), (1, 1), (5, 30)):
        inputs = make_texts(inputs_of(model), rows=rows, length=length)
        if "roberta" in model_type:
            inputs["input_ids"] = np.where(inputs["attention_mask"] == 0, 1, inputs["input_ids"])
        found, expected = output(loaded, inputs), reference(model, inputs)
        if expected.ndim == 3:
            found, expected = found[inputs["attention_mask"] == 1], expected[inputs["attention_mask"] == 1]
        assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu"])
def test_each_activation(tmp_path: Path, activation: str) -> None:
    model, loaded = save_small(tmp_path, hidden_act=activation)
    inputs = make_texts(TEXT)
    real = inputs["attention_mask"] == 1
    assert np.abs(output(loaded, inputs) - reference(model, inputs))[real].max() <= 1e-5


def test_settings_of_the_config_count(tmp_path: Path) -> None:
    model, loaded = save_small(tmp_path, layer_norm_eps=0.5, num_attention_heads=4, num_hidden_layers=1)
    inputs = make_texts(TEXT)
    real = inputs["attention_mask"] == 1
    assert np.abs(output(loaded, inputs) - reference(model, inputs))[real].max() <= 1e-5


def test_minilm(minilm_directory: Path) -> None:
    model = transformers.BertModel.from_pretrained(minilm_directory).eval()
    loaded = load(text_artifact(minilm_directory, "BertModel"))
    random = np.random.default_rng(0)
    for rows, length in ((4, 33), (1, 200)):
        mask = (np.arange(length) < random.integers(1, length + 1, (rows, 1))).astype(np.int64)
        ids = random.integers(3, 30000, (rows, length)) * mask
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        assert np.abs(output(loaded, inputs) - reference(model, inputs))[mask == 1].max() <= 1e-5


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Model]:
    return save_small(tmp_path_factory.mktemp("bert"), head="ForSequenceClassification", num_labels=3)


@settings(deadline=None, max_examples=20)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5), padding=st.integers(0, 5))
def test_batched_equals_single(small: tuple[Any, Model], lengths: list[int], padding: int) -> None:
    _, loaded = small
    random = np.random.default_rng(len(lengths))
    rows = [random.integers(3, 60, length) for length in lengths]
    width = max(lengths) + padding
    ids, mask = np.zeros((len(rows), width), np.int64), np.zeros((len(rows), width), np.int64)
    for index, row in enumerate(rows):
        ids[index, : len(row)], mask[index, : len(row)] = row, 1
    together = output(loaded, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})
    for index, row in enumerate(rows):
        one = {"input_ids": row[None], "attention_mask": np.ones((1, len(row)), np.int64)}
        alone = output(loaded, {**one, "token_type_ids": np.zeros_like(row)[None]})
        np.testing.assert_allclose(together[index], alone[0], atol=2e-5)


def test_a_row_that_is_masked_as_a_whole_stays_finite(small: tuple[Any, Model], tmp_path: Path) -> None:
    inputs = make_texts(TEXT)
    inputs["attention_mask"][1] = 0
    _, bare = save_small(tmp_path)
    assert np.isfinite(output(bare, inputs)).all()
    with pytest.raises(RequestError, match="row 1 is all zeros"):
        small[1].forward(inputs)


def test_eight_threads_at_once(small: tuple[Any, Model]) -> None:
    batches = [make_texts(TEXT, rows=1 + index % 4, length=5 + index) for index in range(16)]
    expected = [output(small[1], batch) for batch in batches]
    with ThreadPoolExecutor(8) as pool:
        for found, wanted in zip(pool.map(lambda batch: output(small[1], batch), batches), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("bad", [60, -1, 2**40])
def test_unknown_tokens(small: tuple[Any, Model], bad: int) -> None:
    for name in ("input_ids", "token_type_ids"):
        inputs = make_texts(TEXT)
        inputs[name][1, 2] = bad
        with pytest.raises(RequestError, match=f"{bad} is unknown"):
            small[1].forward(inputs)


def test_rows_that_are_too_long(tmp_path: Path, small: tuple[Any, Model]) -> None:
    assert output(small[1], make_texts(TEXT, length=40)).shape == (3, 3)
    with pytest.raises(InputTooLongError, match="41 tokens, but the model takes 40"):
        small[1].forward(make_texts(TEXT, length=41))
    _, roberta = save_small(tmp_path, "roberta")
    ids = np.full((1, 39), 5)
    with pytest.raises(InputTooLongError, match="39 tokens, but the model takes 38"):
        roberta.forward({"input_ids": ids, "attention_mask": np.ones_like(ids)})


def test_a_batch_that_cannot_fit(small: tuple[Any, Model]) -> None:
    # A view of one number: the rows take no memory, but computing them would.
    ids = np.broadcast_to(np.int64(5), (2**33, 40))
    with pytest.raises(OutOfMemoryError, match="rows of 40 tokens") as caught:
        small[1]._network._require_memory(*ids.shape)  # type: ignore[attr-defined]
    assert caught.value.requested_bytes is not None
    assert caught.value.requested_bytes > 2**33


def test_no_rows_and_no_tokens(small: tuple[Any, Model], tmp_path: Path) -> None:
    assert len(output(small[1], {name: np.zeros((0, 5), np.int64) for name in TEXT})) == 0
    with pytest.raises(RequestError, match="row 0 has no tokens"):
        small[1].forward({name: np.zeros((2, 0), np.int64) for name in TEXT})
    _, bare = save_small(tmp_path)
    assert output(bare, {name: np.zeros((2, 0), np.int64) for name in TEXT}).shape[:2] == (2, 0)


def test_a_closed_model(tmp_path: Path) -> None:
    _, model = save_small(tmp_path)
    model.close()
    model.close()
    with pytest.raises(ExecutionError, match="closed"):
        model.forward(make_texts(TEXT))


def test_old_names_a_prefix_and_half_precision(tmp_path: Path) -> None:
    model, loaded = save_small(tmp_path / "new")
    inputs = make_texts(TEXT)
    expected = output(loaded, inputs)
    old = {
        "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in model.state_dict().items()
    }
    (tmp_path / "old").mkdir()
    shutil.copyfile(tmp_path / "new" / "config.json", tmp_path / "old" / "config.json")
    others = {"bert.embeddings.position_ids": torch.arange(40)[None], "cls.predictions.bias": torch.zeros(60)}
    save_file({**old, **others}, tmp_path / "old" / "model.safetensors")
    np.testing.assert_array_equal(output(load(text_artifact(tmp_path / "old", "BertModel")), inputs), expected)
    save_file({name: value.half() for name, value in old.items()}, tmp_path / "old" / "model.safetensors")
    half = output(load(text_artifact(tmp_path / "old", "BertModel")), inputs)
    expected = reference(model.half().float(), inputs)
    assert np.abs(half - expected)[inputs["attention_mask"] == 1].max() <= 1e-5


def test_tied_weights_are_found_by_their_other_name(tmp_path: Path) -> None:
    _, loaded = save_small(tmp_path)
    expected = output(loaded, make_texts(TEXT))
    weights = load_file(tmp_path / "model.safetensors")
    weights["shared"] = weights.pop("embeddings.word_embeddings.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"embeddings.word_embeddings.weight": "shared"})
    with pytest.raises(LoadError, match="no place for 1 weight: shared"):
        load(text_artifact(tmp_path, "BertModel"))
    weights["cls.shared"] = weights.pop("shared")
    save_file(weights, tmp_path / "model.safetensors", metadata={"embeddings.word_embeddings.weight": "cls.shared"})
    np.testing.assert_array_equal(output(load(text_artifact(tmp_path, "BertModel")), make_texts(TEXT)), expected)


def _edit_weights(directory: Path, name: str, value: torch.Tensor | None) -> None:
    weights = load_file(directory / "model.safetensors")
    if value is None:
        del weights[name]
    else:
        weights[name] = value
    save_file(weights, directory / "model.safetensors")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("encoder.layer.1.output.dense.weight", None, "output.dense.weight is missing"),
        ("encoder.layer.1.output.dense.weight", torch.zeros(3, 4), r"must have the shape \[16, 24\], but has \[3, 4\]"),
        ("encoder.layer.1.output.dense.weight", torch.zeros(16, 24, dtype=torch.float64), "is f64"),
        ("encoder.layer.2.output.dense.weight", torch.zeros(16, 24), "no place for 1 weight"),
        ("embeddings.word_embeddings.weight", torch.zeros(59, 16), r"must have the shape \[60, 16\]"),
        ("bert.embeddings.LayerNorm.bias", torch.zeros(16), "twice"),
        ("flags", torch.zeros(3, dtype=torch.bool), "candle failed while reading model.safetensors"),
    ],
)
def test_weights_that_do_not_fit(tmp_path: Path, name: str, value: torch.Tensor | None, message: str) -> None:
    save_small(tmp_path)
    _edit_weights(tmp_path, name, value)
    with pytest.raises(LoadError, match=message):
        load(text_artifact(tmp_path, "BertModel"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "vit"}, "candle cannot run a vit model"),
        ({"model_type": "modernbert"}, "rotary embeddings"),
        ({"model_type": ["bert"]}, "cannot run a"),
        ({"hidden_act": "mish"}, "the activation 'mish'"),
        ({"is_decoder": True}, "mask of a decoder"),
        ({"position_embedding_type": "relative_key"}, "relative_key positions"),
        ({"quantization_config": {}}, "quantised"),
        ({"num_attention_heads": 5}, "5 heads"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"num_hidden_layers": 10**12}, "is missing"),
        ({"num_hidden_layers": 1}, "no place"),
        ({"hidden_size": "16"}, "hidden_size"),
        ({"layer_norm_eps": "tiny"}, "layer_norm_eps"),
    ],
)
def test_configs_that_it_refuses(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    save_small(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(LoadError, match=message):
        load(text_artifact(tmp_path, "BertModel"))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_configs_that_are_none(tmp_path: Path, text: str) -> None:
    save_small(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(LoadError, match=r"config\.json (must be a JSON object|is not (readable )?JSON)"):
        load(text_artifact(tmp_path, "BertModel"))


@pytest.mark.parametrize("architecture", ["BertForMaskedLM", "RobertaModel", "nonsense"])
def test_architectures_that_it_refuses(tmp_path: Path, architecture: str) -> None:
    save_small(tmp_path)
    with pytest.raises(LoadError, match=architecture):
        load(text_artifact(tmp_path, architecture))


def test_weights_that_are_none(tmp_path: Path) -> None:
    save_small(tmp_path)
    for content in (b"nonsense", b"", (2**62).to_bytes(8, "little")):
        (tmp_path / "model.safetensors").write_bytes(content)
        with pytest.raises(LoadError, match=r"candle failed while reading model\.safetensors"):
            load(text_artifact(tmp_path, "BertModel"))


def test_inputs_that_it_does_not_take(tmp_path: Path) -> None:
    save_small(tmp_path)
    with pytest.raises(LoadError, match="position_ids"):
        load(text_artifact(tmp_path, "BertModel", (*TEXT, "position_ids")))
