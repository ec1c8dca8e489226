"""The proof from input: a package answers what the library that defines its model answers, or packing fails."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from sentence_transformers import SentenceTransformer
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

import inferox
from inferox.core import DisagreementError, IntegrityError, PackageError
from inferox.measuring import verify
from inferox.package import open_package
from inferox.packing import packing
from inferox.packing.defining import choice as defining_choice
from inferox.packing.defining.sentence_encoders import SentenceEncoderLibrary
from inferox.parity import ProofCase, ProofInput, ProofStatus, load_proof, save_proof
from inferox.tasks import TaskChoice, TextTokenizer
from tests.e2e.conftest import small_package
from tests.packing.without_libraries import verify_without_libraries
from tests.small_tokenizer import VOCABULARY, write_small_tokenizer
from tests.sources.checkpoints import make_model

__all__ = ["small_package"]

Break = Callable[[pytest.MonkeyPatch], None]


def save_source(directory: Path, minilm: Path, head: str = "Model", **settings: Any) -> Path:
    """A small BERT with a part of MiniLM's tokenizer; a bare one is a sentence encoder with prompts."""
    own = {"vocab_size": VOCABULARY, "pad_token_id": 0, "initializer_range": 0.3, "num_hidden_layers": 1}
    model = make_model("bert", head, **{**own, **settings})
    model.save_pretrained(directory)
    write_small_tokenizer(directory, minilm)
    if head == "Model":
        for name in ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json"):
            (directory / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(minilm / name, directory / name)
        (directory / "sentence_bert_config.json").write_text('{"max_seq_length": 40, "do_lower_case": false}')
        pooling = directory / "1_Pooling" / "config.json"
        pooling.write_text(json.dumps({**json.loads(pooling.read_text()), "word_embedding_dimension": 16}))
        (directory / "config_sentence_transformers.json").write_text(
            json.dumps({"prompts": {"query": "query: ", "passage": "passage: "}, "default_prompt_name": None})
        )
    return directory


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory, minilm_directory: Path) -> Path:
    """A sentence encoder, which the tests only read."""
    return save_source(tmp_path_factory.mktemp("encoder") / "source", minilm_directory)


@pytest.fixture(scope="module")
def proven(encoder: Path) -> tuple[Path, inferox.PackReport]:
    """A package of it; the tests change copies."""
    path = encoder.parent / "model"
    return path, inferox.pack(encoder, path, strict=True)


def save_vit(directory: Path) -> Path:
    make_model("vit", "ForImageClassification", initializer_range=0.3).save_pretrained(directory)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(directory)
    return directory


def rewrite_manifest(package: Path) -> None:
    """Corrects the sizes and digests in a package's manifest."""
    path = package / "metadata.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    for entry in manifest["files"]:
        content = (package / entry["path"]).read_bytes()
        entry["size"], entry["sha256"] = len(content), hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(manifest), encoding="utf-8")


def alter_options(monkeypatch: pytest.MonkeyPatch, alter: Callable[[dict[str, Any]], None]) -> None:
    """Makes the package state something else than the model's own files do."""
    choose = packing.choose_task  # type: ignore[attr-defined] # where packing looks it up

    def choose_wrongly(*arguments: Any, **options: Any) -> TaskChoice:
        found = choose(*arguments, **options)
        altered = json.loads(json.dumps(found.options))
        alter(altered)
        return replace(found, options=altered)

    monkeypatch.setattr(packing, "choose_task", choose_wrongly)


def set_option(**options: Any) -> Break:
    return lambda monkeypatch: alter_options(monkeypatch, lambda found: found.update(options))


def set_resampling(monkeypatch: pytest.MonkeyPatch) -> None:
    alter_options(monkeypatch, lambda found: found["image"].update(resample=0))


def lose_token_types(monkeypatch: pytest.MonkeyPatch) -> None:
    encode = TextTokenizer.encode

    def encode_wrongly(self: TextTokenizer, *arguments: Any, **options: Any) -> Any:
        batch = encode(self, *arguments, **options)
        types = np.zeros_like(batch.ragged["token_type_ids"])
        return replace(batch, ragged={**batch.ragged, "token_type_ids": types})

    monkeypatch.setattr(TextTokenizer, "encode", encode_wrongly)


def keep_case(monkeypatch: pytest.MonkeyPatch) -> None:
    write = packing._write_files

    def write_wrongly(model: Any, found: TaskChoice, root: Path) -> None:
        write(model, found, root)
        path = root / "tokenizer.json"
        tokenizer = json.loads(path.read_text(encoding="utf-8"))
        tokenizer["normalizer"]["lowercase"] = False
        path.write_text(json.dumps(tokenizer), encoding="utf-8")

    monkeypatch.setattr(packing, "_write_files", write_wrongly)


def test_a_sentence_encoder_is_proven_from_text(proven: tuple[Path, inferox.PackReport]) -> None:
    path, report = proven
    assert report.proof.status is ProofStatus.PROVEN
    assert (report.proof.source, report.proof.library) == ("text", "sentence-transformers")
    assert report.proof.versions["sentence-transformers"]
    package = open_package(path)
    assert package.parity is not None
    assert package.parity.from_input == report.proof
    cases = package.proof_cases()
    assert cases is not None
    assert len(cases) == report.proof.inputs
    assert {case.input.prompt for case in cases} == {None, "query", "passage"}
    texts = [case.input.item for case in cases if isinstance(case.input.item, str)]
    assert "" in texts
    assert any("[MASK]" in text for text in texts)
    assert max(len(case.tokens["input_ids"]) for case in cases) == 40  # texts beyond the limit are cut there


def test_a_prompt_may_have_an_empty_name_and_more_tokens_than_the_model_takes(encoder: Path, tmp_path: Path) -> None:
    directory = shutil.copytree(encoder, tmp_path / "source")
    prompts = {"": "note: ", "long": "Find the passage that answers this question: " * 6}
    settings = {"prompts": prompts, "default_prompt_name": ""}
    (directory / "config_sentence_transformers.json").write_text(json.dumps(settings))
    pooling = directory / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({**json.loads(pooling.read_text()), "include_prompt": False}))

    report = inferox.pack(directory, tmp_path / "packed")

    assert report.proof.status is ProofStatus.PROVEN
    with inferox.load(report.path) as model:
        reference = SentenceTransformer(str(directory), device="cpu")
        for name in (None, *prompts):
            vectors = model.embed(["copper"], prompt=name, truncate="cut")
            np.testing.assert_allclose(vectors, reference.encode(["copper"], prompt_name=name), atol=1e-5)


@pytest.mark.parametrize(
    ("head", "settings", "library"),
    [
        ("ForSequenceClassification", {"num_labels": 3}, "transformers"),
        ("ForTokenClassification", {"num_labels": 5}, "transformers"),
        ("ForSequenceClassification", {"num_labels": 1}, "sentence-transformers"),
    ],
    ids=["classify", "token-classify", "rerank"],
)
def test_other_text_models_are_proven(
    tmp_path: Path, minilm_directory: Path, head: str, settings: dict[str, Any], library: str
) -> None:
    source = save_source(tmp_path / "source", minilm_directory, head, **settings)
    report = inferox.pack(source, tmp_path / "model.mlpkg", strict=True)
    assert (report.proof.status, report.proof.library) == (ProofStatus.PROVEN, library)


def test_an_image_model_is_proven_from_images(tmp_path: Path) -> None:
    report = inferox.pack(save_vit(tmp_path / "source"), tmp_path / "model.mlpkg", strict=True)
    assert (report.proof.status, report.proof.source) == (ProofStatus.PROVEN, "image")
    assert verify(tmp_path / "model.mlpkg").passed


@pytest.mark.parametrize(
    ("broken", "stage"),
    [
        (keep_case, "token ids"),
        (set_option(truncation_side="left"), "token ids"),
        (set_option(max_length=39), "token ids"),
        (set_option(prompts={"query": "Query: ", "passage": "passage: ."}), "token ids"),
        (set_option(pooling=["max"]), "answer"),
        (set_option(modules=[]), "answer"),
        (set_option(include_prompt=False), "answer"),
    ],
    ids=["case", "side", "limit", "prompt", "pooling", "normalisation", "pooled prompt"],
)
def test_a_broken_stage_of_an_encoder_fails_packing(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch, broken: Break, stage: str
) -> None:
    broken(monkeypatch)
    with pytest.raises(DisagreementError, match=f"in the stage {stage}") as caught:
        # Even if an artifact may differ a lot: that says nothing about what the package should compute.
        inferox.pack(encoder, tmp_path / "model.mlpkg", tolerance={"max_rel": 9.0, "cosine_min": -1.0})
    assert caught.value.stage.startswith(stage)
    assert "expected" in str(caught.value)
    assert not (tmp_path / "model.mlpkg").exists()


@pytest.mark.parametrize(
    ("head", "broken", "stage"),
    [
        (("ForSequenceClassification", 1), lose_token_types, "token types"),
        (("ForSequenceClassification", 3), lose_token_types, "token types"),
        (("ForSequenceClassification", 3), set_option(activation="sigmoid"), "answer"),
        (("ForTokenClassification", 3), set_option(labels=["O", "B-X", "I-X"]), "answer"),
    ],
)
def test_a_broken_stage_of_a_classifier_fails_packing(  # noqa: PLR0917 - two fixtures beside the cases
    tmp_path: Path,
    minilm_directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    head: tuple[str, int],
    broken: Break,
    stage: str,
) -> None:
    source = save_source(tmp_path / "source", minilm_directory, head[0], num_labels=head[1])
    broken(monkeypatch)
    with pytest.raises(DisagreementError, match=f"in the stage {stage}"):
        inferox.pack(source, tmp_path / "model.mlpkg")


def test_another_resampling_fails_packing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save_vit(tmp_path / "source")
    set_resampling(monkeypatch)
    with pytest.raises(DisagreementError, match="in the stage pixels"):
        inferox.pack(source, tmp_path / "model.mlpkg")


def test_other_weights_fail_packing_at_the_outputs(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = packing.open_source  # type: ignore[attr-defined] # where packing looks it up

    def open_wrongly(*arguments: Any, **options: Any) -> Any:
        found = opened(*arguments, **options)
        found.module.encoder.layer[0].output.dense.weight.data *= 1.01
        return found

    monkeypatch.setattr(packing, "open_source", open_wrongly)
    with pytest.raises(DisagreementError, match="in the stage outputs"):
        inferox.pack(encoder, tmp_path / "model.mlpkg")


def test_a_missing_library_is_said_and_strict_fails(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(defining_choice, "find_spec", lambda _: None)
    report = inferox.pack(encoder, tmp_path / "model.mlpkg")
    assert report.proof.status is ProofStatus.NOT_PROVEN
    assert "inferox[reference]" in str(report.proof)
    with pytest.raises(PackageError, match="not be proven from text"):
        inferox.pack(encoder, tmp_path / "strict.mlpkg", strict=True)


def test_a_model_of_tensors_needs_no_proof(tmp_path: Path, encoder: Path) -> None:
    report = inferox.pack(encoder, tmp_path / "model.mlpkg", task="raw", strict=True)
    assert report.proof.status is ProofStatus.NOT_APPLICABLE


def test_verify_repeats_the_proof_without_the_libraries(small_package: Path) -> None:
    verify_without_libraries(small_package)


@pytest.mark.parametrize("part", ["tokens.input_ids", "answer"])
def test_verify_fails_where_the_package_answers_otherwise(
    tmp_path: Path, proven: tuple[Path, inferox.PackReport], part: str
) -> None:
    shutil.copytree(proven[0], tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "proof.safetensors")
    tensors[f"3.{part}"] = tensors[f"3.{part}"][::-1].copy()
    save_file(tensors, tmp_path / "model" / "proof.safetensors")
    rewrite_manifest(tmp_path / "model")
    found = verify(tmp_path / "model")
    assert not found.passed
    stage = "token ids" if part.startswith("tokens") else "answer"
    assert all(stage in (item.difference or "") for item in found.repeated.values())


@pytest.mark.parametrize("value", [np.zeros((2, 2)), np.zeros(0), np.zeros((), np.float32), np.array([True])])
@pytest.mark.parametrize("part", ["tokens.input_ids", "tokens.offsets", "answer", "image"])
def test_tensors_of_another_shape_are_refused(tmp_path: Path, part: str, value: Any) -> None:
    case = ProofCase(ProofInput("a text"), {"input_ids": np.array([1, 2], np.int32)}, np.ones(3, np.float32))
    save_proof([case], tmp_path)
    assert load_proof(tmp_path) is not None
    tensors = load_file(tmp_path / "proof.safetensors")
    save_file({**tensors, f"0.{part}": value}, tmp_path / "proof.safetensors")
    with pytest.raises(IntegrityError, match=r"proof\.safetensors must have"):
        load_proof(tmp_path)


def test_a_library_that_takes_few_inputs_proves_nothing(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define = SentenceEncoderLibrary.define

    def define_few(self: SentenceEncoderLibrary, proof_input: ProofInput) -> Any:
        if len(proof_input.item) > 12:
            raise ValueError("too long for me")
        return define(self, proof_input)

    monkeypatch.setattr(SentenceEncoderLibrary, "define", define_few)
    report = inferox.pack(encoder, tmp_path / "model.mlpkg")
    assert report.proof.status is ProofStatus.NOT_PROVEN
    assert "too long for me" in str(report.proof)


def test_a_panic_of_the_library_is_one_error(tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Backtracks more than the engine of the tokenizers library allows.
    panicking = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))  # noqa: S106
    panicking.pre_tokenizer = pre_tokenizers.Split(Regex("(a+)+b"), "isolated")

    def panic(self: SentenceEncoderLibrary, proof_input: ProofInput) -> Any:  # noqa: ARG001
        return panicking.encode("a" * 40)

    monkeypatch.setattr(SentenceEncoderLibrary, "define", panic)
    with pytest.raises(PackageError, match=r"asking sentence-transformers for '.*' failed: .*retry-limit"):
        inferox.pack(encoder, tmp_path / "model.mlpkg")
    assert not (tmp_path / "model.mlpkg").exists()


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda cases: cases[0].pop("text"), "no input"),
        (lambda cases: cases[0].update(text=3), "'text'"),
        (lambda cases: cases[0].pop("answered"), "'answered'"),
        (lambda cases: cases.clear(), "belongs to no case"),
        (lambda cases: cases[0].update(answer="high"), "'answer'"),
        (lambda cases: cases[0].update(answer=[{"label": "a"}]), "'score'"),
        (lambda cases: cases[0].update(answer=[{"label": "a", "score": 1, "start": "x"}]), "'start'"),
        (lambda cases: cases[0].update(answer=[3]), "JSON object"),
    ],
)
def test_a_malformed_proof_is_refused(
    tmp_path: Path, proven: tuple[Path, inferox.PackReport], alter: Callable[[Any], None], message: str
) -> None:
    shutil.copytree(proven[0], tmp_path / "model")
    path = tmp_path / "model" / "proof.json"
    proof = json.loads(path.read_text(encoding="utf-8"))
    alter(proof["cases"])
    path.write_text(json.dumps(proof), encoding="utf-8")
    rewrite_manifest(tmp_path / "model")
    with pytest.raises(PackageError, match=message):
        verify(tmp_path / "model")
