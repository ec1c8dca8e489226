"""Format 1, as the Rust Inferox writes it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from inferox.core import InferoxError, IntegrityError, ManifestError, TrustTier, UnsafePathError
from inferox.package import open_package

METADATA: dict[str, Any] = {
    "version": "1.0",
    "name": "bert-base",
    "repo_id": "org/bert-base",
    "revision": "main",
    "files": [],
    "created_at": "2025-01-11T00:00:00Z",
}
MODEL_INFO: dict[str, Any] = {
    "model_type": "bert",
    "repo_id": "org/bert-base",
    "architecture_family": "EncoderOnly",
    "supported_backends": ["Candle", "Tch"],
    "hidden_size": 768,
    "num_layers": 12,
    "vocab_size": 30522,
}
CONFIG = {"model_type": "bert", "architectures": ["BertForMaskedLM"], "hidden_size": 768, "type_vocab_size": 2}


def make(root: Path, *, metadata: Any = None, info: Any = None, files: dict[str, bytes] | None = None) -> Path:
    """Makes a package by hand; by default with Candle's folder and a native library."""
    default = {
        "backends/candle/config.json": json.dumps(CONFIG).encode(),
        "backends/candle/model.safetensors": b"weights",
        "backends/candle/libmodel.so": b"\x7fELF",
    }
    for name, content in (default if files is None else files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    root.mkdir(exist_ok=True)
    (root / "metadata.json").write_text(json.dumps({**METADATA, **(metadata or {})}))
    (root / "model_info.json").write_text(json.dumps({**MODEL_INFO, **(info or {})}))
    return root


def test_it_is_read_as_data(tmp_path: Path) -> None:
    package = open_package(make(tmp_path / "p"))
    assert (package.metadata.format_version, package.metadata.name) == ("1.0", "bert-base")
    assert (package.info.hidden_size, package.info.num_layers, package.info.vocab_size) == (768, 12, 30522)
    assert package.info.task == ""
    (artifact,) = package.artifacts
    assert (artifact.backend, artifact.format) == ("torch", "safetensors")
    assert artifact.options == {"architecture": "BertModel"}
    assert dict(artifact.files) == {
        "config": "backends/candle/config.json",
        "weights": "backends/candle/model.safetensors",
    }
    assert artifact.signature.input_names == ("input_ids", "attention_mask", "token_type_ids")
    assert artifact.signature.outputs[0].dims == ("batch", "seq", 768)
    assert package.trust_tier is TrustTier.DATA
    assert package.config == CONFIG


@pytest.mark.parametrize("backend", ["candle", "tch", "torch"])
def test_the_folder_of_any_backend_with_pytorchs_weights(tmp_path: Path, backend: str) -> None:
    files = {
        f"backends/{backend}/config.json": json.dumps(CONFIG).encode(),
        f"backends/{backend}/model.safetensors": b"w",
    }
    (artifact,) = open_package(make(tmp_path / "p", files=files)).artifacts
    assert artifact.files["weights"] == f"backends/{backend}/model.safetensors"


def test_a_state_dict_with_its_code_is_code(tmp_path: Path) -> None:
    files = {"backends/tch/model.pt": b"w", "backends/tch/model.py": b"raise SystemExit"}
    package = open_package(make(tmp_path / "p", files=files))
    assert [artifact.format for artifact in package.artifacts] == ["state-dict"]
    assert package.trust_tier is TrustTier.CODE


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"backends/candle/libmodel.so": b"\x7fELF"},
        {"backends/tch/model.pt": b"w", "backends/tch/libmodel.so": b"\x7fELF"},
        {"backends/candle/config.json": b'{"model_type": "unheard-of"}', "backends/candle/model.safetensors": b"w"},
        {
            "backends/candle/config.json": b'{"model_type": "vit", "architectures": ["ViTModel"]}',
            "backends/candle/model.safetensors": b"w",
        },
    ],
)
def test_nothing_that_could_run(tmp_path: Path, files: dict[str, bytes]) -> None:
    assert open_package(make(tmp_path / "p", files=files)).artifacts == ()


@pytest.mark.parametrize(
    ("metadata", "info", "kind"),
    [
        ({"name": None}, {}, ManifestError),
        ({"files": ["gone"]}, {}, ManifestError),
        ({"files": [3]}, {}, ManifestError),
        ({"files": ["../../etc/passwd"]}, {}, UnsafePathError),
        ({"files": [{"path": "backends/candle/config.json", "size": 1, "sha256": "0" * 64}]}, {}, IntegrityError),
        ({}, {"hidden_size": "wide"}, ManifestError),
        ({}, {"supported_backends": "Candle"}, ManifestError),
        ({"version": "0.9"}, {}, ManifestError),
    ],
)
def test_malformed_manifests(
    tmp_path: Path, metadata: dict[str, Any], info: dict[str, Any], kind: type[InferoxError]
) -> None:
    with pytest.raises(kind):
        open_package(make(tmp_path / "p", metadata=metadata, info=info))


def test_links_are_refused(tmp_path: Path) -> None:
    package = make(tmp_path / "p")
    (package / "backends" / "candle" / "tokenizer.json").symlink_to("/etc/passwd")
    with pytest.raises(UnsafePathError, match="link"):
        open_package(package)


def test_names_alone_say_that_a_file_must_be_there(tmp_path: Path) -> None:
    package = make(tmp_path / "p", metadata={"files": ["backends/candle/config.json"]})
    assert open_package(package).metadata.files == ()


def test_special_files_are_refused(tmp_path: Path) -> None:
    package = make(tmp_path / "p")
    os.mkfifo(package / "backends" / "candle" / "pipe")
    with pytest.raises(UnsafePathError, match="special file"):
        open_package(package)


def test_a_config_that_is_not_an_object_is_refused(tmp_path: Path) -> None:
    files = {"backends/candle/config.json": b"[]", "backends/candle/model.safetensors": b"w"}
    with pytest.raises(ManifestError, match=r"config\.json must be a JSON object"):
        open_package(make(tmp_path / "p", files=files))


@pytest.mark.parametrize(
    ("tokenizer", "folder"), [("tokenizer.json", "."), ("backends/candle/tokenizer.json", "backends/candle")]
)
def test_a_tokenizer_at_the_root_or_beside_the_weights(tmp_path: Path, tokenizer: str, folder: str) -> None:
    files = {
        tokenizer: b"{}",
        "backends/candle/config.json": json.dumps(CONFIG).encode(),
        "backends/candle/model.safetensors": b"w",
    }
    package = open_package(make(tmp_path / "p", files=files))
    assert package.files_root == tmp_path / "p" / folder
    assert package.config == CONFIG
