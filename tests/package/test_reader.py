"""Opening packages: their facts, and the errors if there is no package."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferox.core import IntegrityError, ManifestError, PackageError, TrustTier
from inferox.package import Store, open_package
from inferox.package.archive import write_archive
from tests.package.packages import write_package


@pytest.mark.parametrize("name", ["p", "p.mlpkg"])
def test_what_a_package_says_of_itself(tmp_path: Path, name: str) -> None:
    package = open_package(str(write_package(tmp_path / name)))
    manifest = (package.root / "metadata.json").read_bytes()
    assert package.digest == hashlib.sha256(manifest).hexdigest()
    assert package.size_bytes == sum(entry["size"] for entry in json.loads(manifest)["files"])
    assert package.trust_tier is TrustTier.DATA
    assert package.files_root == package.root
    assert package.parity is not None
    assert [artifact.root for artifact in package.artifacts] == [package.root]


def test_a_folder_and_an_archive_are_one_package(tmp_path: Path) -> None:
    folder, archive = (open_package(write_package(tmp_path / name)) for name in ("p", "p.mlpkg"))
    assert folder.digest == archive.digest


def test_a_package_without_samples_or_evidence(tmp_path: Path) -> None:
    folder = write_package(tmp_path / "p")
    metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    for name in ("samples.safetensors", "parity.json"):
        (folder / name).unlink()
        metadata["files"] = [entry for entry in metadata["files"] if entry["path"] != name]
    (folder / "metadata.json").write_text(json.dumps(metadata), encoding="utf-8")
    package = open_package(folder)
    assert package.samples() is None
    assert package.parity is None


def test_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_package(tmp_path / "p"))
    for path in (".", "", "../p"):
        assert open_package(path).metadata.name == "small"


def test_a_link_to_a_package_is_a_package(tmp_path: Path) -> None:
    for name in ("p", "p.mlpkg"):
        (tmp_path / f"link-{name}").symlink_to(write_package(tmp_path / name))
        assert open_package(tmp_path / f"link-{name}").metadata.name == "small"


def test_an_archive_under_another_name(tmp_path: Path) -> None:
    write_package(tmp_path / "p.mlpkg").rename(tmp_path / "model.bin")
    assert open_package(tmp_path / "model.bin").metadata.name == "small"


def make_model_directory(path: Path) -> None:
    path.mkdir()
    (path / "config.json").write_text("{}")


NO_PACKAGES: dict[str, tuple[type[PackageError], str, Callable[[Path], object]]] = {
    "nothing": (PackageError, "there is no package at", lambda _: None),
    "an empty folder": (PackageError, "it has no metadata.json", Path.mkdir),
    "a model directory": (PackageError, "is a model directory, not a package.*inferox pack", make_model_directory),
    "an empty file": (IntegrityError, "does not begin like an archive", lambda path: path.write_bytes(b"")),
    "weights": (IntegrityError, "does not begin like an archive", lambda path: path.write_bytes(bytes(1000))),
    "a pipe": (PackageError, "there is no package at", os.mkfifo),
    "a link to nothing": (PackageError, "there is no package at", lambda path: path.symlink_to("nowhere")),
    "a link to itself": (PackageError, "there is no package at|cannot be read", lambda path: path.symlink_to(path)),
}


@pytest.mark.parametrize("kind", NO_PACKAGES)
def test_what_is_not_a_package(tmp_path: Path, store: Store, kind: str) -> None:
    error, text, make = NO_PACKAGES[kind]
    make(tmp_path / "x")
    with pytest.raises(error, match=text):
        open_package(tmp_path / "x")
    assert not (store.root / "packages").exists()


@pytest.mark.parametrize("path", ["x" * 5000, "x\0y", "\ud800", "/dev/null", "/", "no/such/folder/p"])
def test_paths_that_lead_to_no_package(path: str) -> None:
    with pytest.raises(PackageError):
        open_package(path)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (None, "as the path of a folder or of an .mlpkg file, but got a value of the type NoneType"),
        (b"p.mlpkg", "but got a value of the type bytes"),
        (
            "hf://org/name",
            r"hf://org/name is a model on a hub, not a package \(pack it first: inferox pack hf://org/name",
        ),
        ("org/name", r"there is no package at org/name \('inferox pack' makes one"),
    ],
)
def test_what_does_not_name_a_package(path: Any, text: str) -> None:
    with pytest.raises(PackageError, match=text):
        open_package(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that is there and cannot be read")
def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "p.mlpkg").symlink_to("/proc/self/mem")
    with pytest.raises(PackageError, match="cannot be read"):
        open_package(tmp_path / "p.mlpkg")


def test_a_config_that_is_not_an_object(tmp_path: Path) -> None:
    package = write_package(
        tmp_path / "p", before_commit=lambda writer: (writer.root / "config.json").write_text("[1]", encoding="utf-8")
    )
    with pytest.raises(ManifestError, match=r"config\.json must be a JSON object"):
        open_package(package)


def test_a_config_is_read(tmp_path: Path) -> None:
    package = write_package(
        tmp_path / "p", before_commit=lambda writer: (writer.root / "config.json").write_text('{"model_type": "small"}')
    )
    assert open_package(package).config == {"model_type": "small"}


def test_a_changed_file_is_named_before_it_is_read(tmp_path: Path) -> None:
    """A truncated description differs from the manifest: that is reported first, not its syntax."""
    package = write_package(tmp_path / "p")
    (package / "model_info.json").write_bytes(b"{")
    with pytest.raises(IntegrityError, match=r"model_info\.json"):
        open_package(package)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.sampled_from(["metadata.json", "model_info.json", "parity.json", "samples.safetensors"]), st.binary(max_size=60)
)
def test_any_file_content_only_causes_our_errors(
    tmp_path_factory: pytest.TempPathFactory, name: str, content: bytes
) -> None:
    package = write_package(tmp_path_factory.mktemp("any") / "p")
    (package / name).write_bytes(content)
    with pytest.raises(PackageError):
        open_package(package)


def test_an_archive_of_another_folder_is_not_a_package(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("x")
    write_archive(tmp_path / "folder", tmp_path / "notes.zip")
    with pytest.raises(ManifestError, match=r"metadata\.json is missing"):
        open_package(tmp_path / "notes.zip")
