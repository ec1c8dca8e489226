"""The answer of a comparison: the winner, its gain, its accuracy, and the certainty of that."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from inferox.measuring import Ending
from inferox.measuring.comparison import ArtifactMeasurement, Latency, Spread, Throughput
from inferox.parity import InputProof, ParityClass, ProofStatus
from inferox.report import render_report
from inferox.report.spreads import medians_text, spans_text
from inferox.report.summary import (
    answer,
    describe_quickest,
    find_ties,
    further_answers,
    how_far,
    recommend,
    short_names,
    warnings,
)
from tests.report.comparisons import make_comparison, make_measurement, without_lengths


def steady(item: ArtifactMeasurement, seconds: float, rounds: int = 3) -> ArtifactMeasurement:
    """Returns the same, without noise."""
    return replace(
        item,
        latency=tuple(Latency(row.length, ((seconds,),) * rounds) for row in item.latency),
        throughput=Throughput(60, 1800, (seconds,) * rounds),
    )


def test_the_winner_how_much_it_gains_and_how_exact_it_is() -> None:
    assert answer(make_comparison()) == (
        "onnxruntime/onnx/fp32/padded is the fastest here: about 1.4 times as fast as PyTorch "
        "(torch/safetensors/fp32/padded); its outputs are exact (min cosine 1.000000, largest difference 5.0e-07 of "
        "the largest value)."
    )
    (quickest,) = further_answers(make_comparison())
    assert quickest == (
        "onnxruntime/onnx/fp32/padded is the quickest with a single row of 18 tokens, at 5.54 ms: about 1.2 times as "
        "fast as PyTorch (torch/safetensors/fp32/padded)."
    )


def test_the_quickest_with_a_single_row_may_be_another() -> None:
    found = make_comparison()
    first, second, _ = found.artifacts
    apart = replace(found, artifacts=(replace(first, latency=steady(first, 0.02).latency), steady(second, 0.01)))
    assert (
        f"{second.artifact} is the quickest with a single row of 18 tokens, at 10.0 ms." == further_answers(apart)[-1]
    )
    peer = steady(make_measurement("sentence-transformers"), 0.03)
    beside = further_answers(replace(apart, peer=peer))[-1]
    assert beside.endswith(", at 10.0 ms: 3.0 times as fast as sentence-transformers.")
    once = replace(steady(first, 0.001), latency=steady(first, 0.002, 1).latency)
    assert (
        ": about 5.0 times as fast as PyTorch"
        in further_answers(replace(apart, artifacts=(once, steady(second, 0.01))))[-1]
    )
    without = further_answers(without_lengths(apart))[-1]
    assert f"{second.artifact} is the quickest with a single row, at " in without


def test_a_gain_over_something_very_noisy_is_a_range() -> None:
    found = make_comparison()
    first = steady(found.artifacts[0], 0.01, 4)
    wild = replace(
        steady(make_measurement("sentence-transformers"), 1.0),
        latency=tuple(Latency(row.length, ((0.03,), (0.09,))) for row in first.latency),
        throughput=Throughput(256, 6000, (2.0, 8.0)),
    )
    beside = replace(found, artifacts=(replace(first, throughput=Throughput(256, 6000, (1.0, 1.0))),), peer=wild)
    assert "is the fastest here: 2.0 to 8.0 times as fast as sentence-transformers in calls of" in answer(beside)
    assert further_answers(beside)[-1].endswith(", at 10.0 ms: 3.0 to 9.0 times as fast as sentence-transformers.")
    noise = "The latency is noisy: the rounds span up to 100% of the median (sentence-transformers, 3 tokens)."
    assert noise in " ".join(warnings(beside))


def test_the_gain_of_several_that_are_alike_is_a_range() -> None:
    found = make_comparison()
    names = ("a/onnx/fp32/packed", "a/onnx/fp32/padded", "torch/safetensors/fp32/packed")
    rounds = ((0.10, 0.10, 0.13), (0.12, 0.12, 0.12), (0.2, 0.2, 0.2))
    items = [
        replace(
            make_measurement(name),
            throughput=Throughput(60, 1800, seconds),
            latency=(Latency(18, tuple((time / 10,) for time in seconds)),),
            typical=0,
        )
        for name, seconds in zip(names, rounds, strict=True)
    ]
    alike = replace(found, artifacts=tuple(items))
    gain = f"about 1.7 to 2.0 times as fast as PyTorch ({names[2]})"
    assert answer(alike).startswith(
        f"{names[0]} and 1 other, alike within the noise, are the fastest here: {gain}; the"
    )
    assert describe_quickest(alike) == (
        f"{names[0]} and 1 other, alike within the noise, are the quickest with a single row of 18 tokens, at 10.0 ms: "
        f"{gain}."
    )


def test_what_is_known_from_packing_is_said_where_parity_was_not_reached() -> None:
    found = make_comparison()
    unknown = replace(found.artifacts[0], evidence=None)
    assert answer(replace(found, artifacts=(unknown,))).endswith("; its exactness was not measured here.")
    packed = replace(unknown, packed_class=ParityClass.CLOSE)
    assert answer(replace(found, artifacts=(packed,))).endswith(
        "not measured here; when it was packed, its outputs were close."
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
    said, _, also = further_answers(near)
    assert said == f"As fast within the noise: {second.artifact}."
    assert also == f"As quick within the noise: {second.artifact}."
    ties = {item.purpose: item.ties for item in recommend(near)}
    assert ties == {"latency": (second.artifact,), "throughput": (second.artifact,), "memory": ()}
    said = f"{second.artifact} is as good within the noise"
    assert re.sub("<[^>]*>", "", render_report(near)).count(said) == 2
    apart = replace(found, artifacts=(steady(first, 1.0), steady(second, 1.01)))
    assert "noise" not in "".join(further_answers(apart))
    assert not any(item.ties for item in recommend(apart))
    many = replace(near, artifacts=(first, *(make_measurement(f"b/b/fp32/{number}", 1.02) for number in range(3))))
    assert recommend(many)[0].ties_text == "3 others are as good within the noise"


def test_one_whose_median_is_no_worse_than_that_of_a_tie_is_a_tie() -> None:
    first, second, third = make_comparison().artifacts

    def timed(item: ArtifactMeasurement, *seconds: float) -> ArtifactMeasurement:
        return replace(item, throughput=Throughput(60, 1800, seconds))

    found = replace(
        make_comparison(),
        artifacts=(timed(first, 1.0, 0.9, 1.1), timed(second, 1.2, 1.19, 1.21), timed(third, 1.3, 0.95, 1.4)),
    )
    agreed = replace(found, artifacts=tuple(replace(item, evidence=first.evidence) for item in found.artifacts))
    assert find_ties(agreed) == (second.artifact, third.artifact)
    # Ranges that touch are not enough.
    apart = replace(agreed, artifacts=(agreed.artifacts[0], timed(agreed.artifacts[1], 1.2, 1.05, 1.3)))
    assert find_ties(apart) == ()


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
        ("memory", "c/c/fp32/padded", "200 B at its peak"),
    ]


def test_noise_is_named_with_what_to_do() -> None:
    found = make_comparison()
    calm = replace(found, artifacts=tuple(steady(item, 0.1) for item in found.artifacts))
    assert warnings(calm) == []
    noisy = replace(calm.artifacts[0], throughput=Throughput(60, 1800, (0.1, 0.1, 0.3, 0.3)))
    quiet = replace(calm, other_busy_cores=0.02, artifacts=(noisy, *calm.artifacts[1:]))
    assert warnings(quiet)[0].endswith("Smaller differences say little: allow more --seconds.")
    (said,) = warnings(replace(calm, artifacts=(noisy, *calm.artifacts[1:])))
    assert said == (
        "Rows/s are noisy: the rounds span up to 100% of the median "
        "(onnxruntime/onnx/fp32/padded). Smaller differences say little: close other programs, or allow more --seconds."
    )
    five = replace(calm.artifacts[0], throughput=Throughput(60, 1800, (0.1, 0.1, 0.1, 0.3, 0.3)))
    (said,) = warnings(replace(calm, artifacts=(five, *calm.artifacts[1:])))
    assert said.startswith("Rows/s are noisy: the middle half of the rounds spans up to 67% of the median (")
    (once,) = warnings(replace(calm, artifacts=tuple(steady(item, 0.1, 1) for item in calm.artifacts)))
    assert "a single round" in once
    # Latency may have been measured in more rounds than rates.
    row = Latency(18, ((0.1,), (0.1,), (0.3,), (0.3,)))
    uneven = replace(steady(calm.artifacts[0], 0.1, 1), latency=(row,), typical=0)
    latency, rates = warnings(replace(calm, artifacts=(uneven,)))
    assert latency.startswith("The latency is noisy: the rounds span up to 100% of the median (")
    assert "The rates come from a single round" in rates


def test_other_programs_are_named_where_they_matter() -> None:
    found = make_comparison()
    calm = replace(found, artifacts=tuple(steady(item, 0.1) for item in found.artifacts))
    assert warnings(replace(calm, other_busy_cores=0.3)) == []
    (said,) = warnings(replace(calm, other_busy_cores=0.7))
    assert said == "Other programs kept 0.7 of 2 cores busy when the comparison began. Close them, and measure again."
    assert "kept 0.3 cores busy when the comparison began" in render_report(replace(calm, other_busy_cores=0.3))
    assert "Other programs" not in render_report(calm)


def test_a_table_says_what_stands_below_its_medians() -> None:
    assert [medians_text(count, "round") for count in (1, 4, 5)] == [
        "of a single round",
        "medians of 4 rounds, with their range below",
        "medians of 5 rounds, with their middle half below",
    ]


def test_only_what_is_drawn_is_explained() -> None:
    few, many, same = Spread.of([1.0, 2.0]), Spread.of([1.0, 2.0, 3.0, 4.0, 5.0]), Spread.of([1.0] * 5)
    assert spans_text([few, same]) == "span the rounds"
    assert spans_text([many, same]) == "span the middle half of the rounds"
    assert spans_text([few, many]) == "span the rounds, or the middle half of five and more"


def test_gains_of_a_single_round_are_estimates() -> None:
    found = make_comparison()
    fast, slow = (steady(item, seconds, 1) for item, seconds in zip(found.artifacts, (0.1, 0.7233), strict=False))
    slow = replace(slow, artifact="torch/safetensors/fp32/packed")
    assert "is the fastest here: about 7.2 times as fast as PyTorch (torch/safetensors/fp32/packed)" in answer(
        replace(found, artifacts=(fast, slow))
    )
    page = render_report(replace(found, artifacts=(fast, slow)))
    assert "Bars span" not in page
    assert "Bars span the rounds. Both" in render_report(found)
    once = tuple(
        replace(item, latency=(replace(item.latency[0], rounds=item.latency[0].rounds[:1]), *item.latency[1:]))
        for item in found.artifacts
    )
    for artifacts, says in ((found.artifacts, False), (once, True)):
        page = render_report(replace(found, artifacts=artifacts))
        assert ("; a point without one is of a single round" in page) is says
        assert (", of a single round" in page) is says


def test_what_was_not_reached_is_named() -> None:
    found = make_comparison()
    assert how_far(found) == []
    name = found.artifacts[0].artifact
    assert how_far(replace(found, ending=Ending.INTERRUPTED)) == ["Stopped after 3 of 5 rounds."]
    beyond = replace(found, ending=Ending.INTERRUPTED, plan=replace(found.plan, rounds=2))
    assert how_far(beyond) == ["Stopped after 3 of 3 rounds."]
    cut = replace(found, ending=Ending.OUT_OF_TIME, unreached={name: ("parity", "a row of 256 tokens")})
    assert how_far(cut) == [
        "Time ran out after 3 of 5 rounds: --seconds allows more time.",
        f"Not measured for {name}: parity, a row of 256 tokens.",
    ]


def test_the_first_round_may_not_be_whole() -> None:
    found = make_comparison()
    first = steady(found.artifacts[0], 0.1, 1)
    cut = replace(found, artifacts=(first,), ending=Ending.OUT_OF_TIME, unreached={first.artifact: ("parity",)})
    assert how_far(cut)[0] == "Time ran out in the first of 5 rounds: --seconds allows more time."


def test_it_is_compared_with_sentence_transformers_where_that_was_measured() -> None:
    found = make_comparison()
    few = make_measurement("sentence-transformers", 2.9)
    times = replace(
        few.throughput, rows=256, rounds=tuple(256 / few.throughput.rows * s for s in few.throughput.rounds)
    )
    peer = replace(few, throughput=times)
    assert (
        "is the fastest here: about 1.4 times as fast as PyTorch (torch/safetensors/fp32/padded) and about 2.9 "
        "times as fast as sentence-transformers in calls of 256 texts; "
    ) in answer(replace(found, peer=peer))
    assert "sentence-transformers" not in answer(replace(found, peer=few))
    assert any("in calls of only 57 texts, where it pads more" in said for said in warnings(replace(found, peer=few)))
    assert not any("calls of" in said for said in warnings(replace(found, peer=peer)))
    factors = [
        render_report(replace(found, peer=one)).partition('<li class="peer">')[2].partition("</li>")[0].count("×")
        for one in (few, peer)
    ]
    assert factors == [0, 1]
    torch = replace(found, artifacts=found.artifacts[1:], peer=peer)
    assert "is the fastest here: about 2.1 times as fast as sentence-transformers in calls of 256 texts; " in answer(
        torch
    )
    page = render_report(replace(found, peer=peer))
    assert '<li class="peer">' in page
    row = page[page.index("<table") :].partition("sentence-transformers</span>")[2].partition("</tr>")[0]
    assert "another library" in row
    assert '<span class="figure">–</span>' in row[row.index("On disk") :]
    assert "with PyTorch in fp32 on the CPU" in page
    said = warnings(replace(found, no_peer="it is too old"))
    assert "sentence-transformers was not measured: it is too old." in said


def test_what_a_million_rows_cost_follows_from_the_price_of_an_hour() -> None:
    found = make_comparison()
    first = found.artifacts[0]
    fast = replace(found, artifacts=(steady(first, 0.6),), price_per_hour=3.6)  # 60 rows in 0.6 s
    assert fast.million_rows_price(fast.artifacts[0]) == pytest.approx(10.0)
    assert ("cost", first.artifact, "10.0 for a million rows, at 3.6 an hour") in [
        (item.purpose, item.artifact, item.figure) for item in recommend(fast)
    ]
    page = render_report(fast)
    assert "10.0 per million" in page
    assert "3.6 for an hour" in page
    assert fast.to_json()["million_rows_price"] == {first.artifact: pytest.approx(10.0)}
    assert found.million_rows_price(first) is None
    assert "per million" not in render_report(found)


def test_what_was_not_reached_of_several_is_one_line() -> None:
    found = make_comparison()
    names = [item.artifact for item in found.artifacts]
    cut = replace(found, ending=Ending.OUT_OF_TIME, unreached=dict.fromkeys(names, ("parity",)))
    assert how_far(cut)[1:] == ["Not measured for any artifact: parity."]
    some = replace(cut, unreached={names[0]: ("parity",), names[1]: ("memory",), names[2]: ("parity",)})
    assert how_far(some)[1:] == [
        f"Not measured for {names[0]} and {names[2]}: parity.",
        f"Not measured for {names[1]}: memory.",
    ]


def test_one_that_failed_is_not_recommended_and_is_named_first() -> None:
    found = make_comparison()
    first, second, _ = found.artifacts
    failed = replace(found, failures={first.artifact: "failed when it was started again: it is gone"})
    assert answer(failed).startswith(f"{second.artifact} is the fastest here")
    assert warnings(failed)[0].startswith(f"{first.artifact} failed when it was started again: it is gone.")


def test_short_names_say_what_differs() -> None:
    found = make_comparison()
    assert short_names(found) == {
        "onnxruntime/onnx/fp32/padded": "onnxruntime",
        "torch/safetensors/fp32/padded": "torch fp32",
        "torch/safetensors/fp16/padded": "torch fp16",
    }


def test_the_proof_stands_before_the_figures_and_details_behind_the_badge() -> None:
    proof = InputProof(ProofStatus.PROVEN, "text", "sentence-transformers", inputs=50, answered=50)
    page = render_report(replace(make_comparison(), proof=proof))
    assert page.index("Proven from text: matches sentence-transformers") < page.index("<figure")
    assert "<summary>exact</summary><ul><li>largest difference: 3.0e-06" in page
