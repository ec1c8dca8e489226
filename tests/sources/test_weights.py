"""Writing a source's weights: each shared one once, and enough of them to make the model again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from inferox.backends.torch.architecture import instantiate
from inferox.core import PackageError
from inferox.sources import open_source
from inferox.sources.checkpoint import read_checkpoint
from tests.sources.checkpoints import IMAGE_CONFIGS, TEXT_CONFIGS, make_model, make_texts, save_model


@pytest.mark.parametrize("model_type", [*TEXT_CONFIGS, *IMAGE_CONFIGS])
def test_saved_weights_make_the_model_again(model_type: str, tmp_path: Path) -> None:
    head = "ForImageClassification" if model_type in IMAGE_CONFIGS else "ForTokenClassification"
    source = open_source(save_model(make_model(model_type, head), tmp_path / "model"))
    (tmp_path / "saved").mkdir()
    assert source.save_weights(tmp_path / "saved" / "model.safetensors") is True
    assert source.facts.architecture is not None
    again = instantiate(source.facts.config, read_checkpoint(tmp_path / "saved"), source.facts.architecture)
    assert again.left_out == ()
    for name, value in source.module.state_dict().items():
        assert torch.equal(again.module.state_dict()[name], value), name


@pytest.mark.parametrize("model_type", TEXT_CONFIGS)
def test_tied_weights_are_written_once(model_type: str, tmp_path: Path) -> None:
    model = make_model(model_type, "ForMaskedLM")
    source = open_source(save_model(model, tmp_path), task="raw")
    path = tmp_path / "weights.safetensors"
    source.save_weights(path)
    with safe_open(path, framework="pt") as file:
        names, metadata = set(file.keys()), file.metadata()
        stored = sum(file.get_tensor(name).numel() for name in names)
    assert metadata.pop("format") == "pt"
    assert metadata, "this architecture ties its head to its embeddings"
    assert names.isdisjoint(metadata)
    assert set(metadata.values()) <= names
    assert names | metadata.keys() == source.module.state_dict().keys()
    buffers = sum(value.numel() for name, value in model.named_buffers() if name in names)
    assert source.num_parameters == model.num_parameters() == stored - buffers

    again = instantiate(source.facts.config, _read(path), type(model).__name__).module
    texts = {name: torch.tensor(value) for name, value in make_texts(source.signature.input_names).items()}
    with torch.inference_mode():
        np.testing.assert_array_equal(again(**texts).logits.numpy(), model(**texts).logits.numpy())


def _read(path: Path) -> dict[str, torch.Tensor]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a mapping


def test_same_weights_give_the_same_file(tmp_path: Path) -> None:
    directory = save_model(make_model("bert", "Model"), tmp_path / "model")
    for name in ("first", "second"):
        open_source(directory).save_weights(tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_weights_that_cannot_be_written(tmp_path: Path) -> None:
    source = open_source(save_model(make_model("bert", "Model"), tmp_path))
    with pytest.raises(PackageError, match="the weights cannot be written"):
        source.save_weights(tmp_path)
