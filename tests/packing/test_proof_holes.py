"""What a proof must not miss: NaN, answers of another form, missing comparisons."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import inferox
from inferox.core import DisagreementError, IntegrityError, PackageError
from inferox.measuring import verify
from inferox.packing.defining.pipelines import TextLabelLibrary
from inferox.parity import InputProof, ProofCase, ProofInput, ProofStatus, load_proof, save_proof
from inferox.tasks import compare_answers, compare_row, find_answer_scale
from inferox.tasks.labels import Labels
from tests.packing.test_proof import rewrite_manifest, save_source

NAN, INF = float("nan"), float("inf")
VECTOR = np.array([0.6, 0.8], np.float32)
LABELS = [{"label": "a", "score": 0.75}, {"label": "b", "score": 0.25}]
SPANS = [{"label": "PER", "score": 0.5, "start": 0, "end": 3}]
FORMS: dict[str, Any] = {"vector": VECTOR, "scalar": np.float32(1.0).reshape(()), "number": 0.5, "labels": LABELS,
                         "spans": SPANS, "none": None, "object": {"label": "a"}, "texts": ["a"]}  # fmt: skip


@pytest.fixture(scope="module")
def packages(
    tmp_path_factory: pytest.TempPathFactory, minilm_directory: Path, encoder_package: Path
) -> dict[str, Path]:
    """A package of each task with text, by the task's name."""
    root, found = tmp_path_factory.mktemp("packages"), {"embed": encoder_package}
    heads: dict[str, tuple[str, dict[str, Any]]] = {
        "classify": ("ForSequenceClassification", {"num_labels": 3}),
        "token-classify": ("ForTokenClassification", {"num_labels": 5}),
        "rerank": ("ForSequenceClassification", {"num_labels": 1}),
    }
    for task, (head, settings) in heads.items():
        source = save_source(root / f"{task}-source", minilm_directory, head, **settings)
        inferox.pack(source, root / task)
        found[task] = root / task
    return found


def alter_package(package: Path, target: Path, cases: Callable[[list[Any]], None], tensors: Any = None) -> Path:
    """A copy of a package with other cases, as a stranger could make it."""
    shutil.copytree(package, target)
    path = target / "proof.json"
    proof = json.loads(path.read_text(encoding="utf-8"))
    cases(proof["cases"])
    path.write_text(json.dumps(proof), encoding="utf-8")
    if tensors is not None:
        arrays = load_file(target / "proof.safetensors")
        tensors(arrays)
        save_file(arrays, target / "proof.safetensors")
    rewrite_manifest(target)
    return target


def ends_well(package: Path) -> bool:
    """Returns whether verify passes a package. It fails by an error of Inferox's own, or by not passing."""
    try:
        return verify(package).passed
    except PackageError:
        return False


@pytest.mark.parametrize("actual", [NAN, INF, -INF])
@pytest.mark.parametrize(
    ("expected", "answer"),
    [
        (0.5, lambda number: number),
        (LABELS, lambda number: [LABELS[0], {"label": "b", "score": number}]),
        (LABELS, lambda number: [{"label": "a", "score": number}, LABELS[1]]),
        (SPANS, lambda number: [{**SPANS[0], "score": number}]),
        (VECTOR, lambda number: np.array([0.6, number], np.float32)),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_what_is_not_finite_agrees_with_nothing(expected: Any, answer: Any, actual: float, swapped: bool) -> None:
    pair = (answer(actual), expected) if swapped else (expected, answer(actual))
    scale = find_answer_scale([pair[0], expected])
    assert np.isfinite(scale)
    assert compare_answers(*pair, scale=scale, tie=1e-5).max_rel == INF


def test_one_answer_that_is_not_finite_does_not_hide_the_others() -> None:
    for number in (NAN, INF):
        assert find_answer_scale([np.array([number, 1.0], np.float32), 2 * VECTOR]) == pytest.approx(1.6)
        assert find_answer_scale([[{"label": "a", "score": number}], 3.0]) == 3.0


@pytest.mark.parametrize("expected", FORMS)
@pytest.mark.parametrize("actual", FORMS)
def test_answers_of_two_forms_do_not_agree(expected: str, actual: str) -> None:
    found = compare_answers(FORMS[expected], FORMS[actual], scale=1.0, tie=1e-5)
    alike = expected == actual and expected in {"vector", "number", "labels", "spans"}
    assert (found.max_rel == 0) is alike
    assert alike or found.max_rel == INF


def test_vectors_at_right_angles_have_the_cosine_zero() -> None:
    found = compare_answers(np.eye(2, dtype=np.float32)[0], np.eye(2, dtype=np.float32)[1], scale=1.0, tie=1e-5)
    assert found.cosine == 0
    # Too short to point anywhere.
    short = 1e-9 * np.eye(2, dtype=np.float32)
    assert compare_answers(short[0], short[1], scale=1.0, tie=1e-5).cosine == 1


@pytest.mark.parametrize(
    ("expected", "row", "stage"),
    [
        ({}, {"input_ids": [1, 2]}, "token ids"),
        ({"input_ids": [1, 2]}, {"attention_mask": [1, 1]}, "token ids"),
        ({"input_ids": [1, 2]}, {"input_ids": [1, 2], "attention_mask": [1, 0]}, "attention mask"),
        ({"input_ids": [1, 2]}, {"input_ids": [1, 2], "offsets": [[0, 1], [1, 2]]}, "token offsets"),
        ({"input_ids": [1, 2], "offsets": [[0, 1], [1, 2]]}, {"input_ids": [1, 2]}, "token offsets"),
        (
            {"input_ids": [1, 2], "offsets": [[0, 1, 2], [1, 2, 3]]},
            {"input_ids": [1, 2], "offsets": [[0, 1], [1, 2]]},
            "token offsets",
        ),
        ({"input_ids": [[1], [2]]}, {"input_ids": [1, 2]}, "token ids"),
        ({"pixel_values": [NAN, 1.0]}, {"pixel_values": [0.0, 1.0]}, "pixels"),
        ({"pixel_values": [0.0, 1.0]}, {"pixel_values": [0.0, NAN]}, "pixels"),
        ({"pixel_values": [INF, 1.0]}, {"pixel_values": [INF, 2.0]}, "pixels"),
        ({"pixel_values": [1.0]}, {"input_ids": [1]}, "token ids"),
    ],
)
def test_no_array_is_skipped(expected: dict[str, Any], row: dict[str, Any], stage: str) -> None:
    found = compare_row(
        {name: np.array(value) for name, value in expected.items()},
        {name: np.array(value) for name, value in row.items()},
    )
    assert found is not None
    assert found.stage.startswith(stage)


def test_what_the_library_leaves_out_is_what_the_model_takes_for_it() -> None:
    row = {"input_ids": np.array([1, 2]), "attention_mask": np.array([1, 1]), "token_type_ids": np.array([0, 0])}
    assert compare_row({"input_ids": np.array([1, 2])}, row) is None
    # A model that does not take it has neither.
    assert compare_row(row, {"input_ids": np.array([1, 2])}) is None


@pytest.mark.parametrize("number", [NAN, INF, 10**400, True, None, "1"])
def test_scores_of_a_stored_proof_are_finite_numbers(tmp_path: Path, number: Any) -> None:
    save_proof([ProofCase(ProofInput("a"), {"input_ids": np.ones(1, np.int32)}, LABELS)], tmp_path)
    path = tmp_path / "proof.json"
    proof = json.loads(path.read_text(encoding="utf-8"))
    proof["cases"][0]["answer"][1]["score"] = number
    path.write_text(json.dumps(proof), encoding="utf-8")
    with pytest.raises(PackageError, match=r"score|larger"):
        load_proof(tmp_path)


@pytest.mark.parametrize("alter", [lambda part: part.pop("start"), lambda part: part.pop("end")])
def test_a_part_of_a_text_has_both_ends(tmp_path: Path, alter: Callable[[Any], Any]) -> None:
    save_proof([ProofCase(ProofInput("a"), {"input_ids": np.ones(1, np.int32)}, [dict(SPANS[0])])], tmp_path)
    path = tmp_path / "proof.json"
    proof = json.loads(path.read_text(encoding="utf-8"))
    alter(proof["cases"][0]["answer"][0])
    path.write_text(json.dumps(proof), encoding="utf-8")
    with pytest.raises(PackageError, match=r"'start'|'end'"):
        load_proof(tmp_path)


_FORMS = {
    "number": 0.5,
    "empty": [],
    "labels": LABELS,
    "spans": SPANS,
    "spans first": [*SPANS, LABELS[0]],
    "labels first": [*LABELS, SPANS[0]],
}


@pytest.mark.parametrize(
    ("task", "answer"),
    [
        # Every other pair in every run, which covers each task and each form: each verifies a whole package.
        pytest.param(task, form, marks=[] if (row + column) % 2 else pytest.mark.slow, id=f"{task}-{name}")
        for row, task in enumerate(["embed", "classify", "token-classify", "rerank"])
        for column, (name, form) in enumerate(_FORMS.items())
    ],
)
def test_verify_takes_no_answer_of_another_form(
    tmp_path: Path, packages: dict[str, Path], task: str, answer: Any
) -> None:
    def forge(cases: list[Any]) -> None:
        # More than the few texts whose parts may differ at the tolerance of an artifact.
        for case in cases[3:8]:
            case.update(answer=answer)

    def drop(arrays: dict[str, Any]) -> None:
        for index in range(3, 8):
            arrays.pop(f"{index}.answer", None)

    assert not ends_well(alter_package(packages[task], tmp_path / "forged", forge, drop))


@pytest.mark.parametrize("task", ["embed", "classify", "token-classify", "rerank"])
@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.update({"3.answer": np.full(16, NAN, np.float32)}),
        lambda arrays: arrays.update({"3.answer": np.full(16, INF, np.float32)}),
        lambda arrays: arrays.update({"3.tokens.offsets": np.zeros((7, 3), np.int32)}),
        lambda arrays: arrays.pop("3.tokens.input_ids"),
        lambda arrays: arrays.update({"3.tokens.input_ids": np.array([2**63], np.uint64)}),
        lambda arrays: arrays.update({"3.image": np.zeros(9, np.float64)}),
    ],
)
def test_verify_takes_no_other_tensors(tmp_path: Path, packages: dict[str, Path], task: str, change: Any) -> None:
    assert not ends_well(alter_package(packages[task], tmp_path / "forged", lambda _: None, change))


@pytest.mark.parametrize(
    "item",
    [{"text": "one"}, {"text": "one", "text_pair": "two"}, {"text": "one", "prompt": "query"}, {"prompt": "none such"}],
)
@pytest.mark.parametrize("task", ["embed", "classify", "token-classify", "rerank"])
def test_verify_takes_no_other_inputs(
    tmp_path: Path, packages: dict[str, Path], task: str, item: dict[str, Any]
) -> None:
    assert not ends_well(alter_package(packages[task], tmp_path / "forged", lambda cases: cases[3].update(item)))


def test_a_proof_that_is_recorded_and_not_there_is_refused(tmp_path: Path, packages: dict[str, Path]) -> None:
    def drop_last(arrays: dict[str, Any]) -> None:
        last = max(int(key.partition(".")[0]) for key in arrays)
        for key in [key for key in arrays if key.startswith(f"{last}.")]:
            arrays.pop(key)

    fewer = alter_package(packages["embed"], tmp_path / "fewer", lambda cases: cases.pop(), drop_last)
    with pytest.raises(IntegrityError, match="answers as compared"):
        verify(fewer)
    gone = alter_package(packages["embed"], tmp_path / "gone", lambda _: None)
    manifest = json.loads((gone / "metadata.json").read_text(encoding="utf-8"))
    manifest["files"] = [entry for entry in manifest["files"] if not entry["path"].startswith("proof.")]
    (gone / "metadata.json").write_text(json.dumps(manifest), encoding="utf-8")
    for name in ("proof.json", "proof.safetensors"):
        (gone / name).unlink()
    with pytest.raises(IntegrityError, match="answers as compared"):
        verify(gone)


@pytest.mark.parametrize("task", ["embed", "classify"])
def test_answers_that_are_taken_out_are_missed(tmp_path: Path, packages: dict[str, Path], task: str) -> None:
    def forget(cases: list[Any]) -> None:
        for case in cases:
            case["answered"] = False
            case.pop("answer", None)

    def drop_answers(arrays: dict[str, Any]) -> None:
        for key in [key for key in arrays if key.endswith(".answer")]:
            arrays.pop(key)

    with pytest.raises(IntegrityError, match="and 0"):
        verify(alter_package(packages[task], tmp_path / "forged", forget, drop_answers))


@pytest.mark.parametrize("name", ["inputs", "answered", "refused"])
def test_counts_are_not_negative(name: str) -> None:
    record = {**InputProof(ProofStatus.PROVEN, "text").to_json(), name: -1}
    with pytest.raises(PackageError, match=f"'{name}'"):
        InputProof.from_json(record)


def test_a_library_that_takes_no_pairs_proves_nothing_of_pairs(
    tmp_path: Path, minilm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define = TextLabelLibrary.define

    def define_texts(self: TextLabelLibrary, proof_input: ProofInput) -> Any:
        if isinstance(proof_input.item, tuple):
            raise TypeError("no pairs here")
        return define(self, proof_input)

    monkeypatch.setattr(TextLabelLibrary, "define", define_texts)
    source = save_source(tmp_path / "source", minilm_directory, "ForSequenceClassification", num_labels=3)
    report = inferox.pack(source, tmp_path / "model.mlpkg")
    assert report.proof.status is ProofStatus.NOT_PROVEN
    assert "pairs of texts" in str(report.proof)
    assert "no pairs here" in str(report.proof)


def test_an_answer_of_the_library_that_is_not_finite_defines_nothing(
    tmp_path: Path, minilm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define = TextLabelLibrary.define

    def define_nan(self: TextLabelLibrary, proof_input: ProofInput) -> Any:
        found = define(self, proof_input)
        if proof_input.item not in {"", " "}:
            return found
        return replace(found, answer=[{**part, "score": NAN} for part in found.answer])

    monkeypatch.setattr(TextLabelLibrary, "define", define_nan)
    source = save_source(tmp_path / "source", minilm_directory, "ForSequenceClassification", num_labels=3)
    report = inferox.pack(source, tmp_path / "model.mlpkg", strict=True)
    assert (report.proof.status, report.proof.refused) == (ProofStatus.PROVEN, 2)
    assert "(2 not taken by it)" in str(report.proof)


def test_an_answer_that_is_not_finite_fails_packing(
    tmp_path: Path, minilm_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rank = Labels.rank

    def rank_wrongly(self: Labels, logits: Any) -> Any:
        return [tuple(replace(item, score=NAN) for item in row) for row in rank(self, logits)]

    monkeypatch.setattr(Labels, "rank", rank_wrongly)
    source = save_source(tmp_path / "source", minilm_directory, "ForSequenceClassification", num_labels=3)
    with pytest.raises(DisagreementError, match="in the stage answer"):
        inferox.pack(source, tmp_path / "model.mlpkg")
