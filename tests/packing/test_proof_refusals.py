"""Inputs that the library defining a model does not take: they are reported, and never called proven."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from PIL import __version__ as pillow_version
from sentence_transformers import SentenceTransformer

import inferox
from inferox.core import ManifestError
from inferox.measuring import verify
from inferox.package import open_package
from inferox.packing.defining import choice, library
from inferox.packing.defining.pipelines import ImageLabelLibrary, TextLabelLibrary
from inferox.packing.defining.sentence_encoders import SentenceEncoderLibrary
from inferox.parity import InputProof, ProofInput, ProofStatus
from tests.cli.conftest import Run, run
from tests.packing.test_proof import save_source, save_vit
from tests.small_tokenizer import VOCABULARY
from tests.sources.checkpoints import make_model

__all__ = ["run"]

_LIBRARIES: dict[str, Any] = {"Model": SentenceEncoderLibrary, "ForSequenceClassification": TextLabelLibrary}


def forget_limit(source: Path) -> Path:
    """Removes the limit from the files of a tokenizer."""
    path = source / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["model_max_length"]
    path.write_text(json.dumps(settings))
    return source


def refuse(monkeypatch: pytest.MonkeyPatch, head: str, is_refused: Any) -> None:
    adapter = _LIBRARIES[head]
    define = adapter.define

    def define_some(self: Any, proof_input: ProofInput) -> Any:
        if is_refused(proof_input):
            raise ValueError("not for me")
        return define(self, proof_input)

    monkeypatch.setattr(adapter, "define", define_some)


def test_what_is_not_proven_is_said_beside_json_too(
    run: Run, tmp_path: Path, minilm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_source(tmp_path / "source", minilm_directory)
    monkeypatch.setattr(choice, "find_spec", lambda _: None)
    done = run("pack", source, "-o", tmp_path / "model", "--json")
    assert done.code == 0
    assert "inferox: note: not proven from text: sentence-transformers is not installed" in done.err
    json.loads(done.out)


@pytest.mark.parametrize("positions", [42, 602])
def test_a_library_that_cuts_beyond_the_last_position_proves_nothing_of_longer_texts_and_that_is_said(
    tmp_path: Path, minilm_directory: Path, positions: int
) -> None:
    source = forget_limit(save_source(tmp_path / "source", minilm_directory))
    (source / "sentence_bert_config.json").write_text('{"do_lower_case": false}')
    make_model("roberta", "Model", vocab_size=VOCABULARY, max_position_embeddings=positions).save_pretrained(source)
    report = inferox.pack(source, tmp_path / "model")
    assert report.proof.status is ProofStatus.PROVEN
    assert any("not proven for" in note and "does not take" in note for note in report.proof.notes())
    assert report.proof.inputs > 40 > report.proof.refused > 0
    found = verify(tmp_path / "model")
    assert found.passed
    assert all(item.inputs == report.proof.inputs for item in found.repeated.values())


@pytest.mark.parametrize("head", _LIBRARIES)
@pytest.mark.parametrize(
    ("kind", "is_refused"),
    [
        ("texts with special tokens", lambda item: "[" in str(item.item) and "]" in str(item.item)),
    ],
)
def test_a_kind_of_which_the_library_takes_none_is_not_proven(  # noqa: PLR0917 - fixtures beside the cases
    tmp_path: Path, minilm_directory: Path, monkeypatch: pytest.MonkeyPatch, head: str, kind: str, is_refused: Any
) -> None:
    settings = {} if head == "Model" else {"num_labels": 3}
    source = save_source(tmp_path / "source", minilm_directory, head, **settings)
    refuse(monkeypatch, head, is_refused)
    report = inferox.pack(source, tmp_path / "model")
    assert report.proof.status is ProofStatus.NOT_PROVEN
    assert f" {kind}; of the others it says: not for me" in str(report.proof)


def test_refused_inputs_are_recorded_and_listed(
    run: Run, tmp_path: Path, minilm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_source(tmp_path / "source", minilm_directory)
    refuse(monkeypatch, "Model", lambda item: item.item in {"a", "?"})
    done = run("pack", source, "-o", tmp_path / "model", "--json")
    record = json.loads(done.out)["from_input"]
    assert (record["status"], record["refused_inputs"], record["refusal"]) == ("proven", ["'a'", "'?'"], "not for me")
    note = "inferox: note: not proven for 2 texts that sentence-transformers does not take: 'a', '?'; of the first it"
    assert note in done.err
    parity = open_package(tmp_path / "model").parity
    assert parity is not None
    assert parity.from_input == InputProof.from_json(record)
    inputs = record["inputs"]
    assert f"on {inputs} of {inputs + 2} texts (2 not taken by it)" in str(parity.from_input)


def test_a_cut_that_only_the_package_defines_is_said(run: Run, tmp_path: Path, minilm_directory: Path) -> None:
    source = save_source(tmp_path / "source", minilm_directory, "ForSequenceClassification", num_labels=3)
    stated = inferox.pack(source, tmp_path / "stated")
    assert (stated.proof.limit, stated.proof.notes()) == (None, ())
    done = run("pack", forget_limit(source), "-o", tmp_path / "model", "--json")
    assert json.loads(done.out)["from_input"]["limit"] == "package"
    assert "state no limit on the tokens of a text" in done.err
    with pytest.raises(ManifestError, match="'limit'"):
        InputProof.from_json({**stated.proof.to_json(), "limit": "none"})


def test_an_older_library_is_named_with_the_version_that_is_needed(
    tmp_path: Path, minilm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_source(tmp_path / "source", minilm_directory)
    monkeypatch.setattr(choice, "find_version", lambda _: "5.4.1")
    report = inferox.pack(source, tmp_path / "model")
    assert "sentence-transformers 5.4.1 is installed, but 6.0 or newer is needed" in str(report.proof)


def test_a_library_without_a_requested_function_refuses_nothing(
    tmp_path: Path, minilm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = save_source(tmp_path / "source", minilm_directory)
    owner = next(kind for kind in SentenceTransformer.__mro__ if "preprocess" in vars(kind))
    monkeypatch.delattr(owner, "preprocess")
    report = inferox.pack(source, tmp_path / "model")
    assert (report.proof.status, report.proof.refused) == (ProofStatus.NOT_PROVEN, 0)
    assert "Inferox does not know how to call sentence-transformers" in str(report.proof)
    assert "preprocess" in str(report.proof)


def test_a_module_of_another_distribution_has_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def find(distribution: str) -> str:
        if distribution == "pillow":
            raise PackageNotFoundError(distribution)
        return version(distribution)

    monkeypatch.setattr(library, "version", find)
    assert ImageLabelLibrary(save_vit(tmp_path / "source")).versions()["pillow"] == pillow_version
