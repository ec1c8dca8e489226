"""Shadows and canaries of real packages, in this process and in worker processes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from inferox import Engine, EngineConfig
from inferox.core import ConfigError, ShuttingDownError
from inferox.engine import Canary, Shadow, TrialStats
from tests.engine.workers.test_workers import wait_until

TEXTS = ["A man is eating food.", "Shares dropped on Wall Street."]


def trial_of(engine: Engine, kind: str, name: str = "model") -> TrialStats:
    """Returns the statistics of a shadow or a canary."""
    return next(trial for trial in engine.stats(name).trials if trial.info.kind == kind)


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_a_shadow_and_a_canary_are_compared_with_what_serves(bert_package: Path, isolation: str) -> None:
    shadow, canary = Shadow(backend="onnxruntime", share=0.5), Canary(backend="onnxruntime", share=0.25)
    with Engine(EngineConfig(isolation=isolation, threads=1)) as engine:  # type: ignore[arg-type]
        info = engine.load(bert_package, name="model", backend="openvino", shadow=shadow, canary=canary)
        assert [(trial.kind, trial.share, trial.rolled_back) for trial in info.trials] == [
            ("shadow", 0.5, None),
            ("canary", 0.25, None),
        ]
        assert info.trials[1].drift_limit == 1e-4  # as answers of one embedding space may differ
        answers = [engine.infer("model", TEXTS) for _ in range(16)]
        assert {(answer.model, answer.version, answer.embedding_space) for answer in answers} == {
            ("model", "1", info.embedding_space)
        }
        by_canary = [answer for answer in answers if answer.artifact.startswith("onnxruntime/")]
        assert len(by_canary) == 4
        assert {answer.artifact for answer in answers} == {info.artifact, info.trials[1].artifact}
        wait_until(lambda: trial_of(engine, "shadow").compared == 6)  # half of the 12 that the canary does not answer
        wait_until(lambda: trial_of(engine, "canary").compared == 4)
        for kind, requests in (("shadow", 6), ("canary", 4)):
            found = trial_of(engine, kind)
            assert (found.requests, found.errors, found.compared_rows) == (requests, 0, 2 * requests)
            assert found.cosine_min is not None
            assert found.cosine_min > 0.9999
            assert found.max_abs is not None
            assert 0 < found.max_abs < 1e-4  # two runtimes, whose numbers differ in the last bits
            assert found.drift.count == requests
        assert [model.name for model in engine.models()] == ["model"]
        assert engine.models()[0].trials == tuple(trial.info for trial in engine.stats("model").trials)


def test_what_is_tried_may_be_loaded_while_the_model_serves(bert_package: Path) -> None:
    trials: list[Callable[[], None]] = []
    canary = Canary(backend="onnxruntime", share=1.0)
    with Engine(EngineConfig(threads=1)) as engine:
        loaded = engine.load(bert_package, name="model", backend="openvino", canary=canary, later=trials.append)
        assert loaded.trials == ()
        assert engine.infer("model", TEXTS).artifact == loaded.artifact
        (begin,) = trials
        begin()
        assert engine.infer("model", TEXTS).artifact == engine.models()[0].trials[0].artifact != loaded.artifact
        same = Shadow(backend="openvino", share=1.0)
        engine.load(bert_package, name="other", backend="openvino", shadow=same, later=trials.append)
        with pytest.raises(ConfigError, match="would be the shadow of 'other'"):
            trials[1]()
        assert engine.infer("other", TEXTS).artifact == loaded.artifact
        engine.load(bert_package, name="gone", backend="openvino", canary=canary, later=trials.append)
        engine.unload("gone")
        with pytest.raises(ShuttingDownError, match="'gone' was unloaded before anything was tried beside it"):
            trials[2]()


def test_a_trial_of_another_form_is_refused_before_anything_is_loaded() -> None:
    with Engine() as engine:
        with pytest.raises(ConfigError, match=r"shadow must be a Shadow, but is 'onnxruntime=0.5'"):
            engine.load("missing.mlpkg", shadow="onnxruntime=0.5")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="canary must be a Canary, but is Shadow"):
            engine.load("missing.mlpkg", canary=Shadow(backend="openvino", share=0.5))  # type: ignore[arg-type]


def test_a_shadow_has_a_worker_that_leaves_the_processors_to_others(bert_package: Path) -> None:
    with Engine(EngineConfig(isolation="process", threads=1)) as engine:
        engine.load(bert_package, name="model", backend="openvino", shadow=Shadow(backend="onnxruntime", share=1.0))
        (worker,) = [worker for worker in engine.workers() if not worker.is_shadow]
        (shadow,) = [worker for worker in engine.workers() if worker.is_shadow]
        assert (worker.models, shadow.models) == (("model",), ("model~shadow",))
        assert os.getpriority(os.PRIO_PROCESS, shadow.pid) == 19
        assert os.getpriority(os.PRIO_PROCESS, worker.pid) < 19
        os.kill(shadow.pid, 9)
        assert engine.infer("model", TEXTS).results.shape[0] == 2  # whatever happens to the shadow

        def compares() -> bool:
            engine.infer("model", TEXTS)
            return trial_of(engine, "shadow").compared > 0

        wait_until(
            compares, timeout_s=200
        )  # by the worker that replaces it, which starts when others leave time for it


def test_labels_are_compared(classifier_package: Path) -> None:
    with Engine(EngineConfig(isolation="process", threads=1)) as engine:
        tried = Shadow(backend="onnxruntime", share=1.0)
        engine.load(classifier_package, name="model", backend="openvino", shadow=tried)
        engine.infer("model", TEXTS)
        wait_until(lambda: trial_of(engine, "shadow").compared == 1)
        found = trial_of(engine, "shadow")
        assert (found.decisions, found.same_decisions, found.compared_rows) == (2, 2, 2)
        assert found.cosine_min is None
        assert found.drift.mean < 1e-3


def test_requests_are_chosen_by_their_ids(bert_package: Path) -> None:
    with Engine() as engine:
        engine.load(bert_package, name="model", backend="openvino", canary=Canary(backend="onnxruntime", share=0.3))
        chosen = [
            [engine.infer("model", TEXTS[:1], request_id=f"id {number}").artifact for number in range(40)]
            for _ in range(2)
        ]
        assert chosen[0] == chosen[1]
        assert 4 <= sum(artifact.startswith("onnxruntime/") for artifact in chosen[0]) <= 20


@pytest.mark.parametrize(
    ("shadow", "canary", "what"),
    [
        (Shadow(backend="openvino", share=0.5), None, "would be the shadow of 'model', but already serves it"),
        (None, Canary(backend="openvino", share=0.5), "would be the canary of 'model', but already serves it"),
        (None, Canary(backend="candle", share=0.5), "no backend can run"),
        (Shadow(backend="nothing", share=0.5), None, "there is no backend named 'nothing'"),
    ],
)
def test_what_cannot_be_tried_is_refused_and_nothing_stays_loaded(
    bert_package: Path, shadow: Shadow | None, canary: Canary | None, what: str
) -> None:
    with Engine() as engine:
        with pytest.raises(Exception, match=what):
            engine.load(bert_package, name="model", backend="openvino", shadow=shadow, canary=canary)
        assert engine.models() == []
        engine.load(bert_package, name="model", backend="openvino")  # its version is free


@pytest.mark.parametrize("share", [0, -0.1, 1.5, float("nan"), True, "1"])
def test_a_share_must_be_one(share: float) -> None:
    with pytest.raises(ConfigError, match="share must be"):
        Shadow(backend="onnxruntime", share=share)


def test_a_trial_needs_a_backend() -> None:
    with pytest.raises(ConfigError, match="the name of its backend"):
        Canary(backend="auto", share=0.5)
