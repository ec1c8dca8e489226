"""The effect of a batch on its rows is measured for every artifact, and decides whether it is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import inferox
from inferox.core import PackageError
from inferox.measuring import verify
from inferox.parity import ParityClass, Tolerance
from tests.packing.test_kinds import save_text_model
from tests.small_tokenizer import VOCABULARY


class ShareOfLargest(torch.nn.Module):
    """A module that divides by the largest number of the whole call."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / x.abs().max()


class ShareOfOwn(torch.nn.Module):
    """A module that divides each row by its own largest number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x / x.abs().amax(dim=1, keepdim=True)


def save_masked_scaling(directory: Path, minilm: Path) -> None:
    """An ESM that scales its embeddings by a row's share of masks."""
    save_text_model(directory, minilm, "bert", "Model")
    torch.manual_seed(3)
    config = transformers.EsmConfig(
        vocab_size=VOCABULARY,
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=66,
        pad_token_id=0,
        mask_token_id=103,
        token_dropout=True,
        position_embedding_type="absolute",
        initializer_range=0.3,
    )
    for file in directory.glob("*.safetensors"):
        file.unlink()
    transformers.EsmModel(config).eval().save_pretrained(directory)


def test_a_packed_layout_that_mixes_rows_is_left_out_and_the_padded_one_stays(
    tmp_path: Path, minilm_directory: Path
) -> None:
    save_masked_scaling(tmp_path / "m", minilm_directory)
    report = inferox.pack(tmp_path / "m", tmp_path / "p", backends=["torch"])
    assert set(report.refused) == {"torch/safetensors/fp32/packed"}
    (evidence,) = report.evidence
    assert evidence.artifact == "torch/safetensors/fp32/padded"
    assert evidence.batch is not None
    assert evidence.batch.holds


def test_that_rows_are_mixed_is_seen_where_the_tolerance_allows_anything(
    tmp_path: Path, minilm_directory: Path
) -> None:
    save_masked_scaling(tmp_path / "m", minilm_directory)
    anything = Tolerance(None, -1.0, -1.0)
    report = inferox.pack(tmp_path / "m", tmp_path / "p", backends=["torch"], tolerance=anything)
    reason = report.refused["torch/safetensors/fp32/packed"]
    assert "it depends on the batch: a row differs by up to" in reason
    assert "but the model itself does not" in reason


def factory_of(module: torch.nn.Module) -> object:
    def make() -> tuple[torch.nn.Module, dict[str, np.ndarray]]:
        return module, {"x": np.random.default_rng(0).standard_normal((1, 6)).astype(np.float32)}

    return make


@pytest.mark.parametrize("module", [ShareOfLargest(), ShareOfOwn()])
def test_a_model_that_mixes_rows_itself_is_packed_as_it_is_and_the_evidence_says_so(
    module: torch.nn.Module, tmp_path: Path
) -> None:
    # There is one example row: only rows beside it that differ from it can tell.
    report = inferox.pack(
        factory_of(module),  # type: ignore[arg-type]
        tmp_path / "p",
        backends=["onnxruntime", "openvino"],
        precisions=("fp32",),
    )
    assert not report.refused
    for evidence in report.evidence:
        assert evidence.parity_class is ParityClass.EXACT
        assert evidence.batch is not None
        assert evidence.batch.holds is isinstance(module, ShareOfOwn)
        assert evidence.batch.inherent is isinstance(module, ShareOfLargest)
    stored = json.loads((tmp_path / "p" / "parity.json").read_text())["artifacts"][0]["batch"]
    assert stored["invariant"] is isinstance(module, ShareOfOwn)
    notes = [note for note in report.notes if "depends on the batch" in note]
    assert len(notes) == len(report.evidence) * isinstance(module, ShareOfLargest)
    assert all(note.endswith(": each call is computed as it is") for note in notes)


def test_verify_measures_it_again(tmp_path: Path) -> None:
    inferox.pack(factory_of(ShareOfLargest()), tmp_path / "p", backends=["onnxruntime"])  # type: ignore[arg-type]
    found = verify(tmp_path / "p")
    assert found.passed
    (evidence,) = found.evidence
    assert evidence.batch is not None
    assert not evidence.batch.holds


def test_nothing_is_written_where_the_only_artifact_mixes_rows(
    tmp_path: Path, minilm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inferox.backends.torch.export import TorchExporter
    from inferox.core import Layout

    save_masked_scaling(tmp_path / "m", minilm_directory)
    monkeypatch.setattr(TorchExporter, "layouts", (Layout.PACKED,))
    with pytest.raises(PackageError, match="packed: it"):
        inferox.pack(tmp_path / "m", tmp_path / "p", backends=["torch"])
    assert not (tmp_path / "p").exists()


def test_a_model_without_a_mask_is_sampled_row_by_row(tmp_path: Path, minilm_directory: Path) -> None:
    save_text_model(tmp_path / "m", minilm_directory, "bert", "Model")
    for file in (tmp_path / "m").glob("*.safetensors"):
        file.unlink()
    config = transformers.FNetConfig(
        vocab_size=VOCABULARY, hidden_size=24, intermediate_size=48, num_hidden_layers=1, max_position_embeddings=64
    )
    transformers.FNetModel(config).eval().save_pretrained(tmp_path / "m")
    report = inferox.pack(tmp_path / "m", tmp_path / "p", backends=["torch"])
    assert [item.parity_class for item in report.evidence] == [ParityClass.EXACT]
    with inferox.load(tmp_path / "p") as model:
        texts = ["a text", "another text that is longer", "a text"]
        alone = np.concatenate([model.embed([text]) for text in texts])
        np.testing.assert_allclose(model.embed(texts), alone, atol=1e-5)
