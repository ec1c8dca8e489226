"""Precisions that take no extra space: written without a request if they are close, and reported if they are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import inferox
from inferox.backends.openvino.backend import OpenVinoBackend
from inferox.core import Artifact, DataType, LoadError, Precision, UnsupportedDTypeError
from inferox.loading import explain
from inferox.machine import BF16_FLAGS, processor_flags
from inferox.measuring import tune, verify
from inferox.packing.free_precisions import FreeArtifacts, make_free
from inferox.parity import TOLERANCES, ArtifactEvidence, ParityClass
from inferox.parity.tolerance import NOTHING_ALIKE
from tests.loading.backends import EchoBackend, make_artifact
from tests.sources.graphs import WIDE_WEIGHT, save_affine

FP32, BF16 = "openvino/onnx/fp32/padded", "openvino/onnx/bf16/padded"
LACKING = "the processor has no bf16 arithmetic (amx_bf16, avx512_bf16, bf16)"

needs_bf16 = pytest.mark.skipif(
    not (processor_flags() or frozenset()) & BF16_FLAGS, reason="this processor does not multiply in bf16"
)


class LackingBackend(EchoBackend):
    """Only has arithmetic for fp32."""

    def lacks(self, artifact: Artifact, device: object) -> str | None:  # noqa: ARG002 - the contract
        return None if artifact.precision is Precision.FP32 else "the abacus has no beads for it"


def evidence(artifact: Artifact, parity_class: ParityClass, weak: str | None = None) -> ArtifactEvidence:
    tolerance = TOLERANCES[ParityClass.CLOSE]
    return ArtifactEvidence(artifact.name, NOTHING_ALIKE, tolerance, parity_class, {}, "a machine", weak=weak)


def test_they_are_the_files_of_fp32() -> None:
    exporter = OpenVinoBackend().exporter()
    full = replace(make_artifact("openvino", "onnx"), files={"graph": "model.onnx"})
    others = [make_artifact("openvino", "onnx", Precision.INT8), make_artifact("torch")]
    (half,) = make_free(exporter, [full, *others], OpenVinoBackend())
    assert half == replace(full, precision=Precision.BF16)


@pytest.mark.parametrize(
    ("parity_class", "weak", "reason"),
    [
        (ParityClass.CLOSE, None, None),
        (ParityClass.EXACT, None, "its outputs equal those of fp32"),
        (ParityClass.QUANTIZED, None, "it is not close to the original: max abs"),
        (ParityClass.CLOSE, "all inputs are 0", "the evidence for it is weak: all inputs are 0"),
    ],
)
def test_only_what_is_close_is_kept(parity_class: ParityClass, weak: str | None, reason: str | None) -> None:
    free, artifact = FreeArtifacts(), make_artifact("echo", precision=Precision.BF16)
    free.add(artifact, EchoBackend("echo"), lambda item: evidence(item, parity_class, weak))
    assert (free.artifacts == [artifact]) is (reason is None)
    assert len(free.evidence) == len(free.artifacts)
    assert free.unmeasured == []
    if reason is None:
        assert free.left_out == {}
    else:
        assert free.left_out[artifact.name].startswith(reason)


def fail(error: Exception) -> Callable[[Artifact], ArtifactEvidence]:
    def measure(_: Artifact) -> ArtifactEvidence:
        raise error

    return measure


def test_what_this_machine_cannot_compute_is_left_for_others_and_not_measured() -> None:
    free, artifact = FreeArtifacts(), make_artifact("echo", precision=Precision.BF16)
    free.add(artifact, LackingBackend("echo"), fail(AssertionError("it was measured")))
    assert free.unmeasured == [(artifact, "the abacus has no beads for it")]
    refused = FreeArtifacts()
    refused.add(artifact, EchoBackend("echo"), fail(UnsupportedDTypeError(DataType.BF16, "echo", [DataType.F32])))
    ((found, reason),) = refused.unmeasured
    assert found == artifact
    assert "bf16" in reason
    assert not free.artifacts + refused.artifacts
    assert not free.left_out | refused.left_out


def test_what_fails_is_left_out_with_its_reason() -> None:
    free, artifact = FreeArtifacts(), make_artifact("echo", precision=Precision.BF16)
    free.add(artifact, EchoBackend("echo"), fail(LoadError("an operator is missing")))
    assert free.left_out == {artifact.name: "an operator is missing"}


@pytest.mark.parametrize(
    ("flags", "lacking"),
    [
        (frozenset({"avx2"}), LACKING),
        (frozenset({"avx512_bf16"}), None),
        (frozenset({"amx_bf16"}), None),
        (None, None),  # only OpenVINO can tell
    ],
)
def test_what_openvino_lacks_for_bf16(flags: frozenset[str] | None, lacking: str | None) -> None:
    backend = OpenVinoBackend(flags=lambda: flags)
    half = make_artifact("openvino", "onnx", Precision.BF16)
    assert backend.lacks(half, None) == lacking
    assert backend.lacks(half, inferox.DeviceId.parse("cpu")) == lacking
    assert backend.lacks(half, inferox.DeviceId.parse("gpu:0")) is None  # another device has its own arithmetic
    assert backend.lacks(make_artifact("openvino", "onnx"), None) is None


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return save_affine(tmp_path / "affine.onnx", weight=WIDE_WEIGHT)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("inferox.measuring.tuning._TURN_S", 0.0)
    monkeypatch.setattr("inferox.measuring.tuning._ROUNDS", 1)


def use_processor(monkeypatch: pytest.MonkeyPatch, flags: frozenset[str]) -> None:
    """Gives OpenVINO's backend another processor, wherever it is made."""
    backend = OpenVinoBackend(flags=lambda: flags)
    for module in ("packing.artifacts", "loading.selection", "loading.context"):
        monkeypatch.setattr(f"inferox.{module}.get_backend", lambda _: backend)


@needs_bf16
@pytest.mark.usefixtures("store")
def test_bf16_of_openvino_comes_by_itself(source: Path, tmp_path: Path) -> None:
    plain = inferox.pack(source, tmp_path / "plain", backends=("openvino",), precisions=("fp32",))
    report = inferox.pack(source, tmp_path / "p", backends=("openvino",), strict=True)
    classes = {item.artifact: item.parity_class for item in report.evidence}
    assert classes == {FP32: ParityClass.EXACT, BF16: ParityClass.CLOSE}
    # It is held to that wherever it is loaded.
    assert report.evidence[-1].tolerance == TOLERANCES[ParityClass.CLOSE]
    opened = inferox.open_package(tmp_path / "p")
    assert {entry.path for entry in opened.metadata.files} == {
        entry.path for entry in inferox.open_package(tmp_path / "plain").metadata.files
    }
    assert report.size_bytes - plain.size_bytes < 8 * 1024  # the manifest and the evidence
    assert verify(tmp_path / "p", "openvino", precision="bf16").passed

    # Nothing was measured here: fp32 comes first, and explain says what could be gained.
    reasons = {item.artifact: (item.taken, item.reason) for item in explain(tmp_path / "p", threads=1).verdicts}
    assert reasons[FP32][0]
    assert reasons[BF16] == (
        False,
        "fp32 comes first, as nothing was measured; 'inferox tune' measures whether bf16 is faster here",
    )
    with inferox.load(tmp_path / "p", precision="bf16", threads=1) as model:
        assert model.metadata.precision is Precision.BF16

    tuned = tune(tmp_path / "p", threads=1)
    assert tuned.profile.classes == {BF16: ParityClass.CLOSE}
    fast = replace(
        tuned.profile,
        cells={
            name: tuple(replace(cell, seconds=0.001 if name == BF16 else 1.0) for cell in cells)
            for name, cells in tuned.profile.cells.items()
        },
    )
    save(fast)
    with inferox.load(tmp_path / "p", threads=1) as model:
        assert model.metadata.precision is Precision.BF16
    verdict = next(item for item in explain(tmp_path / "p", threads=1).verdicts if item.taken)
    assert (verdict.artifact, verdict.reason) == (
        BF16,
        "measured fastest here over calls of all sizes, and its parity here is close",
    )
    with inferox.load(tmp_path / "p", threads=1, quality="exact") as model:
        assert model.metadata.precision is Precision.FP32
        assert model.metadata.rejected[BF16] == "its parity is close, but exact is required"
    # If it is not close on this machine, it is not taken, whatever it was on the packing machine.
    save(replace(fast, classes={**fast.classes, BF16: ParityClass.QUANTIZED}))
    with inferox.load(tmp_path / "p", threads=1) as model:
        assert model.metadata.precision is Precision.FP32
        assert "its parity is quantized" in model.metadata.rejected[BF16]


def save(profile: object) -> None:
    from inferox.loading.profile import Profile
    from inferox.loading.profile_store import save_profile
    from inferox.package import Store

    assert isinstance(profile, Profile)
    save_profile(profile, Store())


@pytest.mark.usefixtures("store")
def test_a_processor_without_bf16_writes_it_for_others(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p"
    with pytest.MonkeyPatch.context() as patch:
        use_processor(patch, frozenset({"avx2"}))
        report = inferox.pack(source, path, backends=("openvino",), strict=True)
        # It is in the package, but not reported as proven.
        assert {item.artifact for item in report.evidence} == {FP32}
        assert f"{BF16} is in the package but not measured: {LACKING}; 'inferox tune' measures it where it runs" in (
            report.notes
        )
        opened = inferox.open_package(path)
        assert BF16 in {item.name for item in opened.artifacts}
        assert opened.parity is not None
        assert opened.parity.unmeasured == {BF16: LACKING}
        # Here it is rejected, also by tune and verify, for the machine's reason.
        assert {item.artifact: item.reason for item in explain(path, threads=1).verdicts}[BF16] == LACKING
        assert tune(path, threads=1).not_run[BF16] == LACKING
        assert verify(path).not_run[BF16] == LACKING
        with inferox.load(path, threads=1) as model:
            assert model.metadata.precision is Precision.FP32
            assert model.metadata.rejected[BF16] == LACKING

    # On another machine nothing is known about it until it is measured there.
    use_processor(monkeypatch, frozenset({"amx_bf16"}))
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "elsewhere"))
    nothing = f"it was not measured where it was packed ({LACKING}), nor here ('inferox tune' measures it)"
    for quality in (None, "exact", "close", "quantized"):
        found = {item.artifact: item.reason for item in explain(path, quality=quality, threads=1).verdicts}
        assert found[BF16] == nothing


@needs_bf16
@pytest.mark.usefixtures("store")
def test_what_was_never_measured_is_taken_once_it_is_measured_here(source: Path, tmp_path: Path) -> None:
    path = tmp_path / "p"
    with pytest.MonkeyPatch.context() as patch:
        use_processor(patch, frozenset())
        inferox.pack(source, path, backends=("openvino",))
    with inferox.load(path, precision="bf16", threads=1) as model:  # it is tried on a sample
        assert model.metadata.precision is Precision.BF16
    tuned = tune(path, threads=1)
    assert tuned.profile.classes[BF16] is ParityClass.CLOSE
    cells = {
        name: tuple(replace(cell, seconds=0.001 if name == BF16 else 1.0) for cell in cells)
        for name, cells in tuned.profile.cells.items()
    }
    save(replace(tuned.profile, cells=cells))
    with inferox.load(path, threads=1) as model:
        assert model.metadata.precision is Precision.BF16
    # It is close at best, even if the samples happen to come out the same.
    save(replace(tuned.profile, cells=cells, classes={**tuned.profile.classes, BF16: ParityClass.EXACT}))
    with inferox.load(path, threads=1, quality="exact") as model:
        assert model.metadata.precision is Precision.FP32
