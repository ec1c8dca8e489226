"""Misleading JSON in every JSON file of a package or model: refused by name, everywhere in the same way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inferox.core import InferoxError
from inferox.package import open_package
from inferox.package.writer import hash_file
from inferox.sources.huggingface import _read_config
from inferox.sources.image_size import read_image_size
from inferox.sources.model_directory import read_config
from inferox.sources.sentence_modules import pools_tokens, read_modules
from inferox.tasks.options import read_json
from tests.package.packages import write_package

HOSTILE = {
    "1e999": b'{"x": 1e999}',
    "digits": b'{"x": 1%s}' % (b"0" * 5000),
    "twice": b'{"x": 1, "x": 2}',
    "surrogate": rb'{"x": "\ud800"}',
    "surrogate name": rb'{"\udc00": 1}',
    "deep": b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "byte order mark": b'\xef\xbb\xbf{"x": 1}',
    "UTF-16": '{"x": 1}'.encode("utf-16"),
    "not UTF-8": b'{"x": "\xff"}',
    "large": b'{"x": "' + b"a" * (16 << 20) + b'"}',
}


def relist(package: Path, name: str) -> None:
    """Corrects the manifest for a file that was changed, as a forger would."""
    data = json.loads((package / "metadata.json").read_text(encoding="utf-8"))
    data["files"] = [entry for entry in data["files"] if entry["path"] != name]
    size = (package / name).stat().st_size
    data["files"].append({"path": name, "size": size, "sha256": hash_file(package / name)})
    (package / "metadata.json").write_text(json.dumps(data), encoding="utf-8")


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("name", ["metadata.json", "model_info.json", "parity.json", "config.json", "proof.json"])
def test_a_package(tmp_path: Path, name: str, content: bytes) -> None:
    package = write_package(tmp_path / "p")
    (package / name).write_bytes(content)
    if name != "metadata.json":
        relist(package, name)
    with pytest.raises(InferoxError, match=name.replace(".", r"\.")):
        open_package(package).proof_cases()


READERS: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "the config of a model": ("config.json", _read_config),
    "the config beside a graph": ("config.json", read_config),
    "the size of images": ("preprocessor_config.json", lambda folder: read_image_size(folder, {})),
    "modules": ("modules.json", read_modules),
    "the settings of a sentence model": (
        "config_sentence_transformers.json",
        lambda folder: ((folder / "modules.json").write_text("[]"), pools_tokens(folder)),
    ),
    "settings of a task": ("sentence_bert_config.json", lambda folder: read_json(folder / "sentence_bert_config.json")),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize(("name", "read"), READERS.values(), ids=READERS)
def test_a_model(tmp_path: Path, name: str, read: Callable[[Path], Any], content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InferoxError, match=name.replace(".", r"\.")):
        read(tmp_path)
