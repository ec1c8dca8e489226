"""Artifacts that only a newer version understands: the others are tried, and the reason is named everywhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

import inferox
from inferox.backends import registry
from inferox.core import Artifact, ManifestError, NoUsableBackendError, UnknownArtifact, UnknownKindError
from inferox.core.artifact import read_artifact
from inferox.loading import explain
from inferox.measuring import verify
from inferox.package import ModelInfo, PackageWriter, embedding_space, open_package
from inferox.parity import ParityReport
from tests.cli.conftest import Run, run
from tests.loading.backends import EchoBackend, make_artifact
from tests.package.packages import make_info, make_metadata, make_samples

__all__ = ["run"]

KNOWN = make_artifact("echo")
MALFORMED: tuple[Any, ...] = (None, 8, [], {}, "", "a b", "../x", "f8" * 40)

PLACES: dict[str, tuple[tuple[str | int, ...], str, str]] = {
    "precision": (("precision",), "fp8", "echo/onnx/fp8/packed"),
    "layout": (("layout",), "blocked", "echo/onnx/fp32/blocked"),
    "input": (("signature", "inputs", 0, "dtype"), "f8", "echo/onnx/fp32/packed"),
    "output": (("signature", "outputs", 0, "dtype"), "f8", "echo/onnx/fp32/packed"),
}


def put(place: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """Returns the manifest's entry of an artifact with another value at a place."""
    entry: Any = {**json.loads(json.dumps(KNOWN.to_json())), "format": "onnx", "layout": "packed"}
    entry["files"] = {"graph": "model.onnx"}
    inner = entry
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return dict(entry)


def write(folder: Path, *artifacts: Artifact | UnknownArtifact) -> Path:
    with PackageWriter(folder) as writer:
        (writer.root / "model.onnx").write_bytes(b"a graph")
        info = replace(
            make_info(writer.root),
            supported_backends=("echo",),
            artifacts=tuple(item for item in artifacts if isinstance(item, Artifact)),
            unknown=tuple(item for item in artifacts if isinstance(item, UnknownArtifact)),
        )
        return writer.commit(make_metadata(), info, ParityReport(()), make_samples())


class Registered(EntryPoint):
    """Registers the backend."""

    def load(self) -> Any:
        return lambda: EchoBackend("echo")


@pytest.fixture(autouse=True)
def _only_echo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    registered = {"echo": Registered("echo", "echo:Backend", registry.ENTRY_POINT_GROUP)}
    monkeypatch.setattr(registry, "_registered", lambda: registered)
    registry.get_backend.cache_clear()
    yield
    registry.get_backend.cache_clear()


@pytest.mark.parametrize("kind", PLACES)
def test_the_others_are_tried_and_the_reason_is_named(tmp_path: Path, run: Run, kind: str) -> None:
    place, value, name = PLACES[kind]
    newer = read_artifact(put(place, value), tmp_path)
    assert isinstance(newer, UnknownArtifact)
    assert newer.name == name
    reason = f"does not know the {kind if kind in {'precision', 'layout'} else 'data type'} '{value}'"
    package = write(tmp_path / "both", newer, KNOWN)
    with inferox.load(package) as model:
        assert model.metadata.artifact == KNOWN.name
        assert reason in model.metadata.rejected[name]
    verdicts = {item.artifact: item for item in explain(package).verdicts}
    assert (verdicts[KNOWN.name].taken, verdicts[name].taken) == (True, False)
    assert reason in verdicts[name].reason
    assert reason in verify(package).not_run[name]
    assert f"Not understood: {name}" in " ".join(run("inspect", package, "--table").out.split())
    assert run("inspect", package, "--json").code == 0
    with pytest.raises(NoUsableBackendError, match=reason):
        inferox.load(write(tmp_path / "alone", newer))


def test_a_manifest_keeps_what_it_does_not_understand(tmp_path: Path) -> None:
    newer = put(("precision",), "fp8") | {"hints": ["of a newer version"]}
    data = {**make_info(tmp_path).to_json(), "artifacts": [KNOWN.to_json(), newer]}
    assert ModelInfo.from_json(data, tmp_path).to_json() == data


def test_the_embedding_space_does_not_depend_on_what_is_understood(tmp_path: Path) -> None:
    """The files of an artifact are its own, whichever version reads the package."""
    understood = read_artifact(put(("layout",), "padded"), tmp_path)
    newer = read_artifact(put(("precision",), "fp8"), tmp_path)
    packages = [
        open_package(write(tmp_path / str(index), KNOWN, item)) for index, item in enumerate((understood, newer))
    ]
    spaces = {embedding_space(package, package.artifacts[0], "embed", {}) for package in packages}
    assert len(spaces) == 1


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((place, value) for place, _, _ in PLACES.values() for value in MALFORMED),
        (("files",), ["model.onnx"]),
        (("files",), {"graph": 1}),
        (("options",), []),
        (("backend",), "a/b"),
        (("signature", "inputs", 0, "dims"), "all"),
    ],
)
def test_what_is_malformed_is_a_fault_of_the_package(tmp_path: Path, place: tuple[str | int, ...], value: Any) -> None:
    with pytest.raises(ManifestError) as caught:
        read_artifact(put(place, value), tmp_path)
    assert not isinstance(caught.value, UnknownKindError)


@pytest.mark.parametrize("path", ["../weights", "/etc/passwd"])
def test_the_files_of_one_that_is_not_understood_are_checked(tmp_path: Path, path: str) -> None:
    newer = read_artifact(put(("precision",), "fp8") | {"files": {"graph": path}}, tmp_path)
    with pytest.raises(inferox.InferoxError):
        write(tmp_path / "p", KNOWN, newer)


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    newer = put(("precision",), "fp8")
    with pytest.raises(ManifestError, match="two artifacts with the same name"):
        ModelInfo.from_json({**make_info(tmp_path).to_json(), "artifacts": [newer, newer]}, tmp_path)
