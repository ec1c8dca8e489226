"""An artifact that does not compute what the model computes is left out, and pack says so with the figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

import inferox
from inferox.backends.torch import TorchBackend
from inferox.backends.torch.export import TorchExporter
from inferox.core import Artifact, Exporter, LoadError, PackageError, Precision, SourceModel
from tests.build.test_kinds import save_text_model

WRONG_WEIGHTS = "backends/torch/wrong.safetensors"


class WrongExporter(Exporter):
    """Exports what PyTorch's exporter does, and an artifact whose weights are another model's."""

    keeps_the_right_one = True

    def export(self, source: SourceModel, root: Path, precision: Precision) -> Sequence[Artifact]:
        (right,) = TorchExporter().export(source, root, precision)
        (root / WRONG_WEIGHTS).parent.mkdir(parents=True, exist_ok=True)
        weights = load_file(root / right.files["weights"])
        save_file({name: value.flip(0) for name, value in weights.items()}, root / WRONG_WEIGHTS)
        wrong = replace(right, files={**right.files, "weights": WRONG_WEIGHTS}, precision=Precision.BF16)
        return [right, wrong] if self.keeps_the_right_one else [wrong]


@pytest.fixture
def source(tmp_path: Path, minilm_directory: Path) -> Path:
    save_text_model(tmp_path / "source", minilm_directory, "bert", "Model")
    return tmp_path / "source"


def test_it_is_left_out_with_its_file(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TorchBackend, "exporter", lambda _: WrongExporter())
    report = inferox.pack(source, tmp_path / "p")
    assert "misses its tolerance: max abs difference" in report.refused["torch/safetensors/bf16/padded"]
    package = inferox.open_package(tmp_path / "p")
    assert [artifact.name for artifact in package.artifacts] == ["torch/safetensors/fp32/padded"]
    assert not (tmp_path / "p" / WRONG_WEIGHTS).exists()
    assert package.parity is not None
    assert len(package.parity.artifacts) == 1


def test_nothing_is_written_where_nothing_agrees(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter = WrongExporter()
    exporter.keeps_the_right_one = False
    monkeypatch.setattr(TorchBackend, "exporter", lambda _: exporter)
    with pytest.raises(PackageError, match="misses its tolerance"):
        inferox.pack(source, tmp_path / "p")
    assert not (tmp_path / "p").exists()


def test_an_exporter_that_fails_is_named(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise LoadError("the operator aten::sing is missing")

    monkeypatch.setattr(TorchExporter, "export", fail)
    with pytest.raises(PackageError, match="torch/fp32: the operator aten::sing is missing"):
        inferox.pack(source, tmp_path / "p")
