"""Tests of loading: the artifacts that may be loaded, and the errors for damaged or missing files."""
# ruff: noqa: D102, S101 - tests assert, and their names say what

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from inferox.core import (
    Artifact,
    Backend,
    BackendUnavailableError,
    ConfigError,
    ExecutionError,
    LoadError,
    LoadOptions,
    ManifestError,
    Precision,
    TrustTier,
    UntrustedCodeError,
)
from inferox.machine.memory import release_free_memory
from inferox.testing.conformance.subject import NOWHERE, OPTIONS, Subject, read

_WARM_UP_ROUNDS = 5
_ROUNDS = 40
"""The number of models to load, enough for a leak to exceed what the allocator has already reserved."""
_ATTEMPTS = 3
"""The number of attempts in which memory may grow: it grows in each with a leak, but not with fragmentation."""
_LEAST_WEIGHTS_BYTES = 2 << 20
"""The size of weights from which a leak can be told from the allocator's noise."""
_SMALLER = {Precision.FP32: 1, Precision.FP16: 2, Precision.BF16: 2, Precision.INT8: 4}
"""The factor by which the weights may be smaller than in fp32."""


def _remove(path: Path) -> None:
    path.unlink()


def _fill_with_nonsense(path: Path) -> None:
    path.write_bytes(b"this is not a model")


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: dict[Callable[[Path], None], bool] = {
    _remove: True,
    _make_folder: False,
    _fill_with_nonsense: True,
    _empty: False,
    _cut: False,
}
"""The damages that a file can have, and whether something other than the backend must be the first to notice."""


class LoadingTests(Subject):
    """Tests of the contract of ``inferox.core.Backend.can_load`` and ``load``, and of ``Model.close``."""

    def test_it_reads_its_own_artifacts_alone(self, backend: Backend, artifact: Artifact) -> None:
        assert artifact.backend == backend.name
        assert backend.can_load(artifact)
        assert not backend.can_load(replace(artifact, backend="another"))
        assert not backend.can_load(replace(artifact, format="no-such-format"))
        for format_ in self.code_formats:
            assert backend.can_load(replace(artifact, format=format_))

    def test_asking_what_it_reads_opens_no_file(self, backend: Backend, artifact: Artifact) -> None:
        missing = replace(artifact, root=artifact.root / "no-such-folder")
        assert backend.can_load(missing)
        assert not backend.can_load(replace(missing, backend="another"))

    @pytest.mark.parametrize("damage", list(DAMAGES), ids=lambda damage: damage.__name__.strip("_"))
    def test_a_damaged_file(
        self, backend: Backend, artifact: Artifact, tmp_path: Path, damage: Callable[[Path], None]
    ) -> None:
        assert artifact.files
        for role, relative in artifact.files.items():
            root = tmp_path / role
            shutil.copytree(artifact.root, root)
            damage(root / relative)
            with pytest.raises(LoadError) as caught:
                backend.load(replace(artifact, root=root), None, OPTIONS)
            if DAMAGES[damage]:
                assert caught.value.__cause__ is not None, f"the LoadError of the damaged {role} hides its cause"

    def test_a_role_that_the_artifact_does_not_list(self, backend: Backend, artifact: Artifact) -> None:
        with pytest.raises((ManifestError, LoadError)):
            backend.load(replace(artifact, files={}), None, OPTIONS)

    def test_an_artifact_of_another_backend(self, backend: Backend, artifact: Artifact) -> None:
        for stranger in (replace(artifact, backend="another"), replace(artifact, format="no-such-format")):
            with pytest.raises(LoadError):
                backend.load(stranger, None, OPTIONS)

    def test_no_model_goes_to_a_device_that_is_not_there(self, backend: Backend, artifact: Artifact) -> None:
        with pytest.raises(BackendUnavailableError):
            backend.load(artifact, NOWHERE, OPTIONS)

    def test_code_is_refused_unless_it_is_trusted(self, backend: Backend, artifact: Artifact) -> None:
        for format_ in self.code_formats:
            code = replace(artifact, format=format_, root=artifact.root / "no-such-folder")
            assert code.trust_tier is TrustTier.CODE
            with pytest.raises(UntrustedCodeError):
                backend.load(code, None, LoadOptions("conformance"))
        if artifact.trust_tier is TrustTier.CODE:
            assert artifact.format in self.code_formats
        else:
            backend.load(artifact, None, LoadOptions("conformance")).close()

    def test_threads(self, backend: Backend, artifact: Artifact) -> None:
        with backend.load(artifact, None, replace(OPTIONS, threads=1)) as model:
            self.assert_computes(model, self.make_inputs(3))
        with pytest.raises(ConfigError):
            backend.load(artifact, None, replace(OPTIONS, threads=0))

    def test_the_package_is_left_as_it_was(self, backend: Backend, artifact: Artifact) -> None:
        def contents() -> dict[Path, bytes]:
            return {path: path.read_bytes() for path in artifact.root.rglob("*") if path.is_file()}

        before = contents()
        with backend.load(artifact, None, OPTIONS) as model:
            self.assert_computes(model, self.make_inputs(2))
        assert contents() == before

    def test_what_a_model_says_of_itself(self, backend: Backend, artifact: Artifact) -> None:
        with backend.load(artifact, None, replace(OPTIONS, package="my-package")) as model:
            assert model.name == "my-package"
            assert model.signature == artifact.signature
            stated = model.metadata
            assert (stated.backend, stated.format) == (backend.name, artifact.format)
            assert (stated.precision, stated.layout) == (artifact.precision, artifact.layout)
            assert stated.device == backend.default_device()
            least = self.weights_bytes // _SMALLER[artifact.precision]
            assert least <= model.memory_requirements().weights_bytes <= 4 * self.weights_bytes

    def test_closing(self, backend: Backend, artifact: Artifact) -> None:
        inputs = self.make_inputs(2)
        with backend.load(artifact, None, OPTIONS) as model:
            kept = model.forward(inputs)
            expected = read(kept)
        with pytest.raises(ExecutionError):
            model.forward(inputs)
        model.close()
        with pytest.raises(ExecutionError):
            model.forward(inputs)
        self.assert_close(read(kept), expected)  # outputs outlive their model
        assert model.name == OPTIONS.package
        assert model.signature == artifact.signature

    def test_a_model_closes_itself_when_its_block_fails(self, backend: Backend, artifact: Artifact) -> None:
        model = backend.load(artifact, None, OPTIONS)
        with pytest.raises(KeyError), model:
            raise KeyError
        with pytest.raises(ExecutionError):
            model.forward(self.make_inputs(1))

    def test_models_are_independent(self, backend: Backend, artifact: Artifact) -> None:
        with backend.load(artifact, None, OPTIONS) as kept:
            other = backend.load(artifact, None, OPTIONS)
            other.close()
            self.assert_computes(kept, self.make_inputs(3))

    def test_closing_gives_the_memory_back(self, backend: Backend, artifact: Artifact) -> None:
        if self.weights_bytes < _LEAST_WEIGHTS_BYTES:
            pytest.skip("the weights are too small for a leak to be told from noise")
        inputs = self.make_inputs(4)

        def use(rounds: int) -> int:
            for _ in range(rounds):
                model = backend.load(artifact, None, OPTIONS)
                model.forward(inputs)
                model.close()
            del model
            gc.collect()
            release_free_memory()  # a leak could hide in it
            return int(psutil.Process().memory_info().rss)

        before = use(_WARM_UP_ROUNDS)  # the first rounds fill the caches of runtime and allocator
        for _ in range(_ATTEMPTS):
            after = use(_ROUNDS)
            grown, before = after - before, after
            if grown < _ROUNDS * self.weights_bytes // 3:
                return
        pytest.fail(f"{_ROUNDS} models left {grown / 2**20:.0f} MiB behind")
