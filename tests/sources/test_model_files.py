"""The files beside the weights: the card, the sizes of images, the tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from inferox.core import ManifestError, PackageError
from inferox.sources import open_source
from inferox.sources.image_size import read_image_size
from inferox.sources.model_card import read_license
from tests.sources.checkpoints import make_model, save_model


@pytest.mark.parametrize(
    ("card", "license_"),
    [
        ("---\nlicense: apache-2.0\n---\n# Model", "apache-2.0"),
        ("\ufeff---\r\ntags:\r\n- a\r\nlicense:  'mit' \r\n---\r\n", "mit"),
        ("---\nlicense:\n- mit\n- bsd-3-clause\nlanguage: en\n---\n", "mit, bsd-3-clause"),
        ("---\nlicense:\n  - mit\n---\n", "mit"),
        ("---\nlicense: [mit, isc]\n---\n", "mit, isc"),
        ("---\nlicense:\nlanguage: en\n---\n", None),
        ("---\nlicense_name: own\nlanguage: en\n---\nlicense: mit\n", None),
        ("# Model\nlicense: mit\n", None),
        ("", None),
    ],
)
def test_license(card: str, license_: str | None, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_bytes(card.encode())
    assert read_license(tmp_path) == license_


def test_no_card(tmp_path: Path) -> None:
    assert read_license(tmp_path) is None


@pytest.mark.parametrize(
    ("preprocessor", "config", "size"),
    [
        (None, {"image_size": 32}, (32, 32)),
        (None, {"image_size": [32, 48]}, (32, 48)),
        ({"size": 24}, {}, (24, 24)),
        ({"size": {"height": 24, "width": 20}}, {}, (24, 20)),
        ({"size": {"shortest_edge": 24}}, {}, (24, 24)),
        ({"size": {"shortest_edge": 24}, "crop_size": 16}, {"image_size": 8}, (16, 16)),
        ({"size": 24, "crop_size": {"height": 16, "width": 12}, "do_center_crop": True}, {}, (16, 12)),
        ({"size": 24, "crop_size": 16, "do_center_crop": False}, {}, (24, 24)),
        ({"size": {"longest_edge": 24}}, {"image_size": 8}, (8, 8)),
    ],
)
def test_image_size(
    preprocessor: dict[str, Any] | None, config: dict[str, Any], size: tuple[int, int], tmp_path: Path
) -> None:
    if preprocessor is not None:
        (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    assert read_image_size(tmp_path, config) == size


@pytest.mark.parametrize("config", [{}, {"image_size": "large"}, {"image_size": [1, 2, 3]}, {"image_size": 0}])
def test_unknown_image_size(config: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="states the size of the images"):
        read_image_size(tmp_path, config)


def test_image_size_inside_a_processor(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"size": 24}')
    (tmp_path / "processor_config.json").write_text('{"image_processor": {"size": 20}}')
    assert read_image_size(tmp_path, {"image_size": 8}) == (20, 20)


@pytest.mark.parametrize("preprocessor", [{"size": 8193}, {"size": {"height": 10**30, "width": 1}}])
def test_too_large_image_size(preprocessor: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    with pytest.raises(PackageError, match="edges may have at most 8192"):
        read_image_size(tmp_path, {})


@pytest.mark.parametrize("text", ["{", "[]"])
def test_malformed_preprocessor(text: str, tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(ManifestError, match=r"preprocessor_config\.json"):
        read_image_size(tmp_path, {"image_size": 8})


@pytest.fixture
def old_directory(minilm_directory: Path, tmp_path: Path) -> Path:
    """A small BERT with the vocabulary of the real model, but without its tokenizer.json."""
    directory = save_model(make_model("bert", "Model", vocab_size=30522), tmp_path / "old")
    for name in ("vocab.txt", "modules.json", "tokenizer_config.json"):
        shutil.copy(minilm_directory / name, directory / name)
    shutil.copytree(minilm_directory / "1_Pooling", directory / "1_Pooling")
    (directory / "2_Dense").mkdir()
    (directory / "2_Dense" / "model.safetensors").write_bytes(b"a layer")
    return directory


@pytest.mark.parametrize("with_config", [True, False])
def test_tokenizer_of_a_vocabulary(with_config: bool, old_directory: Path, minilm_directory: Path) -> None:
    if not with_config:
        (old_directory / "tokenizer_config.json").unlink()
    before = sorted(old_directory.rglob("*"))
    source = open_source(old_directory)
    directory = source.facts.directory
    assert directory is not None
    assert sorted(old_directory.rglob("*")) == before
    assert source.facts.name == "old"
    made, real = (
        tokenizers.Tokenizer.from_file(str(path / "tokenizer.json")) for path in (directory, minilm_directory)
    )
    for tokenizer in (made, real):
        tokenizer.no_padding()
        tokenizer.no_truncation()
    for text in ("Hello, World!", "naïve café 北京 \U0001f600", "", "a" * 300):
        assert made.encode(text, "pair").ids == real.encode(text, "pair").ids
    for name in (
        "modules.json",
        "1_Pooling/config.json",
        "2_Dense/model.safetensors",
    ):
        assert (directory / name).read_bytes() == (old_directory / name).read_bytes()
    assert not (directory / "model.safetensors").exists()
    del source
    assert not directory.exists()


def test_tokenizer_of_merges(tmp_path: Path) -> None:
    directory = save_model(make_model("roberta", "Model"), tmp_path)
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "h", "i", "\u0120", "hi"]
    (directory / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (directory / "merges.txt").write_text("#version: 0.2\nh i\n")
    source = open_source(directory)
    assert source.facts.directory is not None
    made = tokenizers.Tokenizer.from_file(str(source.facts.directory / "tokenizer.json"))
    assert made.encode("hi hi").tokens == ["<s>", "hi", "\u0120", "hi", "</s>"]


def test_tokenizer_that_cannot_be_made(tmp_path: Path) -> None:
    directory = save_model(make_model("roberta", "Model"), tmp_path)
    (directory / "vocab.json").write_text("[")
    with pytest.raises(PackageError, match="transformers cannot make a tokenizer of the files in"):
        open_source(directory)
    assert open_source(directory, task="raw").facts.directory == directory
