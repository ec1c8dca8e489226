"""Hostile and damaged folders: a file changed, missing, added, linked, misnamed, or a manifest that lies."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from inferox.core import (
    FormatVersionError,
    InferoxError,
    IntegrityError,
    ManifestError,
    NoUsableBackendError,
    PackageError,
    TrustTier,
    UnsafePathError,
    UntrustedCodeError,
)
from inferox.loading import load
from inferox.package import open_package
from inferox.package.writer import hash_file
from tests.package.packages import make_info, write_package


def edit(path: Path, change: Callable[[Any], None]) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def edit_metadata(package: Path, change: Callable[[Any], None]) -> None:
    edit(package / "metadata.json", change)


def edit_model_info(package: Path, change: Callable[[Any], None]) -> None:
    """Changes the model's description, and the manifest to match, as a forger would."""
    path = package / "model_info.json"
    edit(path, change)

    def relist(data: Any) -> None:
        for entry in data["files"]:
            if entry["path"] == path.name:
                entry.update(size=path.stat().st_size, sha256=hash_file(path))

    edit_metadata(package, relist)


def rename_entry(data: Any, name: str) -> None:
    data["files"][3]["path"] = name


def link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def grow(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"x")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def add_listed(package: Path, name: str) -> None:
    """Adds a file, and lists it with its true size and digest."""
    path = package / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    entry = {"path": name, "size": 1, "sha256": hash_file(path)}
    edit_metadata(package, lambda data: data["files"].append(entry))


DAMAGES: dict[str, tuple[type[InferoxError], str, Callable[[Path], Any]]] = {
    "changed": (IntegrityError, "differs", lambda p: flip(p / "weights" / "model.safetensors")),
    "grown": (IntegrityError, "bytes", lambda p: grow(p / "tokenizer.json")),
    "emptied": (IntegrityError, "bytes", lambda p: (p / "tokenizer.json").write_bytes(b"")),
    "missing": (IntegrityError, "lacks", lambda p: (p / "tokenizer.json").unlink()),
    "added": (IntegrityError, "does not list: model.py", lambda p: (p / "model.py").write_text("import os")),
    "hidden": (IntegrityError, "does not list", lambda p: (p / ".hidden").write_text("x")),
    "linked away": (UnsafePathError, "link", lambda p: link(p / "tokenizer.json", "/etc/passwd")),
    "linked inside": (UnsafePathError, "link", lambda p: link(p / "tokenizer.json", "parity.json")),
    "linked folder": (UnsafePathError, "link", lambda p: (p / "more").symlink_to("/etc", target_is_directory=True)),
    "a pipe": (UnsafePathError, "special", lambda p: os.mkfifo(p / "pipe")),
    "absolute": (UnsafePathError, "plain path", lambda p: edit_metadata(p, lambda d: rename_entry(d, "/etc/passwd"))),
    "climbing": (UnsafePathError, "plain path", lambda p: edit_metadata(p, lambda d: rename_entry(d, "../x"))),
    "backslashes": (UnsafePathError, "plain path", lambda p: edit_metadata(p, lambda d: rename_entry(d, "..\\x"))),
    "names that differ by case": (UnsafePathError, "one file", lambda p: add_listed(p, "Tokenizer.json")),
    "folders that differ by case": (UnsafePathError, "one folder", lambda p: add_listed(p, "Weights/x")),
    "the manifest itself": (UnsafePathError, "one file", lambda p: add_listed(p, "Metadata.json")),
    "a device": (UnsafePathError, "plain path", lambda p: add_listed(p, "nul.txt")),
    "listed twice": (ManifestError, "twice", lambda p: edit_metadata(p, lambda d: d["files"].append(d["files"][0]))),
    "newer": (FormatVersionError, "format 3.0", lambda p: edit_metadata(p, lambda d: d.update(format_version="3.0"))),
    "no digest": (ManifestError, "sha256", lambda p: edit_metadata(p, lambda d: d["files"][0].pop("sha256"))),
    "odd digest": (
        ManifestError,
        "must be 64 hexadecimal digits",
        lambda p: edit_metadata(p, lambda d: d["files"][0].update(sha256="00")),
    ),
    "negative": (
        ManifestError,
        "must be 0 or more",
        lambda p: edit_metadata(p, lambda d: d["files"][0].update(size=-1)),
    ),
    "a boolean size": (ManifestError, "size", lambda p: edit_metadata(p, lambda d: d["files"][0].update(size=True))),
    "no name": (ManifestError, "'name'", lambda p: edit_metadata(p, lambda d: d.pop("name"))),
    "a list": (ManifestError, "JSON object", lambda p: (p / "metadata.json").write_text("[]")),
    "no JSON": (ManifestError, "is not JSON", lambda p: (p / "metadata.json").write_text('{"format_version":')),
    "not UTF-8": (ManifestError, "is not JSON", lambda p: (p / "metadata.json").write_bytes(b'{"\xff": 1}')),
    "deep": (ManifestError, "nested more than", lambda p: (p / "metadata.json").write_text("[" * 100_000)),
    "huge": (ManifestError, "MiB", lambda p: (p / "metadata.json").write_bytes(b" " * (17 << 20))),
    "empty manifest": (ManifestError, "is not JSON", lambda p: (p / "metadata.json").write_text("")),
    "artifact outside": (
        UnsafePathError,
        "plain path",
        lambda p: edit_model_info(p, lambda d: d["artifacts"][0]["files"].update(weights="../../secret")),
    ),
    "artifact of an unlisted file": (
        IntegrityError,
        "does not list",
        lambda p: edit_model_info(p, lambda d: d["artifacts"][0]["files"].update(weights="other")),
    ),
    "two artifacts with the same name": (
        ManifestError,
        "the same name",
        lambda p: edit_model_info(p, lambda d: d["artifacts"].append(d["artifacts"][0])),
    ),
    "a precision that is not a word": (
        ManifestError,
        "'precision' of an artifact must be one of",
        lambda p: edit_model_info(p, lambda d: d["artifacts"][0].update(precision="fp4/../x")),
    ),
    "absurd dims": (
        ManifestError,
        "dims",
        lambda p: edit_model_info(p, lambda d: d["signature"]["inputs"][0].update(dims=[-5])),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_refused(tmp_path: Path, damage: str) -> None:
    kind, text, apply = DAMAGES[damage]
    package = write_package(tmp_path / "p")
    apply(package)
    with pytest.raises(kind, match=text):
        open_package(package)


def test_fields_of_a_later_minor_format_are_left_alone(tmp_path: Path) -> None:
    package = write_package(tmp_path / "p")
    edit_metadata(package, lambda data: data.update(format_version="2.7", novelty={"a": 1}))
    assert open_package(package).metadata.format_version == "2.7"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda _: None, "there is no package"),
        (lambda p: p.mkdir(), "is not a package"),
        (lambda p: (p.mkdir(), (p / "config.json").write_text("{}")), "pack it first"),
    ],
)
def test_what_is_not_a_package(tmp_path: Path, make: Callable[[Path], Any], text: str) -> None:
    make(tmp_path / "p")
    with pytest.raises(PackageError, match=text):
        open_package(tmp_path / "p")


def claim_trust(package: Path, format_: str) -> None:
    def claim(data: Any) -> None:
        data["artifacts"][0].update(format=format_, options={"trust_code": True, "trusted": True})
        data.update(trust_code=True, task_options={"trust_code": True})

    edit_model_info(package, claim)


@pytest.mark.parametrize("format_", ["torchscript", "torch-export", "aotinductor", "state-dict"])
def test_nothing_in_a_package_grants_trust(tmp_path: Path, format_: str) -> None:
    package = write_package(tmp_path / "p")
    claim_trust(package, format_)
    assert open_package(package).trust_tier is TrustTier.CODE
    with pytest.raises(UntrustedCodeError):
        load(package)


@pytest.mark.parametrize("format_", ["pickle", "anything"])
def test_a_format_that_nobody_knows_is_code_and_is_not_loaded(tmp_path: Path, format_: str) -> None:
    package = write_package(tmp_path / "p")
    claim_trust(package, format_)
    assert open_package(package).trust_tier is TrustTier.CODE
    with pytest.raises((UntrustedCodeError, NoUsableBackendError)):
        load(package)
    with pytest.raises(NoUsableBackendError):
        load(package, trust_code=True)


def test_code_in_a_package_is_not_run(tmp_path: Path) -> None:
    """Neither a factory nor a pickle that would leave a trace runs, beside weights that an artifact needs."""
    trace = tmp_path / "trace"
    package = write_package(
        tmp_path / "p",
        before_commit=lambda writer: (writer.root / "model.py").write_text(f"open({str(trace)!r}, 'w')"),
        weights=pickle.dumps(Trace(str(trace))),
    )
    edit_model_info(
        package,
        lambda data: data["artifacts"][0].update(
            format="state-dict", files={"weights": "weights/model.safetensors", "factory": "model.py"}
        ),
    )
    assert open_package(package).trust_tier is TrustTier.CODE
    with pytest.raises(UntrustedCodeError):
        load(package)
    edit_model_info(package, lambda data: data["artifacts"][0].update(format="safetensors"))
    with pytest.raises(InferoxError):
        load(package)
    assert not trace.exists()
    pickle.loads((package / "weights" / "model.safetensors").read_bytes())  # noqa: S301 - shows that the trap works
    assert trace.exists()


class Trace:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (self.path, "w")


def test_a_data_package_is_data(tmp_path: Path) -> None:
    package = open_package(write_package(tmp_path / "p"))
    assert package.trust_tier is TrustTier.DATA
    assert make_info(tmp_path).artifacts[0].trust_tier is TrustTier.DATA
