"""The execution of a case: the package is changed, a user's commands run on it, and it is restored."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

import inferox
from inferox.cli.explain import EXIT_NOTHING_USABLE
from inferox.cli.main import cli
from inferox.cli.verify import EXIT_MISSED
from inferox.core import InferoxError
from inferox.loading.profile import Profile
from inferox.loading.profile_store import save_profile
from inferox.loading.selection import AUTO
from inferox.package import open_package
from inferox.package.archive import write_archive
from inferox.package.manifest import METADATA_FILE, MODEL_INFO_FILE
from inferox.package.store import STORE_VARIABLE, Store
from tests.fuzz.archives import change_archive
from tests.fuzz.cases import ANSWERED, ARCHIVE, IMAGE, PROFILES, Case
from tests.fuzz.documents import Document
from tests.fuzz.images import change_image, make_image

_CHEAP = ("onnxruntime", "candle")
_ALL = (*_CHEAP * 6, "openvino", "torch", AUTO)
"""The backends in the proportion in which they are used: mostly those that load quickly."""

_BACKENDS = {"config.json": ("torch",), "profile.json": (AUTO,)}
"""The backends that run the cases of these files: one that reads the file, or the automatic choice, which depends on
it."""

_VERIFIED_SHARE = 0.1
"""The share of the cases with files that ``run`` reads too that are also verified, which takes longer than all else."""

_INSPECTED = ("metadata.json", "model_info.json", "parity.json")
_VERIFIED = ("parity.json", "samples.safetensors")
_OF_PROOF = ("proof.json", "proof.safetensors")


class StrayFileError(Exception):
    """A case left a file where nothing may be written."""


class Workspace:
    """A folder of a process of its own, in which cases run one after the other.

    Args:
        corpus: The folder with the packages, which is left as it is.
        root: An empty folder.
    """

    def __init__(self, corpus: Path, root: Path) -> None:
        self._packages = root / "packages"
        self._root = root
        shutil.copytree(corpus, self._packages, ignore=shutil.ignore_patterns(".*"))
        self._backends = {path.parent.name: _backends_of(path) for path in self._packages.glob(f"*/{MODEL_INFO_FILE}")}
        self._store = root / "store"
        self._store.mkdir(mode=0o700)
        os.environ[STORE_VARIABLE] = str(self._store)
        self._profiles = {
            path.parent.name: save_profile(Profile.from_json(json.loads(path.read_bytes())), Store())
            for path in self._packages.glob(f"{PROFILES}/*/*.json")
        }
        self._archive = root / "archive.mlpkg"
        if (self._packages / "raw").is_dir():
            write_archive(self._packages / "raw", self._archive)
        self._tensors = root / "tensors.npz"
        np.savez(self._tensors, x=np.ones((1, 4), np.float32))
        self._image = root / "image.png"
        self._image.write_bytes(make_image("png"))
        self._changed_archive = root / "changed.mlpkg"
        self._changed_archive.touch()
        self._files = self._list_files()

    def run(self, case: Case) -> str:
        """Runs a case.

        Returns:
            ``answered``, or the name of the error of Inferox in which it ended.

        Raises:
            Exception: Any other error in which it ended.
        """
        runners = {ARCHIVE: self._run_archive, IMAGE: self._run_image}
        try:
            runners.get(case.family, self._run_document)(case)
            outcome = ANSWERED
        except InferoxError as error:
            str(error).encode(errors="backslashreplace")
            outcome = type(error).__name__
        self._check_files()
        return outcome

    def _run_document(self, case: Case) -> None:
        with self._changed(case):
            if case.family in _OF_PROOF:
                # Most cases end here, in a few milliseconds; verify would first measure every sample.
                open_package(self._packages / case.package).proof_cases()
            for words in self._commands(case):
                _run_command(words)

    def _run_archive(self, case: Case) -> None:
        self._changed_archive.write_bytes(change_archive(self._archive, case.choice))
        try:
            _run_command(["inspect", "--json", str(self._changed_archive)])
        finally:
            shutil.rmtree(self._store / "packages", ignore_errors=True)

    def _run_image(self, case: Case) -> None:
        content = change_image(case.subject.partition("/")[2], case.choice)
        self._image_model.run([content])

    @cached_property
    def _image_model(self) -> Any:
        return inferox.load(self._packages / "image-classify", threads=1)

    @contextmanager
    def _changed(self, case: Case) -> Iterator[None]:
        """Makes the change of a case to the package, with matching digests."""
        is_profile = case.subject.startswith(PROFILES)
        path = self._profiles[case.package] if is_profile else self._packages / case.subject
        manifest = self._packages / case.package / METADATA_FILE
        before, manifest_before = path.read_bytes(), manifest.read_bytes()
        document = Document.read(path)
        content = document.change(case.place(document), case.change)
        try:
            path.write_bytes(content)
            if path != manifest and not is_profile:
                manifest.write_text(_with_digest(manifest_before, case.family, content), encoding="utf-8")
            yield
        finally:
            path.write_bytes(before)
            manifest.write_bytes(manifest_before)

    def _commands(self, case: Case) -> Iterator[list[str]]:
        package, file = str(self._packages / case.package), case.family
        form = case.choice.choice(("--table", "--json"))
        if file in _INSPECTED:
            yield ["inspect", form, package]
        if file == "profile.json":
            yield ["explain", form, package, "--threads", "1"]
        if file not in _OF_PROOF:
            backend = self._choose(case, _BACKENDS.get(file, _ALL))
            yield ["run", form, package, "--backend", backend, "--threads", "1", *self._item(case)]
        if file in _OF_PROOF or (file in _VERIFIED and case.choice.random() < _VERIFIED_SHARE):
            yield ["verify", form, package, "--backend", self._choose(case, _CHEAP), "--threads", "1"]

    def _choose(self, case: Case, backends: Sequence[str]) -> str:
        """Returns one of the backends that the package is for, or the automatic choice if there is none."""
        there = [backend for backend in backends if backend in self._backends[case.package]]
        return case.choice.choice(there or [AUTO])

    def _item(self, case: Case) -> list[str]:
        if case.package == "rerank":
            return ["--query", "the boat", "goats"]
        return [{"raw": str(self._tensors), "image-classify": str(self._image)}.get(case.package, "the boats")]

    def _list_files(self) -> list[str]:
        return sorted(path.name for path in (*self._root.iterdir(), *self._packages.glob("*/*")))

    def _check_files(self) -> None:
        found = self._list_files()
        if found != self._files:
            raise StrayFileError(f"written or removed: {sorted(set(found) ^ set(self._files))}")


def _backends_of(model_info: Path) -> set[str]:
    return {AUTO, *json.loads(model_info.read_bytes())["supported_backends"]}


def _with_digest(manifest: bytes, path: str, content: bytes) -> str:
    """Returns the manifest with the current size and digest of a file."""
    data = json.loads(manifest)
    for entry in data["files"]:
        if entry["path"] == path:
            entry.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    return json.dumps(data)


def _run_command(words: list[str]) -> None:
    """Runs a command as ``inferox`` would, but raises its errors, and requires its output to be UTF-8."""
    written, sys.stdout = sys.stdout, io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    try:
        cli.main(words, prog_name="inferox", standalone_mode=False)
    except SystemExit as stop:
        # The exit codes of verify if an artifact fails, and of explain if nothing can run the package.
        if stop.code not in {0, EXIT_MISSED, EXIT_NOTHING_USABLE}:
            raise RuntimeError(f"inferox {words[0]} ended with {stop.code}") from stop
    finally:
        sys.stdout = written
