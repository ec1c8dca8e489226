"""Measuring a package on a machine, and what is made of that."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import inferox
from inferox.core import ExecutionError, Model, NoUsableBackendError
from inferox.engine import explain, tune
from inferox.engine.profile import Profile, find_profile, machine_name
from inferox.package import ParityClass, Store, open_package
from tests.build.modules import make_cnn
from tests.build.test_kinds import TEXTS, save_text_model


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, minilm_directory: Path) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    save_text_model(folder / "source", minilm_directory, "bert", "Model")
    inferox.pack(folder / "source", folder / "bert", backends=("onnxruntime", "openvino"))
    return folder / "bert"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "store"))
    return Store()


def test_every_artifact_is_measured_and_the_profile_kept(package: Path, store: Store) -> None:
    told: list[tuple[int, int]] = []
    found = tune(package, threads=1, progress=lambda _what, done, of: told.append((done, of)))
    assert found.not_run == {}
    artifacts = {artifact.name for artifact in open_package(package).artifacts}
    assert set(found.profile.cells) == artifacts
    shapes = {(cell.rows, cell.length) for cell in next(iter(found.profile.cells.values()))}
    assert {(1, 8), (64, 8), (1, 40)} <= shapes  # 40 is the model's limit
    assert all(rows * length <= 4096 for rows, length in shapes)
    assert told[-1][0] == told[-1][1] - 1
    kept = find_profile(found.profile.digest, store).profile
    assert kept == found.profile
    assert (kept.machine, kept.threads) == (machine_name(), 1)


def test_the_profile_decides_what_is_loaded(package: Path) -> None:
    tuned = tune(package, threads=1)
    slow, fast = "openvino/onnx/fp32/packed", "onnxruntime/onnx/fp32/padded"
    data = tuned.profile.to_json()
    data["cells"] = {
        name: [[rows, length, 0.001 if name == fast else 1.0] for rows, length, _ in cells]
        for name, cells in data["cells"].items()
    }
    tuned.path.write_text(json.dumps(data))
    with inferox.load(package, threads=1) as model:
        assert (model.metadata.backend, model.metadata.layout.value) == ("onnxruntime", "padded")
        assert "slower" in model.metadata.passed_over[slow]
        expected = model.embed(TEXTS)
    with inferox.load(package, backend="openvino", threads=1) as model:
        assert model.metadata.backend == "openvino"
        np.testing.assert_allclose(model.embed(TEXTS), expected, atol=1e-5)
    with inferox.load(package, threads=2) as model:
        assert model.metadata.backend == "openvino"  # with other threads nothing was measured


def test_small_batches_go_to_one_and_large_ones_to_another(package: Path) -> None:
    tuned = tune(package, threads=1)
    small, large = "onnxruntime/onnx/fp32/padded", "openvino/onnx/fp32/packed"
    data = tuned.profile.to_json()
    data["cells"] = {
        small: [[1, 8, 0.001], [64, 8, 1.0], [1, 40, 0.001], [64, 40, 1.0]],
        large: [[1, 8, 0.01], [64, 8, 0.1], [1, 40, 0.01], [64, 40, 0.1]],
    }
    tuned.path.write_text(json.dumps(data))
    with inferox.load(package, threads=1) as model:
        assert model.for_batch(1, 8).metadata.backend == "onnxruntime"
        assert model.for_batch(64, 40).metadata.backend == "openvino"
        alone = model.embed(TEXTS[:1])
        many = model.embed(TEXTS * 30)
        np.testing.assert_allclose(many[:1], alone, atol=1e-5)
    verdicts = {verdict.artifact: verdict for verdict in explain(package, threads=1).verdicts}
    assert verdicts[small].taken
    assert verdicts[large].taken
    assert "2 of 4 shapes" in verdicts[small].reason


def test_an_interrupted_run_changes_nothing(package: Path) -> None:
    before = tune(package, threads=1)
    content = before.path.read_bytes()

    def interrupt(_what: str, done: int, _of: int) -> None:
        if done > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(package, threads=1, progress=interrupt)
    assert before.path.read_bytes() == content
    assert [path.name for path in before.path.parent.iterdir()] == [before.path.name]


def test_a_profile_of_another_machine_is_ignored_and_said_to_be(
    package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tune(package, threads=1)
    monkeypatch.setattr("inferox.engine.profile.machine_name", lambda: "another machine")
    found = explain(package, threads=1)
    assert found.found.profile is None
    assert found.found.ignored is not None
    assert "another machine" in found.found.ignored
    with inferox.load(package, threads=1):
        pass
    assert any("is ignored" in record.message for record in caplog.records)


def test_a_model_without_lengths(tmp_path: Path) -> None:
    inferox.pack(make_cnn, tmp_path / "cnn", backends=("onnxruntime", "openvino"))
    found = tune(tmp_path / "cnn")
    assert {cell.length for cells in found.profile.cells.values() for cell in cells} == {1}


def test_nothing_that_could_be_measured(package: Path) -> None:
    with pytest.raises(NoUsableBackendError, match="candle was asked for"):
        tune(package, "candle")


def test_every_verdict_has_its_reason(package: Path) -> None:
    found = explain(package)
    assert found.found.profile is None
    taken = [verdict for verdict in found.verdicts if verdict.taken]
    assert [verdict.artifact for verdict in taken] == ["openvino/onnx/fp32/packed"]
    assert all(verdict.reason for verdict in found.verdicts)
    assert {verdict.parity_class for verdict in found.verdicts} == {ParityClass.EXACT}
    nothing = explain(package, "candle")
    assert not any(verdict.taken for verdict in nothing.verdicts)
    assert all("candle was asked for" in verdict.reason for verdict in nothing.verdicts)


def test_an_artifact_that_computes_something_else_here_is_passed_over(
    package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from inferox.backends.openvino.model import OpenVinoModel

    compute = OpenVinoModel._compute

    def wrong(self: OpenVinoModel, inputs: object) -> dict[str, object]:
        return {
            name: type(tensor)(-tensor.numpy(), "openvino")  # type: ignore[call-arg]
            for name, tensor in compute(self, inputs).items()  # type: ignore[arg-type]
        }

    monkeypatch.setattr(OpenVinoModel, "_compute", wrong)
    with inferox.load(package) as model:
        assert model.metadata.backend == "onnxruntime"
        assert "computes something else here" in model.metadata.passed_over["openvino/onnx/fp32/packed"]
    assert any("openvino/onnx/fp32/padded" in record.message for record in caplog.records)
    with pytest.raises(NoUsableBackendError, match="something else") as caught:
        inferox.load(package, backend="openvino")
    assert isinstance(caught.value.__cause__, ExecutionError)
    assert set(caught.value.reasons) == {artifact.name for artifact in open_package(package).artifacts}


def test_a_request_never_causes_a_fallback(package: Path) -> None:
    with inferox.load(package) as model:
        before = model.metadata
        with pytest.raises(inferox.InferoxError):
            model.forward({"input_ids": np.zeros((1, 2), np.float32)})
        assert model.metadata == before
        assert isinstance(model.for_batch(1, 1), Model)


def test_a_profile_is_of_one_digest(package: Path, store: Store) -> None:
    tuned = tune(package, threads=1)
    assert isinstance(tuned.profile, Profile)
    assert find_profile("0" * 64, store).profile is None
