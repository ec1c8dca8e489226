"""The answer of a comparison: the winner, how much it gains, how exact it is, and how sure that is."""

from __future__ import annotations

from dataclasses import replace

from inferox.measuring import Ending
from inferox.measuring.comparison import ArtifactMeasurement, Latency, Throughput
from inferox.report.summary import answer, how_far, recommend, warnings
from tests.report.comparisons import make_comparison, make_measurement


def steady(item: ArtifactMeasurement, seconds: float, rounds: int = 3) -> ArtifactMeasurement:
    """The same, without noise."""
    return replace(
        item,
        latency=tuple(Latency(row.length, ((seconds,),) * rounds) for row in item.latency),
        throughput=Throughput(60, 1800, (seconds,) * rounds),
    )


def test_the_winner_how_much_it_gains_and_how_exact_it_is() -> None:
    assert answer(make_comparison()) == (
        "onnxruntime/onnx/fp32/padded is the fastest here: 1.40 times as fast as PyTorch in fp32; its outputs are "
        "exact (min cosine 1.000000, largest difference 5.0e-07 of the largest number)."
    )


def test_one_that_misses_its_tolerance_does_not_win_nor_is_it_recommended() -> None:
    found = make_comparison()
    wrong = make_measurement("openvino/onnx/int8/padded", 0.1, max_abs=1.0)
    with_wrong = replace(found, artifacts=(wrong, *found.artifacts))
    assert answer(with_wrong) == answer(found)
    assert {item.artifact for item in recommend(with_wrong)} == {"onnxruntime/onnx/fp32/padded"}
    assert "it misses its tolerance" in answer(replace(found, artifacts=(wrong,)))


def test_pytorch_may_win_or_be_missing() -> None:
    found = make_comparison()
    torch, other = (
        make_measurement("torch/safetensors/fp32/padded"),
        make_measurement("candle/safetensors/fp32/padded", 9),
    )
    assert "fp32/padded is the fastest here with 271 rows/s;" in answer(replace(found, artifacts=(torch, other)))
    assert "(PyTorch in fp32 was not measured)" in answer(replace(found, artifacts=(other,)))


def test_what_is_as_fast_within_the_noise_is_named() -> None:
    found = make_comparison()
    first, second, _ = found.artifacts
    near = replace(found, artifacts=(first, make_measurement(second.artifact, 1.02)))
    assert answer(near).endswith(f"Within the noise of the measurement, {second.artifact} is as fast.")
    apart = replace(found, artifacts=(steady(first, 1.0), steady(second, 1.01)))
    assert "noise" not in answer(apart)


def test_each_purpose_has_its_own_best() -> None:
    first, second, third = (
        make_measurement(name) for name in ("a/a/fp32/padded", "b/b/fp32/padded", "c/c/fp32/padded")
    )
    found = replace(
        make_comparison(),
        artifacts=(
            replace(steady(first, 0.2), latency=second.latency, peak_memory_bytes=300),
            replace(steady(second, 0.001), throughput=Throughput(60, 1800, (9.0,)), peak_memory_bytes=None),
            replace(third, throughput=Throughput(60, 1800, (8.0,)), latency=second.latency, peak_memory_bytes=200),
        ),
    )
    assert [(item.purpose, item.artifact, item.figure) for item in recommend(found)] == [
        ("latency", "b/b/fp32/padded", "1.00 ms for a row of 18 tokens"),
        ("throughput", "a/a/fp32/padded", "300 rows/s"),
        ("memory", "c/c/fp32/padded", "200 B at most"),
    ]


def test_noise_is_named_with_what_to_do() -> None:
    found = make_comparison()
    calm = replace(found, artifacts=tuple(steady(item, 0.1) for item in found.artifacts))
    assert warnings(calm) == []
    noisy = replace(calm.artifacts[0], throughput=Throughput(60, 1800, (0.1, 0.1, 0.3, 0.3)))
    (said,) = warnings(replace(calm, artifacts=(noisy, *calm.artifacts[1:])))
    assert said == (
        "The measurement is noisy: the middle half of the rounds spans 100% of the median (rows/s of "
        "onnxruntime/onnx/fp32/padded). Smaller differences say little: close other programs, or allow more --seconds."
    )
    (once,) = warnings(replace(calm, artifacts=tuple(steady(item, 0.1, 1) for item in calm.artifacts)))
    assert "one round alone" in once


def test_what_was_not_reached_is_named() -> None:
    found = make_comparison()
    assert how_far(found) == []
    name = found.artifacts[0].artifact
    assert how_far(replace(found, ending=Ending.INTERRUPTED)) == [
        "Stopped after 3 of 5 rounds: --seconds allows more time."
    ]
    cut = replace(found, ending=Ending.OUT_OF_TIME, unreached={name: ("parity", "a row of 256 tokens")})
    assert how_far(cut) == [
        "The time was over in the first of 5 rounds: --seconds allows more time.",
        f"Not reached of {name}: parity, a row of 256 tokens.",
    ]
