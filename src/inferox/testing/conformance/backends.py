"""Tests of the backend itself: its probe, its devices, and the artifacts that it reads."""
# ruff: noqa: D102, S101 - tests assert, and their names say what

from __future__ import annotations

import subprocess
import sys

import pytest

from inferox.core import Artifact, Backend, BackendUnavailableError, DataType
from inferox.testing.conformance.subject import NOWHERE, OPTIONS, Subject


class BackendTests(Subject):
    """Tests of the contract of ``inferox.core.Backend``, except loading."""

    def test_it_has_a_name(self, backend: Backend) -> None:
        assert backend.name
        assert backend.name == self.make_backend().name
        assert backend.name == backend.name.strip().lower()
        assert "/" not in backend.name

    def test_it_says_that_it_can_run_here(self, backend: Backend) -> None:
        found = backend.probe()
        assert found.available
        assert found.version
        assert (found.reason, found.hint) == (None, None)
        backend.require()

    def test_it_says_why_it_cannot_run(self, monkeypatch: pytest.MonkeyPatch, artifact: Artifact) -> None:
        if self.runtime is None:
            pytest.skip("its runtime cannot be missing")
        monkeypatch.setitem(sys.modules, self.runtime, None)
        backend = self.make_backend()
        found = backend.probe()
        assert not found.available
        assert self.runtime in str(found.reason)
        assert found.hint
        for ask in (
            backend.devices,
            backend.tensor_builder,
            lambda: backend.load(artifact, None, OPTIONS),
        ):
            with pytest.raises(BackendUnavailableError):
                ask()

    def test_it_imports_its_runtime_when_it_is_needed_and_not_before(self, backend: Backend) -> None:
        if self.runtime is None:
            pytest.skip("it has no runtime to import")
        kind = type(backend)
        code = (
            f"import sys; from {kind.__module__} import {kind.__name__} as made; made(); print({self.runtime!r} in "
            "sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
        assert done.stdout.strip() == "False"

    def test_its_devices(self, backend: Backend) -> None:
        devices = backend.devices()
        names = [device.id for device in devices]
        assert names
        assert len(set(names)) == len(names)
        assert backend.default_device() in names
        for device in devices:
            assert device.is_available()
            memory = device.memory_info()
            if memory is not None:
                assert 0 <= memory.free_bytes <= memory.total_bytes
                assert memory.total_bytes > 0
                assert memory.used_bytes >= 0
            assert backend.tensor_builder(device.id).device == device.id
            backend.self_test(device.id)

    def test_a_device_that_is_not_there(self, backend: Backend) -> None:
        with pytest.raises(BackendUnavailableError):
            backend.tensor_builder(NOWHERE)
        with pytest.raises(BackendUnavailableError):
            backend.self_test(NOWHERE)

    def test_tensors_are_made_on_the_default_device(self, backend: Backend) -> None:
        builder = backend.tensor_builder()
        assert builder.device == backend.default_device()
        assert builder.ones([2], DataType.F32).device == backend.default_device()
