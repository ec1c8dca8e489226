"""The measurement of a package on a machine, and the profile made of it."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from itertools import count, pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pytest

import inferox
from inferox.batching import MAX_TOKENS
from inferox.core import (
    SEQUENCE,
    Batch,
    ConfigError,
    DataType,
    DeviceId,
    ExecutionError,
    IntegrityError,
    NoUsableBackendError,
    Outputs,
    Signature,
    Tensor,
    TensorLike,
    TensorSpec,
)
from inferox.core import model as core_model
from inferox.loading import explain
from inferox.loading.conditions import machine_name
from inferox.loading.profile import Placement, Profile
from inferox.loading.profile_store import FoundProfile, find_profile
from inferox.measuring import Ending, Tuning, tune
from inferox.package import Store, open_package
from inferox.parity import ParityClass, SampleBatch, Samples
from inferox.parity.samples import SAMPLES_FILE
from tests.loading.backends import EchoBackend, EchoModel, make_artifact, make_package, use
from tests.packing.test_kinds import TEXTS


@pytest.fixture(scope="module")
def package(classifier_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of two runtimes as a folder, which each test's own store need not unpack."""
    return shutil.copytree(open_package(classifier_package).root, tmp_path_factory.mktemp("tuned") / "package")


def read_scores(model: inferox.TaskModel) -> list[list[float]]:
    return [[label.score for label in labels] for labels in model.classify(TEXTS)]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("INFEROX_STORE", str(tmp_path / "store"))
    monkeypatch.setattr("inferox.measuring.tuning._TURN_S", 0.0)  # the times themselves do not matter
    return Store()


@pytest.fixture(scope="module")
def measured(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuning:
    """A measurement with one thread, made once for all tests that begin with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INFEROX_STORE", str(tmp_path_factory.mktemp("measured")))
        patch.setattr("inferox.measuring.tuning._TURN_S", 0.0)
        return tune(package, threads=1)


@pytest.fixture
def distinct_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each call take longer than all before it, so that no two measurements are equal by chance."""
    reads = count()
    monkeypatch.setattr("inferox.measuring.timing.perf_counter", lambda: next(reads) ** 2)


@pytest.fixture
def tuned(measured: Tuning, store: Store) -> Tuning:  # noqa: ARG001 - it sets where a test's own store lies
    """The same, as if it had been measured in the test."""
    own = Path(os.environ["INFEROX_STORE"])
    profiles = next(parent for parent in measured.path.parents if parent.name == "profiles")
    shutil.copytree(profiles, own / "profiles")
    return replace(measured, path=own / measured.path.relative_to(profiles.parent))


def test_every_artifact_is_measured_and_the_profile_kept(package: Path, store: Store) -> None:
    told: list[tuple[int, int]] = []
    found = tune(package, threads=1, progress=lambda _what, done, of: told.append((done, of)))
    assert found.not_run == {}
    artifacts = {artifact.name for artifact in open_package(package).artifacts}
    assert set(found.profile.cells) == artifacts
    shapes = {(cell.rows, cell.length) for cell in next(iter(found.profile.cells.values()))}
    assert {(1, 8), (64, 8), (1, 40)} <= shapes  # 40 is the model's limit
    assert all(rows * length <= MAX_TOKENS for rows, length in shapes)
    assert told[-1][0] == told[-1][1] - 1
    kept = find_profile(found.profile.digest, store, 1).profile
    assert kept == found.profile
    assert (kept.machine, kept.threads, kept.device) == (machine_name(), 1, "default")
    assert kept.placements == dict.fromkeys(artifacts, Placement("cpu", is_default=True))
    assert find_profile(found.profile.digest, store, 1, DeviceId.cpu()).profile == replace(kept, device="cpu")
    assert kept.versions == {name: version(name) for name in ("onnxruntime", "openvino")}


@pytest.mark.usefixtures("distinct_times")
def test_what_was_not_measured_this_time_is_kept(package: Path, tuned: Tuning) -> None:
    after = tune(package, "openvino", threads=1)
    assert set(after.not_run) == {name for name in tuned.profile.cells if name.startswith("onnxruntime")}
    assert set(after.profile.cells) == set(tuned.profile.cells)
    assert after.profile.versions == tuned.profile.versions
    for name, cells in tuned.profile.cells.items():
        assert (after.profile.cells[name] == cells) is name.startswith("onnxruntime")


def test_what_no_longer_holds_is_not_kept(package: Path, tuned: Tuning) -> None:
    data = tuned.profile.to_json()
    data["versions"]["onnxruntime"] = "0.1"
    tuned.path.write_text(json.dumps(data))
    found = explain(package, threads=1).found
    assert str(found.ignored).startswith("it was measured with onnxruntime 0.1, and now ")
    assert found.profile is not None
    assert {name.partition("/")[0] for name in found.profile.cells} == {"openvino"}
    assert set(tune(package, "openvino", threads=1).profile.cells) == set(found.profile.cells)


def test_each_thread_budget_has_its_own_measurements(package: Path) -> None:
    two, one = tune(package, threads=2), tune(package, threads=1)
    assert explain(package, threads=2).found == FoundProfile(two.profile)
    assert explain(package, threads=1).found == FoundProfile(one.profile)
    found = explain(package, threads=3)
    assert found.found == FoundProfile(None, "it was measured with 2 threads")  # the nearest
    assert "nothing was measured" in found.verdicts[0].reason


def test_the_profile_decides_what_is_loaded(package: Path, tuned: Tuning) -> None:
    slow, fast = "openvino/onnx/fp32/packed", "onnxruntime/onnx/fp32/padded"
    data = tuned.profile.to_json()
    data["cells"] = {
        name: [[rows, length, 0.001 if name == fast else 1.0, *work] for rows, length, _, *work in cells]
        for name, cells in data["cells"].items()
    }
    tuned.path.write_text(json.dumps(data))
    with inferox.load(package, threads=1) as model:
        assert (model.metadata.backend, model.metadata.layout.value) == ("onnxruntime", "padded")
        assert "slower" in model.metadata.rejected[slow]
        expected = read_scores(model)
    with inferox.load(package, backend="openvino", threads=1) as model:
        assert model.metadata.backend == "openvino"
        np.testing.assert_allclose(read_scores(model), expected, atol=1e-5)
    with inferox.load(package, threads=2) as model:
        assert model.metadata.backend == "openvino"  # nothing was measured with other threads


def interrupt_at(step: int) -> Callable[[str, int, int], None]:
    def interrupt(what: str, done: int, _of: int) -> None:
        if done == step and not what.startswith("loading"):
            raise KeyboardInterrupt

    return interrupt


def test_an_interruption_before_the_first_figure_changes_nothing(package: Path, tuned: Tuning) -> None:
    content = tuned.path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        tune(package, threads=1, progress=interrupt_at(0))
    assert tuned.path.read_bytes() == content
    assert [path.name for path in tuned.path.parent.iterdir()] == [tuned.path.name]


@pytest.mark.usefixtures("distinct_times")
def test_an_interruption_keeps_what_was_measured(package: Path, store: Store) -> None:
    found = tune(package, threads=1, progress=interrupt_at(3))
    assert (found.ending, found.rounds) == (Ending.INTERRUPTED, 0)
    assert {len(cells) for cells in found.profile.cells.values()} == {3}
    assert find_profile(found.profile.digest, store, 1).profile == found.profile

    later = tune(package, threads=1, progress=interrupt_at(2))  # as many rounds, and newer
    for name, cells in found.profile.cells.items():
        new = later.profile.cells[name]
        assert {(cell.rows, cell.length) for cell in new} == {(cell.rows, cell.length) for cell in cells}
        assert [cell for cell in cells if cell in new] == [cells[2]]
    assert find_profile(found.profile.digest, store, 1).profile == later.profile


@pytest.mark.usefixtures("distinct_times")
@pytest.mark.parametrize("rounds", [0, 1, 4])
def test_a_run_that_was_ended_early_does_not_replace_more_rounds(package: Path, tuned: Tuning, rounds: int) -> None:
    content, artifacts = tuned.path.read_bytes(), set(tuned.profile.cells)
    assert (tuned.rounds, tuned.kept, tuned.is_stored) == (5, {}, True)
    assert tuned.profile.rounds == dict.fromkeys(artifacts, 5)
    shapes = len(next(iter(tuned.profile.cells.values())))
    found = tune(package, threads=1, progress=interrupt_at(rounds * shapes + 1))
    assert (found.ending, found.rounds, found.path) == (Ending.INTERRUPTED, rounds, tuned.path)
    assert (found.kept, found.is_stored) == (dict.fromkeys(artifacts, 5), False)
    assert found.profile.rounds == dict.fromkeys(artifacts, rounds)
    assert all(found.profile.cells[name][0] != cells[0] for name, cells in tuned.profile.cells.items())
    assert tuned.path.read_bytes() == content


@pytest.mark.usefixtures("distinct_times")
def test_a_run_that_was_ended_early_replaces_what_rests_on_no_more_rounds(
    package: Path, tuned: Tuning, store: Store
) -> None:
    data = tuned.profile.to_json()
    data["rounds"] = {name: 1 if name.startswith("openvino") else 5 for name in data["rounds"]}
    tuned.path.write_text(json.dumps(data))
    shapes = len(next(iter(tuned.profile.cells.values())))
    found = tune(package, threads=1, progress=interrupt_at(2 * shapes))
    better = {name for name in data["rounds"] if name.startswith("onnxruntime")}
    assert (found.kept, found.is_stored) == (dict.fromkeys(better, 5), True)
    now = find_profile(found.profile.digest, store, 1).profile
    assert now is not None
    assert now.rounds == {name: 5 if name in better else 2 for name in data["rounds"]}
    for name, cells in now.cells.items():
        assert cells == (tuned if name in better else found).profile.cells[name]
        assert (cells == found.profile.cells[name]) is (name not in better)
    assert now.placements == tuned.profile.placements


def test_a_complete_run_replaces_any_number_of_rounds(package: Path, tuned: Tuning) -> None:
    data = tuned.profile.to_json()
    tuned.path.write_text(json.dumps({**data, "rounds": dict.fromkeys(data["rounds"], 9)}))
    found = tune(package, threads=1)
    assert (found.kept, found.is_stored) == ({}, True)
    assert explain(package, threads=1).found == FoundProfile(found.profile)


def test_what_no_longer_holds_is_replaced_by_fewer_rounds(package: Path, tuned: Tuning) -> None:
    data = tuned.profile.to_json()
    data["versions"]["openvino"] = "0.1"
    tuned.path.write_text(json.dumps(data))
    found = tune(package, "openvino", threads=1, progress=interrupt_at(1))
    assert (found.rounds, found.kept, found.is_stored) == (0, {}, True)
    assert explain(package, threads=1).found == FoundProfile(found.profile)


def test_time_enough_and_a_time_that_is_none(package: Path) -> None:
    found = tune(package, threads=1, seconds=3600)
    assert (found.ending, found.unreached) == (Ending.COMPLETE, ())
    with pytest.raises(ConfigError, match="positive number"):
        tune(package, threads=1, seconds=0)


def test_a_shape_that_would_take_too_long_does_not_begin(tune_texts: Callable[..., Tuning], take: Take) -> None:
    take(lambda _: 1.0)
    # A turn is two calls: a shape takes 4 s for two artifacts, and four times the rows are expected to take 16.
    found = tune_texts({}, {}, seconds=25)
    assert (found.ending, found.rounds) == (Ending.OUT_OF_TIME, 0)
    assert [len(cells) for cells in found.profile.cells.values()] == [3, 3]


def test_not_even_time_for_the_smallest_batch(tune_texts: Callable[..., Tuning], take: Take) -> None:
    take(lambda _: 1.0)
    found = tune_texts({}, {}, seconds=0.5)
    assert [len(cells) for cells in found.profile.cells.values()] == [1, 1]


def test_what_cannot_be_loaded_in_its_share_of_the_time_is_left_out(
    echo: EchoBackend, tune_texts: Callable[..., Tuning], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each look at the clock finds it 4 seconds later: one to begin, and one for each that would be loaded.
    now = count(0, 4)
    monkeypatch.setattr("inferox.measuring.time_budget.monotonic", lambda: next(now))
    found = tune_texts({}, {}, {}, seconds=5.5)
    assert len(echo.models) == 1
    assert set(found.profile.cells) == {"echo/0-onnx/fp32/padded"}
    assert "allow more seconds" in found.not_run["echo/2-onnx/fp32/padded"]


def test_what_would_not_be_loaded_in_time_is_not_begun(
    echo: EchoBackend, tune_texts: Callable[..., Tuning], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = count(0, 40)  # so that the first takes 40 s, and the second is expected to
    monkeypatch.setattr("inferox.measuring.tuning_models.perf_counter", lambda: next(now))
    found = tune_texts({}, {}, seconds=50)
    assert len(echo.models) == 1
    assert "loading it would take about 40 of the 50 s" in found.not_run["echo/1-onnx/fp32/padded"]


@pytest.mark.usefixtures("tuned")
def test_a_profile_of_another_machine_is_ignored_and_said_to_be(
    package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("inferox.loading.profile_store.machine_name", lambda: "another machine")
    found = explain(package, threads=1)
    assert found.found.profile is None
    assert found.found.ignored is not None
    assert "another machine" in found.found.ignored
    with inferox.load(package, threads=1):
        pass
    assert any("are ignored" in record.message for record in caplog.records)


def test_a_model_without_lengths(image_package: Path) -> None:
    found = tune(image_package)
    assert {cell.length for cells in found.profile.cells.values() for cell in cells} == {1}


def test_damaged_samples_are_not_the_fault_of_an_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(EchoBackend("echo"), monkeypatch)
    (tmp_path / SAMPLES_FILE).write_bytes(b"damaged")
    package = make_package(make_artifact("echo"), root=tmp_path)
    monkeypatch.setattr("inferox.measuring.tuning.open_package", lambda *_, **__: package)
    with pytest.raises(IntegrityError):
        tune(tmp_path, threads=1)


def test_nothing_that_could_be_measured(package: Path) -> None:
    with pytest.raises(NoUsableBackendError, match="candle was requested"):
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
    assert all("candle was requested" in verdict.reason for verdict in nothing.verdicts)


def test_an_artifact_that_computes_something_else_here_is_rejected(
    package: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from inferox.backends.openvino.model import OpenVinoModel

    compute = OpenVinoModel._compute

    def wrong(self: OpenVinoModel, inputs: object) -> dict[str, object]:
        return {name: -array for name, array in compute(self, inputs).items()}  # type: ignore[arg-type]

    monkeypatch.setattr(OpenVinoModel, "_compute", wrong)
    with inferox.load(package) as model:
        assert model.metadata.backend == "onnxruntime"
        assert "computes something else here" in model.metadata.rejected["openvino/onnx/fp32/packed"]
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


def test_a_profile_is_of_one_digest(tuned: Tuning, store: Store) -> None:
    assert isinstance(tuned.profile, Profile)
    assert find_profile("0" * 64, store, 1).profile is None


def test_the_layout_is_timed_too(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each batch is laid out and split as when texts are computed, which takes a second each here."""
    late = [0.0]
    for name in ("pad_batch", "pack_batch", "Outputs"):
        function = getattr(core_model, name)

        def delay(*arguments: Any, function: Callable[..., Any] = function) -> Any:
            late[0] += 1.0
            return function(*arguments)

        monkeypatch.setattr(core_model, name, delay)
    monkeypatch.setattr("inferox.measuring.timing.perf_counter", lambda: perf_counter() + late[0])
    cells = tune(package, threads=1).profile.cells
    assert len(cells) == 4
    assert all(cell.seconds > 2 and cell.seconds % 2 < 1 for each in cells.values() for cell in each)


IDS, MASK = (TensorSpec(name, DataType.I64, ("batch", "seq")) for name in ("input_ids", "attention_mask"))
TEXT = Signature((IDS, MASK), (IDS,))


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> EchoBackend:
    """A backend that replaces all others."""
    backend = EchoBackend("echo")
    use(backend, monkeypatch)
    return backend


@pytest.fixture
def tune_texts(echo: EchoBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tuning]:
    """Tunes a raw text model with artifacts of the given options, and samples of 3 and 48 tokens."""
    _ = echo

    def batch(length: int) -> SampleBatch:
        ids = np.arange(2 * length).reshape(2, length)
        mask = (np.arange(length) < np.array([[length], [length // 2]])).astype(np.int64)
        return SampleBatch({"input_ids": ids, "attention_mask": mask}, {"input_ids": ids})

    def call(
        *options: dict[str, Any],
        config: dict[str, Any] | None = None,
        limits: dict[str, int] | None = None,
        **arguments: Any,
    ) -> Tuning:
        Samples((batch(3), batch(48))).save(tmp_path / SAMPLES_FILE)
        signature = replace(TEXT, limits=limits or {})
        artifacts = [
            make_artifact("echo", f"{index}-onnx", signature=signature, **each) for index, each in enumerate(options)
        ]
        context = replace(make_package(*artifacts, root=tmp_path, signature=signature), config=config or {})
        monkeypatch.setattr("inferox.measuring.tuning.open_package", lambda *_, **__: context)
        return tune("anywhere", trust_code=True, **arguments)

    return call


def shapes_of(tuning: Tuning) -> list[list[tuple[int, int]]]:
    return [[(cell.rows, cell.length) for cell in cells] for _, cells in sorted(tuning.profile.cells.items())]


def test_rows_are_as_long_as_the_model_takes_them(tune_texts: Callable[..., Tuning]) -> None:
    (shapes,) = shapes_of(tune_texts({}, config={"model_type": "bert", "max_position_embeddings": 40}))
    assert {length for _, length in shapes} == {8, 32, 40}
    (shapes,) = shapes_of(tune_texts({}, config={"model_type": "roberta", "max_position_embeddings": 40}))
    assert {length for _, length in shapes} == {8, 32, 38}
    (shapes,) = shapes_of(tune_texts({}, limits={SEQUENCE: 36}))
    assert {length for _, length in shapes} == {8, 32, 36}
    (shapes,) = shapes_of(tune_texts({}))  # nothing says so: as long as the longest sample
    assert {length for _, length in shapes} == {8, 32, 48}


def test_a_shape_that_one_fails_at_is_left_out(echo: EchoBackend, tune_texts: Callable[..., Tuning]) -> None:
    found = tune_texts({"takes": 32}, {})
    short, whole = shapes_of(found)
    assert short == [shape for shape in whole if shape[1] <= 32]
    assert {length for _, length in whole} == {8, 32, 48}
    assert found.not_run == {"echo/0-onnx/fp32/padded": "1 row of 48: index out of range"}
    longer = [call["input_ids"].shape for call in echo.models[0].calls if call["input_ids"].shape[1] > 32]
    assert longer == [(1, 48)]  # and no longer one was tried


def test_where_nothing_is_measured_nothing_is_kept(tune_texts: Callable[..., Tuning]) -> None:
    before = tune_texts({}, threads=1)
    content = before.path.read_bytes()
    with pytest.raises(NoUsableBackendError, match="1 row of 8: index out of range"):
        tune_texts({"takes": 4}, threads=1)
    assert before.path.read_bytes() == content


def test_what_can_no_longer_be_measured_is_not_kept(tune_texts: Callable[..., Tuning]) -> None:
    assert len(tune_texts({}, {}).profile.cells) == 2
    found = tune_texts({"takes": 4}, {})
    assert set(found.profile.cells) == {"echo/1-onnx/fp32/padded"}


def test_raw_calls_are_computed_as_they_are(echo: EchoBackend, tune_texts: Callable[..., Tuning]) -> None:
    found = tune_texts({})
    assert {call["input_ids"].shape for call in echo.models[0].calls} == set(shapes_of(found)[0])
    for call in echo.models[0].calls:
        rows, length = call["attention_mask"].shape
        lengths = call["attention_mask"].sum(1)
        assert lengths[0] == length
        assert rows == 1 or lengths[-1] == -(-length // 8)


def test_every_artifact_has_the_same_thread_budget(
    echo: EchoBackend, tune_texts: Callable[..., Tuning], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAYON_NUM_THREADS", "7")
    tune_texts({}, {}, {}, threads=3)
    assert [model.options.threads for model in echo.models] == [3, 3, 3]
    assert os.environ["RAYON_NUM_THREADS"] == "3"


@pytest.fixture
def take(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[EchoModel], float]], None]:
    """Sets the seconds that each call takes, on a clock that nothing else advances."""
    monkeypatch.setattr("inferox.measuring.tuning._TURN_S", 0.02)

    def set_seconds(seconds: Callable[[EchoModel], float]) -> None:
        now = [0.0]
        compute = EchoModel._compute

        def wait(self: EchoModel, inputs: Mapping[str, TensorLike]) -> dict[str, Tensor]:
            now[0] += seconds(self)
            return compute(self, inputs)

        monkeypatch.setattr(EchoModel, "_compute", wait)
        for clock in ("timing.perf_counter", "tuning.perf_counter", "time_budget.monotonic"):
            monkeypatch.setattr(f"inferox.measuring.{clock}", lambda: now[0])

    return set_seconds


Take = Callable[[Callable[[EchoModel], float]], None]


def seconds_of(tuning: Tuning) -> set[float]:
    return {cell.seconds for cells in tuning.profile.cells.values() for cell in cells}


@pytest.mark.parametrize(("seconds", "calls"), [(2**-10, 42), (2**-6, 4), (1.0, 2)])
def test_short_calls_are_repeated(
    echo: EchoBackend, tune_texts: Callable[..., Tuning], take: Take, seconds: float, calls: int
) -> None:
    take(lambda _: seconds)
    found = tune_texts({})
    made = Counter(call["input_ids"].shape for call in echo.models[0].calls)
    (shapes,) = shapes_of(found)
    assert made == dict.fromkeys(shapes, 5 * calls)


def test_a_call_that_takes_much_longer_does_not_count(tune_texts: Callable[..., Tuning], take: Take) -> None:
    take(lambda model: 1.0 if len(model.calls) % 50 == 49 else 2**-10)
    found = tune_texts({})
    assert seconds_of(found) == {2**-10}
    assert found.noise == {"echo/0-onnx/fp32/padded": 0.0}


def test_times_that_vary_are_noise(tune_texts: Callable[..., Tuning], take: Take) -> None:
    take(lambda model: 2**-8 if len(model.calls) % 2 else 2**-9)
    assert tune_texts({}).noise["echo/0-onnx/fp32/padded"] > 0.5


def test_what_the_one_before_left_running_is_waited_for(tune_texts: Callable[..., Tuning], take: Take) -> None:
    """A runtime's threads spin for a while after a call, which slows down whatever computes then."""
    last: list[object] = [None, 0.0]

    def seconds(model: EchoModel) -> float:
        left = last[1] if last[0] is model else 0.015
        assert isinstance(left, float)
        taken = 3 * 2**-10 if left > 0 else 2**-10
        last[:] = [model, left - taken]
        return taken

    take(seconds)
    assert seconds_of(tune_texts({}, {})) == {2**-10}


def test_artifacts_do_not_always_follow_the_same_one(
    echo: EchoBackend, tune_texts: Callable[..., Tuning], take: Take
) -> None:
    turns: list[EchoModel] = []

    def note(model: EchoModel) -> float:
        turns.append(model)
        return 1.0

    take(note)
    tune_texts({}, {}, {}, {})
    pairs = Counter((before, after) for before, after in pairwise(turns[::2]) if before is not after)  # twice a turn
    assert max(pairs.values()) <= 2 / 3 * len(turns[::2]) / len(echo.models)


def test_batches_have_no_more_rows_than_the_task_forms(
    tune_texts: Callable[..., Tuning], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferox.tasks.RawTask.max_rows", 9)
    (shapes,) = shapes_of(tune_texts({}))
    assert {rows for rows, _ in shapes} == {1, 4, 9}


def test_rows_of_different_lengths_share_batches(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[list[int]] = []
    compute = core_model.Model.compute

    def note(self: core_model.Model, batch: Batch) -> Outputs:
        lengths.append(batch.lengths.tolist())
        return compute(self, batch)

    monkeypatch.setattr(core_model.Model, "compute", note)
    tune(package, "onnxruntime", threads=1)
    assert any(len(rows) == 16 and max(rows) > 2 * min(rows) for rows in lengths)
