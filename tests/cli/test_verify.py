"""``inferox verify`` repeats the measurements that were made when the package was made."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import inferox
from inferox.measuring import verify
from inferox.package.writer import hash_file
from inferox.parity import TOLERANCES, ParityClass, SampleBatch, Samples
from tests.cli.conftest import Run
from tests.measuring.comparison.faulty import registered, write_faulty_package
from tests.packing.modules import make_cnn
from tests.packing.test_kinds import save_text_model


@pytest.fixture(scope="module")
def package(cnn_package: Path) -> Path:
    return cnn_package


def falsify(package: Path, copy: Path, *, only: tuple[int, int] | None = None) -> Path:
    """Copies a package, and changes the outputs in its samples, in one row or in all."""
    shutil.copytree(package, copy)
    samples = inferox.open_package(package).samples()
    assert samples is not None
    wrong = []
    for call, batch in enumerate(samples.batches):
        outputs = {name: value.copy() for name, value in batch.outputs.items()}
        for value in outputs.values():
            for row in range(len(value)):
                value[row] *= -1 if only in {None, (call, row)} else 1
        wrong.append(SampleBatch(batch.inputs, outputs))
    path = copy / "samples.safetensors"
    Samples(tuple(wrong)).save(path)
    manifest = json.loads((copy / "metadata.json").read_text())
    for entry in manifest["files"]:
        if entry["path"] == path.name:
            entry.update(size=path.stat().st_size, sha256=hash_file(path))
    (copy / "metadata.json").write_text(json.dumps(manifest))
    return copy


def test_all_artifacts_that_may_run_are_measured(run: Run, package: Path) -> None:
    done = run("verify", package, "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert [(item["artifact"], item["class"]) for item in found["artifacts"]] == [
        ("onnxruntime/onnx/fp32/padded", "exact")
    ]
    assert "not allowed" in found["not_run"]["torch/torch-export/fp32/padded"]
    both = json.loads(run("verify", package, "--json", "--trust-code").out)
    assert len(both["artifacts"]) == 2
    table = run("verify", package, "--table").out
    assert "onnxruntime/onnx/fp32/padded" in table
    assert "not run: torch/torch-export/fp32/padded" in table


def test_a_miss_ends_with_3(run: Run, package: Path, tmp_path: Path) -> None:
    wrong = falsify(package, tmp_path / "wrong")
    done = run("verify", wrong, "--json")
    assert done.code == 3
    assert json.loads(done.out)["artifacts"][0]["class"] == "fail"
    assert "onnxruntime/onnx/fp32/padded misses its tolerance: max abs difference" in done.err
    assert "row 0 of sample call 0: max abs difference" in done.err
    lenient = run("verify", wrong, "--json", "--tolerance", "cosine_mean=-1,cosine_min=-1,max_rel=99")
    assert lenient.code == 0, lenient.err


def test_a_runtime_that_fails_ends_with_3(run: Run, tmp_path: Path) -> None:
    with registered(tmp_path / "site"):
        faulty = write_faulty_package(tmp_path / "p", [None, "fails"])
        done, table = run("verify", faulty, "--json"), run("verify", faulty, "--table")
        alone = run("verify", faulty, "--table", "--precision", "fp16")
    found = json.loads(done.out.splitlines()[-1])  # the runtime writes as well
    assert (done.code, table.code, alone.code) == (3, 3, 3)
    assert (found["passed"], found["not_run"]) == (False, {})
    assert found["failed"] == {"faulty/safetensors/fp16/padded": "the device is gone"}
    assert "failed: faulty/safetensors/fp16/padded: the device is gone" in table.out
    assert "inferox: faulty/safetensors/fp16/padded fails: the device is gone" in table.err


def test_what_the_time_does_not_reach_ends_with_3(run: Run, tmp_path: Path) -> None:
    with registered(tmp_path / "site"):
        package = write_faulty_package(tmp_path / "p", [None, None])
        done = run("verify", package, "--table", "--seconds", "0.000001")
    assert done.code == 3
    assert done.err.startswith(f"inferox: verifying {package}: every artifact on the stored samples, within 1e-06 s")
    assert "not reached: faulty/safetensors/fp16/padded" in done.out
    assert "inferox: faulty/safetensors/fp16/padded was not reached: allow more time with --seconds" in done.err


def test_the_one_row_that_misses_is_named(run: Run, package: Path, tmp_path: Path) -> None:
    wrong = falsify(package, tmp_path / "wrong", only=(0, 1))
    done = run("verify", wrong, "--json")
    assert done.code == 3
    (row,) = [line for line in done.err.splitlines() if line.startswith("  row ")]
    assert row.startswith("  row 1 of sample call 0: max abs difference ")
    assert "relative " in row
    assert row.endswith("cosine -1.000000")


@pytest.mark.parametrize(
    "text",
    [
        *("cosine_min", "cosine_min=x", "speed=1", "max_rel=-0.1", "max_rel=nan", "max_rel=inf"),
        *("cosine_min=-2", "cosine_mean=1.1", "order_min=1.1", "order_min=-0.1", "tie=-0.1", "tie=2"),
    ],
)
def test_a_tolerance_that_is_none(run: Run, package: Path, text: str) -> None:
    done = run("verify", package, "--tolerance", text)
    assert done.code == 2
    assert repr(text)[1:-1] in done.err


def test_what_a_tolerance_does_not_name_stays_what_was_asked_for_when_it_was_packed(run: Run, tmp_path: Path) -> None:
    inferox.pack(make_cnn, tmp_path / "p", backends=("onnxruntime",), tolerance={"cosine_min": 0.9})
    own = replace(TOLERANCES[ParityClass.CLOSE], cosine_min=0.9)
    for text, expected in (
        ("max_rel=0.4", replace(own, max_rel=0.4)),
        ("order_min=0.5,tie=0.01", replace(own, order_min=0.5, tie=0.01)),
        ("cosine_mean=-1,cosine_min=-1", replace(own, cosine_mean=-1.0, cosine_min=-1.0)),
    ):
        found = json.loads(run("verify", tmp_path / "p", "--json", "--tolerance", text).out)
        assert found["artifacts"][0]["tolerance"] == asdict(expected)


def test_nothing_that_can_run(run: Run, package: Path) -> None:
    done = run("verify", package, "--backend", "torch")
    assert done.code == 5
    assert "not allowed" in done.err


def test_in_python(package: Path) -> None:
    found = verify(package, "onnxruntime", threads=1)
    assert found.passed
    assert np.isfinite(found.evidence[0].agreement.max_abs)


def test_a_proof_takes_a_line_for_each_artifact(run: Run, minilm_directory: Path, tmp_path: Path) -> None:
    save_text_model(tmp_path / "source", minilm_directory, "bert", "Model")
    inferox.pack(tmp_path / "source", tmp_path / "package")
    lines = run("verify", tmp_path / "package", "--table").out.splitlines()
    assert any(line.startswith("proven from text: matches ") for line in lines)
    assert sum("gives the answers of sentence-transformers from text again: within" in line for line in lines) == 2
