"""Fields of foreign JSON: types, ranges and lengths; each refusal is short and names the field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from inferox.core import Fields, InferoxError, IntegrityError, ManifestError, Signature
from inferox.loading.profile import Profile
from inferox.package import FileEntry, ModelInfo
from inferox.parity import ArtifactEvidence, BatchInvariance, InputProof, ProofCase, ProofInput, load_proof, save_proof
from inferox.tasks.options import optional, optional_count, required_list
from tests.package.packages import make_info

HUGE = 10**99


def test_whole_numbers() -> None:
    fields = Fields({"true": True, "huge": HUGE, "low": -HUGE, "minus": -1, "half": 0.5, "text": "1", "good": 3}, "it")
    assert fields.required("good", int) == fields.count("good") == fields.optional_count("good") == 3
    assert fields.optional_count("absent") is None
    for name in ("true", "huge", "low", "half", "text"):
        for read in (lambda name: fields.required(name, int), fields.count, fields.optional_count):
            with pytest.raises(ManifestError, match=f"'{name}' of it"):
                read(name)
    with pytest.raises(ManifestError, match="'minus' of it must be 0 or more, but is -1"):
        fields.count("minus")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), HUGE, True, "1", [], -0.1, 1.1])
def test_numbers(value: Any) -> None:
    for read in (Fields({"x": value}, "it").number, Fields({"x": value}, "it").optional_number):
        with pytest.raises(ManifestError, match="'x' of it must be"):
            read("x", least=0, most=1)
    assert Fields({"x": 1}, "it").number("x", least=0, most=1) == 1.0


def test_texts() -> None:
    assert Fields({"x": {"a": "b"}, "y": ["c"]}, "it").text_by_name("x") == {"a": "b"}
    assert Fields({}, "it").text_by_name("x") == {}
    for value in ({"a": 1}, ["a"], "a", 1):
        with pytest.raises(ManifestError, match="'x' of it"):
            Fields({"x": value}, "it").text_by_name("x")
    with pytest.raises(ManifestError, match="'x' of it must be a list of texts") as caught:
        Fields({"x": ["\x1b[2J" * 10_000, 1]}, "it").texts("x")
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 250


def test_options_of_tasks() -> None:
    for value in (True, HUGE, 0.5, "1"):
        with pytest.raises(ManifestError, match="'x'"):
            optional({"x": value}, "x", int)
    assert optional_count({"x": 0}, "x") == 0
    assert optional_count({}, "x", least=1) is None
    with pytest.raises(ManifestError, match="'x' must be 1 or more, but is 0"):
        optional_count({"x": 0}, "x", least=1)
    assert required_list({"x": [1, 2.5]}, "x", float) == [1.0, 2.5]
    for item, kind in ((True, int), (float("nan"), float), (True, float), (HUGE, int), (None, str), (1, str)):
        with pytest.raises(ManifestError, match=r"x\[1\]"):
            required_list({"x": [kind(), item]}, "x", kind)


EVIDENCE = {
    "artifact": "a",
    "class": "exact",
    "agreement": {"max_abs": 0, "max_rel": 0, "cosine_mean": 1, "cosine_min": 1},
    "tolerance": {"max_rel": 1, "cosine_mean": 1, "cosine_min": 1},
    "versions": {},
    "machine": "m",
    "rows": [{"call": 0, "row": 0, "max_abs": 0, "cosine_min": 1}],
}
BATCH = {"rows": 1, "inherent": False, "max_rel": 0, "cosine_min": 1, "limits": {"max_rel": 1, "cosine_min": 1}}
PROFILE = {
    "version": 6,
    "digest": "d",
    "machine": "m",
    "threads": 1,
    "device": "default",
    "versions": {},
    "created_at": "",
    "cells": {"a": [[1, 1, 0.5, 1, 1]]},
    "placements": {},
    "classes": {},
    "rounds": {"a": 1},
}


def changed(data: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**data, **changes}


WRONG: dict[str, Callable[[], Any]] = {
    "a size below 0": lambda: FileEntry.from_json({"path": "a", "size": -1, "sha256": "0" * 64}),
    "a size of 0.5": lambda: FileEntry.from_json({"path": "a", "size": 0.5, "sha256": "0" * 64}),
    "a negative row": lambda: ArtifactEvidence.from_json(
        changed(EVIDENCE, rows=[{"call": 0, "row": -1, "max_abs": 0, "cosine_min": 1}])
    ),
    "a cosine of 2": lambda: ArtifactEvidence.from_json(
        changed(EVIDENCE, agreement={"max_abs": 0, "max_rel": 0, "cosine_mean": 2, "cosine_min": 1})
    ),
    "a negative difference": lambda: ArtifactEvidence.from_json(
        changed(EVIDENCE, agreement={"max_abs": -1, "max_rel": 0, "cosine_mean": 1, "cosine_min": 1})
    ),
    "versions that are numbers": lambda: ArtifactEvidence.from_json(changed(EVIDENCE, versions={"a": 1})),
    "rows below 0": lambda: BatchInvariance.from_json(changed(BATCH, rows=-1)),
    "rows that are true": lambda: BatchInvariance.from_json(changed(BATCH, rows=True)),
    "inputs below 0": lambda: InputProof.from_json({"status": "proven", "source": "text", "inputs": -3}),
    "a dim of 10**99": lambda: Signature.from_json(
        {"inputs": [{"name": "x", "dtype": "f32", "dims": [HUGE]}], "outputs": []}
    ),
    "dims as text": lambda: Signature.from_json(
        {"inputs": [{"name": "x", "dtype": "f32", "dims": "ab"}], "outputs": []}
    ),
    "a thousand dims": lambda: Signature.from_json(
        {"inputs": [{"name": "x", "dtype": "f32", "dims": ["a"] * 1000}], "outputs": []}
    ),
    "an index bound of 10**99": lambda: Signature.from_json(
        {"inputs": [{"name": "x", "dtype": "i64", "dims": [], "upper_bound": HUGE}], "outputs": []}
    ),
    "a limit of 10**99": lambda: Signature.from_json({"inputs": [], "outputs": [], "limits": {"seq": HUGE}}),
    "a name with a line break": lambda: Signature.from_json(
        {"inputs": [{"name": "x\ninferox: fine", "dtype": "f32", "dims": []}], "outputs": []}
    ),
    "rows of a cell as text": lambda: Profile.from_json(changed(PROFILE, cells={"a": [["1", 1, 0.5, 1, 1]]})),
    "rows of a cell that are true": lambda: Profile.from_json(changed(PROFILE, cells={"a": [[True, 1, 0.5, 1, 1]]})),
    "rows of a cell with a fraction": lambda: Profile.from_json(changed(PROFILE, cells={"a": [[1.5, 1, 0.5, 1, 1]]})),
    "seconds of 0": lambda: Profile.from_json(changed(PROFILE, cells={"a": [[1, 1, 0, 1, 1]]})),
    "cells as a number": lambda: Profile.from_json(changed(PROFILE, cells={"a": 3})),
    "negative threads": lambda: Profile.from_json(changed(PROFILE, threads=-1)),
    "versions of numbers": lambda: Profile.from_json(changed(PROFILE, versions={"a": 1})),
    "negative rounds": lambda: Profile.from_json(changed(PROFILE, rounds={"a": -1})),
}


@pytest.mark.parametrize("read", WRONG.values(), ids=WRONG)
def test_what_is_out_of_range_is_refused(read: Callable[[], Any]) -> None:
    with pytest.raises(ManifestError) as caught:
        read()
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("name", ["hidden_size", "num_layers", "vocab_size", "num_parameters"])
@pytest.mark.parametrize("value", [-1, True, HUGE, 0.5, "1"])
def test_sizes_of_a_model(tmp_path: Any, name: str, value: Any) -> None:
    with pytest.raises(ManifestError, match=name):
        ModelInfo.from_json({**make_info(tmp_path).to_json(), name: value}, tmp_path)


def test_the_good_ones_are_read() -> None:
    assert ArtifactEvidence.from_json(changed(EVIDENCE, batch=BATCH)).rows[0].call == 0
    assert Profile.from_json(PROFILE).cells["a"][0].rows == 1


def write_proof(root: Any) -> dict[str, Any]:
    tokens = {"input_ids": np.array([1, 2], np.int32)}
    save_proof([ProofCase(ProofInput("a text"), tokens, np.ones(3, np.float32))], root)
    return {"0.tokens.input_ids": tokens["input_ids"], "0.answer": np.ones(3, np.float32)}


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize("name", ["0.answer", "0.tokens.input_ids"])
def test_a_proof_in_a_type_that_numpy_lacks(tmp_path: Any, dtype: str, name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    arrays = write_proof(tmp_path)
    assert load_proof(tmp_path) is not None
    save_file({**arrays, name: np.ones(3, getattr(ml_dtypes, dtype))}, tmp_path / "proof.safetensors")
    with pytest.raises(IntegrityError, match=r"proof\.safetensors"):
        load_proof(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_proof_whose_answer_is_not_finite(tmp_path: Any, value: float, dtype: Any) -> None:
    arrays = write_proof(tmp_path)
    save_file({**arrays, "0.answer": np.full(3, value, dtype)}, tmp_path / "proof.safetensors")
    with pytest.raises(InferoxError, match=r"0\.answer"):
        load_proof(tmp_path)
