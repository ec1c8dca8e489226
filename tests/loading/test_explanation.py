"""What ``explain`` says about a package, without loading anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from inferox.core import Availability, Device, Precision
from inferox.loading import explain
from inferox.package import Package
from tests.loading.backends import EchoBackend, make_artifact, make_package


class Runtimes:
    """Two backends, one of which can run here and has only the CPU."""

    def __init__(self) -> None:
        self.missing, self.there = EchoBackend("missing", reason="its library is not installed"), EchoBackend("there")

    def get(self, name: str) -> EchoBackend:
        return self.missing if name == "missing" else self.there

    def probe(self, name: str) -> Availability:
        return self.get(name).probe()


@pytest.fixture
def runtimes(monkeypatch: pytest.MonkeyPatch) -> Runtimes:
    found = Runtimes()
    for module in ("explanation", "selection"):
        monkeypatch.setattr(f"inferox.loading.{module}.get_backend", found.get)
    monkeypatch.setattr("inferox.loading.explanation.probe_backend", found.probe)
    monkeypatch.setattr("inferox.loading.selection.backend_names", lambda: ("missing", "there"))
    return found


def show(package: Package, monkeypatch: pytest.MonkeyPatch, device: str | None = None) -> dict[str, tuple[bool, str]]:
    monkeypatch.setattr("inferox.loading.explanation.open_package", lambda *_args, **_options: package)
    return {item.artifact: (item.taken, item.reason) for item in explain(Path("p"), device=device).verdicts}


def test_the_first_whose_runtime_is_there_is_taken_and_nothing_is_loaded(
    runtimes: Runtimes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = make_artifact("missing"), make_artifact("there")
    later = make_artifact("there", precision=Precision.FP16)
    assert show(make_package(first, second, later), monkeypatch) == {
        first.name: (False, "the backend missing cannot run here: its library is not installed"),
        second.name: (True, "the first in the default order, as nothing was measured (inferox tune)"),
        later.name: (
            False,
            "fp32 comes first, as nothing was measured; 'inferox tune' measures whether fp16 is faster here",
        ),
    }
    assert not runtimes.there.models


@pytest.mark.usefixtures("runtimes")
def test_a_device_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = make_artifact("there")
    assert show(make_package(artifact), monkeypatch, device="cuda:5") == {
        artifact.name: (False, "the backend there has no device cuda:5 here")
    }


def test_a_device_that_is_there(runtimes: Runtimes, monkeypatch: pytest.MonkeyPatch) -> None:
    from inferox.backends.host import HostDevice

    def devices() -> Sequence[Device]:
        return (HostDevice(),)

    monkeypatch.setattr(runtimes.there, "devices", devices)
    artifact = make_artifact("there")
    assert show(make_package(artifact), monkeypatch, device="cpu")[artifact.name][0]
