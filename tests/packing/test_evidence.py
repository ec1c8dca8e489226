"""An artifact that does not compute what the model computes is left out, and pack says so with the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import inferox
from inferox.backends.torch import TorchBackend
from inferox.backends.torch.export import TorchExporter
from inferox.core import Artifact, Exporter, ExportRequest, LoadError, PackageError, Precision, SourceModel
from inferox.parity import ParityClass, Tolerance
from tests.packing.test_kinds import save_text_model

WRONG_WEIGHTS = "backends/torch/wrong.safetensors"


class WrongExporter(Exporter):
    """Exports as PyTorch's exporter does, but in bf16 an artifact with another model's weights."""

    def export(self, source: SourceModel, root: Path, request: ExportRequest) -> Artifact:
        right = TorchExporter().export(source, root, request)
        if request.precision is not Precision.BF16:
            return right
        (root / WRONG_WEIGHTS).parent.mkdir(parents=True, exist_ok=True)
        weights = load_file(root / right.files["weights"])
        save_file({name: value.flip(0) for name, value in weights.items()}, root / WRONG_WEIGHTS)
        return replace(right, files={**right.files, "weights": WRONG_WEIGHTS})


@pytest.fixture
def source(tmp_path: Path, minilm_directory: Path) -> Path:
    save_text_model(tmp_path / "source", minilm_directory, "bert", "Model")
    return tmp_path / "source"


def test_it_is_left_out_with_its_file(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchBackend, "exporter", lambda _: WrongExporter())
    report = inferox.pack(source, tmp_path / "p", precisions=("fp32", "bf16"))
    assert "misses its tolerance: max abs difference" in report.refused["torch/safetensors/bf16/padded"]
    package = inferox.open_package(tmp_path / "p")
    assert [artifact.name for artifact in package.artifacts] == ["torch/safetensors/fp32/padded"]
    assert not (tmp_path / "p" / WRONG_WEIGHTS).exists()
    assert package.parity is not None
    assert len(package.parity.artifacts) == 1


def test_nothing_is_written_where_nothing_agrees(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchBackend, "exporter", lambda _: WrongExporter())
    with pytest.raises(PackageError, match="misses its tolerance"):
        inferox.pack(source, tmp_path / "p", precisions=("bf16",))
    assert not (tmp_path / "p").exists()


def test_strictly_nothing_may_be_left_out(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchBackend, "exporter", lambda _: WrongExporter())
    with pytest.raises(PackageError, match="could be made: torch/safetensors/bf16/padded: it misses"):
        inferox.pack(source, tmp_path / "p", precisions=("fp32", "bf16"), strict=True)
    assert not (tmp_path / "p").exists()
    inferox.pack(source, tmp_path / "p", strict=True)


def test_the_operators_tolerance_decides(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchBackend, "exporter", lambda _: WrongExporter())
    anything, nothing = Tolerance(None, -1.0, -1.0), Tolerance(0.0, 1.1, 1.1)
    report = inferox.pack(source, tmp_path / "p", precisions=("fp32", "bf16"), tolerance=anything)
    assert [item.parity_class for item in report.evidence] == [ParityClass.EXACT, ParityClass.QUANTIZED]
    parity = inferox.open_package(tmp_path / "p").parity
    assert parity is not None
    assert {item.tolerance for item in parity.artifacts} == {anything}
    with pytest.raises(PackageError, match="misses its tolerance"):
        inferox.pack(source, tmp_path / "q", tolerance=nothing)


def test_an_exporter_that_fails_is_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LoadError("the operator aten::sing is missing")

    monkeypatch.setattr(TorchExporter, "export", fail)
    with pytest.raises(
        PackageError, match="torch/fp32/packed: the operator aten::sing is missing; torch/fp32/padded: the operator"
    ):
        inferox.pack(source, tmp_path / "p")
