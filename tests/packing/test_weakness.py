"""Evidence is called weak if its samples show little; then the artifact that computed the reference is preferred."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

import inferox
from inferox.cli.main import main
from inferox.core import DataType, ManifestError, TensorSpec
from inferox.loading.cell import Cell
from inferox.loading.plan import rank
from inferox.loading.profile import Profile
from inferox.measuring import verify
from inferox.parity import ArtifactEvidence, ParityTarget, SampleBatch, Samples
from inferox.parity.weakness import find_weakness
from tests.sources.graphs import make_affine
from tests.sources.test_onnx_traits import RUNTIMES, floats, make

F = TensorProto.FLOAT
Array = npt.NDArray[np.float32]


def weakness(*calls: tuple[Array, Array], name: str = "x") -> str | None:
    parity_target = ParityTarget.of_outputs((TensorSpec("y", DataType.F32, ("batch", 3)),))
    return find_weakness(Samples(tuple(SampleBatch({name: x}, {"y": y}) for x, y in calls)), parity_target)


def test_varied_samples_are_not_weak() -> None:
    assert weakness((floats(2, 4), floats(2, 3)), (floats(1, 4), floats(1, 3))) is None
    assert weakness((floats(1, 4), floats(1, 3))) is None


@pytest.mark.parametrize(
    ("calls", "reason"),
    [
        ([(np.zeros((2, 4)), floats(2, 3)), (np.zeros((1, 4)), floats(1, 3))], "every number of the input 'x' is 0"),
        ([(floats(2, 4), np.full((2, 3), 0.5))], "every number of the output 'y' is 0.5"),
        ([(floats(2, 4), np.tile(floats(1, 3), (2, 1)))], "the output 'y' is the same for every sample"),
        ([(floats(2, 4), np.zeros((0, 3)))], "the output 'y' has no elements"),
    ],
)
def test_what_makes_samples_weak(calls: list[tuple[Array, Array]], reason: str) -> None:
    found = weakness(*calls)
    assert found is not None
    assert found.startswith(reason)


@pytest.mark.parametrize("name", ["attention_mask", "token_type_ids", "segment_ids", "input_lengths"])
def test_masks_and_types_may_be_the_same_throughout(name: str) -> None:
    assert weakness((np.ones((2, 4), np.float32), floats(2, 3)), name=name) is None


def make_dead() -> ModelProto:
    """Makes a graph whose output is zero for any generated numbers."""
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["product"]),
        helper.make_node("Sub", ["product", "threshold"], ["upper_bound"]),
        helper.make_node("Relu", ["upper_bound"], ["y"]),
    ]
    constants = {"weight": np.abs(floats(4, 3)), "threshold": np.array([1e6], np.float32)}
    return make(nodes, {"x": (F, ["batch", 4])}, {"y": (F, ["batch", 3])}, constants)


@pytest.fixture(scope="module")
def dead(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[str, ...]]:
    folder = tmp_path_factory.mktemp("dead")
    onnx.save(make_dead(), folder / "graph.onnx")
    report = inferox.pack(folder / "graph.onnx", folder / "package", backends=RUNTIMES, precisions=("fp32",))
    assert [(item.weak is not None, item.is_reference) for item in report.evidence] == [(True, True), (True, False)]
    return folder / "package", report.notes


def test_packing_warns_of_weak_evidence(dead: tuple[Path, tuple[str, ...]]) -> None:
    (note,) = dead[1]
    assert note.startswith("the evidence for openvino/onnx/fp32/padded is weak: every number of the output 'y' is 0")


def test_its_own_runtime_comes_first_then(dead: tuple[Path, tuple[str, ...]], tmp_path: Path) -> None:
    with inferox.load(dead[0]) as model:
        assert model.metadata.backend == "onnxruntime"
    with inferox.load(dead[0], backend="openvino") as model:
        assert model.metadata.backend == "openvino"
    onnx.save(make_affine(), tmp_path / "graph.onnx")
    assert (
        inferox.pack(tmp_path / "graph.onnx", tmp_path / "package", backends=RUNTIMES, precisions=("fp32",)).notes == ()
    )
    with inferox.load(tmp_path / "package") as model:
        assert model.metadata.backend == "openvino"


def test_the_faster_one_does_not_come_first_where_its_evidence_is_weak(dead: tuple[Path, tuple[str, ...]]) -> None:
    own, other = inferox.open_package(dead[0]).artifacts
    cells = {item.name: (Cell(1, 1, seconds),) for item, seconds in ((own, 2.0), (other, 1.0))}
    profile = Profile("d", "m", 2, "default", {}, "2026", cells)
    assert rank([own, other], profile).order == (other, own)
    assert rank([own, other], profile, weak={other.name}).order == (own, other)


def test_it_is_said_wherever_evidence_is_shown(
    dead: tuple[Path, tuple[str, ...]], capsys: pytest.CaptureFixture[str]
) -> None:
    package = str(dead[0])
    for command in ("inspect", "verify"):
        with pytest.raises(SystemExit, match="0"):
            main([command, package, "--table"])
        shown = capsys.readouterr().out
        assert "(weak)" in shown
        assert "every number of the output 'y' is 0" in " ".join(shown.split())
    found = verify(package)
    assert [(item.weak is not None, item.is_reference) for item in found.evidence] == [(True, True), (True, False)]


def test_it_survives_being_written(dead: tuple[Path, tuple[str, ...]]) -> None:
    parity = inferox.open_package(dead[0]).parity
    assert parity is not None
    for item in parity.artifacts:
        assert ArtifactEvidence.from_json(json.loads(json.dumps(item.to_json()))) == item
    firm = replace(parity.artifacts[1], weak=None).to_json()
    assert not {"weak", "is_reference"} & set(firm)
    for key, wrong in (("weak", 3), ("is_reference", "yes")):
        with pytest.raises(ManifestError, match=key):
            ArtifactEvidence.from_json(firm | {key: wrong})
