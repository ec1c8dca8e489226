"""The order in which artifacts are tried, and why others are rejected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferox.backends import registry
from inferox.core import (
    Artifact,
    Backend,
    BackendNotFoundError,
    BackendUnavailableError,
    ConfigError,
    Layout,
    Precision,
)
from inferox.loading import Requirements, select
from inferox.loading.selection import BACKEND_ORDER
from inferox.parity import ParityClass
from tests.loading.backends import EchoBackend, make_artifact, make_package


@pytest.fixture(autouse=True)
def backends(monkeypatch: pytest.MonkeyPatch) -> dict[str, Backend]:
    """Backends that replace the registered ones, one of which is not available; and no GPU."""
    known: dict[str, Backend] = {name: EchoBackend(name) for name in ("echo", *BACKEND_ORDER)}
    known["absent"] = EchoBackend("absent", reason="no runtime")
    monkeypatch.setattr("inferox.loading.selection.get_backend", known.__getitem__)
    monkeypatch.setattr("inferox.loading.selection.backend_names", lambda: tuple(known))
    monkeypatch.setattr("inferox.loading.selection._NVIDIA_DRIVER", ())
    return known


def order(*artifacts: Artifact, requirements: Requirements = Requirements()) -> list[Artifact]:  # noqa: B008 - it is frozen
    return [item.artifact for item in select(make_package(*artifacts), requirements)]


def reasons(*artifacts: Artifact, **requirements: Any) -> dict[str, str | None]:
    return {
        item.artifact.name: item.rejected
        for item in select(make_package(*artifacts), Requirements.parse(**requirements))
    }


@given(data=st.data())
def test_the_order_is_that_of_its_rules_whatever_the_order_of_the_manifest(data: st.DataObject) -> None:
    formats = {"code": "torchscript", "data": "safetensors"}
    expected = [
        make_artifact(backend, formats[tier], precision, layout)
        for tier in ("data", "code")
        for precision in (Precision.FP32, Precision.FP16, Precision.BF16, Precision.INT8)
        for backend in ("openvino", "onnxruntime", "torch", "candle", "echo")
        for layout in (Layout.PACKED, Layout.PADDED)
    ]
    assert order(*data.draw(st.permutations(expected))) == expected


def test_equals_keep_the_order_of_the_manifest() -> None:
    first, second = make_artifact("echo"), make_artifact("absent")
    assert order(first, second) == [first, second]
    assert order(second, first) == [second, first]


def test_torch_comes_first_where_there_is_an_nvidia_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inferox.loading.selection._NVIDIA_DRIVER", (tmp_path,))
    openvino, torch = make_artifact("openvino"), make_artifact("torch")
    assert order(openvino, torch) == [torch, openvino]


def test_each_reason() -> None:
    assert reasons(
        make_artifact("echo"),
        make_artifact("unknown"),
        make_artifact("echo", "strange"),
        make_artifact("echo", "torchscript"),
    ) == {
        "echo/safetensors/fp32/padded": None,
        "unknown/safetensors/fp32/padded": "no backend named unknown is registered",
        "echo/strange/fp32/padded": "the backend echo does not read this format",
        "echo/torchscript/fp32/padded": "loading it runs code that comes with the package, which was not allowed "
        "(trust_code, --trust-code)",
    }
    code = make_artifact("echo", "torchscript")
    assert reasons(code, trust_code=True) == {code.name: None}


def test_whether_trust_is_all_that_is_missing() -> None:
    code, other = make_artifact("echo", "torchscript"), make_artifact("absent", "torchscript")
    found = select(make_package(code, other), Requirements.parse("echo"))
    assert {item.artifact.name: item.needs_trust for item in found} == {code.name: True, other.name: False}


def test_availability_is_not_checked(backends: dict[str, Backend], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("asking imports the runtime")

    monkeypatch.setattr(backends["absent"], "probe", refuse)
    assert reasons(make_artifact("absent")) == {"absent/safetensors/fp32/padded": None}


def test_what_is_requested() -> None:
    full, half = make_artifact("echo"), make_artifact("echo", precision=Precision.FP16)
    assert reasons(full, half, precision="fp16") == {
        full.name: "the precision fp16 was requested",
        half.name: None,
    }
    assert reasons(full, backend="absent") == {full.name: "the backend absent was requested"}


@pytest.mark.parametrize(
    ("requirements", "allowed"),
    [
        ({}, {"exact", "close"}),
        ({"quality": "exact"}, {"exact"}),
        ({"quality": "close"}, {"exact", "close"}),
        ({"quality": "quantized"}, {"exact", "close", "quantized"}),
        ({"to_measure": True}, {"exact", "close", "quantized"}),
        ({"precision": "fp32"}, {"exact", "close", "quantized"}),
        ({"precision": "fp32", "quality": "close"}, {"exact", "close"}),
    ],
)
def test_quality(requirements: dict[str, Any], allowed: set[str]) -> None:
    artifacts = {item: make_artifact("echo", f"{item.value}-onnx") for item in ParityClass}
    package = make_package(*artifacts.values(), measured={each.name: item for item, each in artifacts.items()})
    found = {
        item.artifact.name: item.rejected
        for item in select(package, Requirements.parse(trust_code=True, **requirements))
    }
    assert {item.value for item, each in artifacts.items() if found[each.name] is None} == allowed
    assert str(found[artifacts[ParityClass.FAIL].name]).startswith("its parity is fail, but ")


@pytest.mark.parametrize("quality", ["exact", "close", "quantized"])
def test_unmeasured_artifacts_are_rejected_if_a_quality_is_requested(quality: str) -> None:
    artifact = make_artifact("echo")
    reason = f"its parity is not known, but {quality} is required"
    assert reasons(artifact, quality=quality) == {artifact.name: reason}
    assert reasons(artifact) == reasons(artifact, precision="fp32") == {artifact.name: None}
    assert reasons(artifact, to_measure=True) == {artifact.name: None}


def test_wrong_requirements() -> None:
    with pytest.raises(BackendNotFoundError, match=r"'nope'; registered: absent, .*echo"):
        Requirements.parse("nope")
    with pytest.raises(ConfigError, match="'fp8'"):
        Requirements.parse(precision="fp8")
    for quality in ("perfect", "any", "fail", ""):
        with pytest.raises(ConfigError, match=f"no quality {quality!r}"):
            Requirements.parse(quality=quality)


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
