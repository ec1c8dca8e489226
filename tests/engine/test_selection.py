"""The order in which artifacts are tried, and why others are passed over."""

from __future__ import annotations

import pytest

from inferox.backends import registry
from inferox.core import Artifact, Backend, BackendNotFoundError, BackendUnavailableError, ConfigError, Precision
from inferox.engine import select
from tests.engine.backends import EchoBackend, make_artifact


@pytest.fixture(autouse=True)
def backends(monkeypatch: pytest.MonkeyPatch) -> dict[str, Backend]:
    """Two backends of which one is not available, in the place of the registered ones."""
    known: dict[str, Backend] = {"echo": EchoBackend("echo"), "absent": EchoBackend("absent", reason="no runtime")}
    for place in ("inferox.engine.selection", "inferox.engine.loading"):
        monkeypatch.setattr(f"{place}.get_backend", known.__getitem__)
    monkeypatch.setattr("inferox.engine.selection.backend_names", lambda: tuple(known))
    monkeypatch.setattr("inferox.engine.selection.probe_backend", lambda name: known[name].probe())
    return known


def reasons(*artifacts: Artifact, **options: object) -> dict[str, str | None]:
    return {item.artifact.name: item.passed_over for item in select(artifacts, **options)}  # type: ignore[arg-type]


def test_data_before_code_and_fp32_before_lower_precisions() -> None:
    code, half, full = (
        make_artifact("echo", "torchscript"),
        make_artifact("echo", precision=Precision.FP16),
        make_artifact("echo"),
    )
    assert [item.artifact for item in select([code, half, full], trust_code=True)] == [full, half, code]


def test_each_reason() -> None:
    assert reasons(
        make_artifact("echo"),
        make_artifact("absent"),
        make_artifact("unknown"),
        make_artifact("echo", "strange"),
        make_artifact("echo", "torchscript"),
    ) == {
        "echo/safetensors/fp32/padded": None,
        "absent/safetensors/fp32/padded": "no runtime; install it",
        "unknown/safetensors/fp32/padded": "no backend named unknown is registered",
        "echo/strange/fp32/padded": "the backend echo does not read this format",
        "echo/torchscript/fp32/padded": "loading it runs code that comes with the package, which was not allowed "
        "(trust_code, --trust-code)",
    }


def test_what_is_asked_for() -> None:
    full, half = make_artifact("echo"), make_artifact("echo", precision=Precision.FP16)
    assert reasons(full, half, precision="fp16") == {
        full.name: "the precision fp16 was asked for",
        half.name: None,
    }
    assert reasons(full, backend="absent") == {full.name: "the backend absent was asked for"}


def test_wrong_wishes() -> None:
    with pytest.raises(BackendNotFoundError, match="'nope'; registered: absent, echo"):
        select([], backend="nope")
    with pytest.raises(ConfigError, match="'fp8'"):
        select([], precision="fp8")


def test_a_distribution_that_registers_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    entries = {
        "broken": EntryPoint("broken", "no.such.module:Backend", registry.ENTRY_POINT_GROUP),
        "wrong": EntryPoint("wrong", "builtins:dict", registry.ENTRY_POINT_GROUP),
    }
    monkeypatch.setattr(registry, "_registered", lambda: entries)
    registry.get_backend.cache_clear()
    for name in entries:
        assert not registry.probe_backend(name).available
        with pytest.raises(BackendUnavailableError, match=name):
            registry.get_backend(name)
    registry.get_backend.cache_clear()
