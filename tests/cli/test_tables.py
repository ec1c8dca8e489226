"""Tables for people."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from inferox.cli.tables import evidence_table, profile_table, result_table
from inferox.loading.cell import Cell
from inferox.loading.profile import Profile
from inferox.parity import TOLERANCES, Agreement, ArtifactEvidence, BatchInvariance, ParityClass
from inferox.tasks import Span

NAMES = ("onnxruntime/onnx/fp32/padded", "torch/torch-export/fp32/padded", "openvino/openvino-ir/int8/padded")


def table_of(*agreements: Agreement) -> str:
    items = [
        ArtifactEvidence(name, agreement, TOLERANCES[ParityClass.QUANTIZED], ParityClass.QUANTIZED, {}, "a machine")
        for name, agreement in zip(NAMES, agreements, strict=False)
    ]
    return printed(evidence_table(items))


def printed(table: RenderableType) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80).print(table)
    return stream.getvalue()


def test_the_evidence_fits_80_columns_with_every_figure_that_decides() -> None:
    text = table_of(*(Agreement(1.5, 3.25e-5, 0.999123, -0.987654, share) for share in (1.0, 0.9996, None)))
    assert all(len(line) <= 80 for line in text.splitlines())
    lines = {line.split()[0]: line.split() for line in text.splitlines() if "quantized" in line}
    assert lines == {
        name: [name, "quantized", "3.2e-05", "0.999123", "-0.987654", order]
        for name, order in zip(NAMES, ("100%", "99.9%", "–"), strict=True)
    }


@pytest.mark.parametrize(
    ("argmax", "ranking", "said"), [(0.5, None, "(order: arg-max)"), (None, 0.5, "(order: ranking)"), (None, None, "")]
)
def test_the_evidence_says_which_order_it_is_of(argmax: float | None, ranking: float | None, said: str) -> None:
    text = table_of(Agreement(0.0, 0.0, 1.0, 1.0, argmax, ranking))
    assert ("50.0%" in text) == bool(said)
    assert text.splitlines()[0].strip() == f"Agreement with the reference {said}".strip()


@pytest.mark.parametrize(
    ("batches", "said", "unsaid"),
    [
        ([BatchInvariance(0.0, 1.0, 4)] * 2, ["beside others): All"], ["depends", "Not measured"]),
        (
            [BatchInvariance(0.0, 1.0, 4), BatchInvariance(0.25, 0.97, 4)],
            ["others): onnxruntime/onnx/fp32/padded", "torch-export/fp32/padded depends on the batch", "by up to 0.25"],
            ["Not measured"],
        ),
        ([None, BatchInvariance(0.0, 1.0, 4)], ["others): torch/", "beside other rows: onnxruntime/"], ["depends"]),
    ],
)
def test_the_evidence_says_what_a_batch_does_to_its_rows(
    batches: list[BatchInvariance | None], said: list[str], unsaid: list[str]
) -> None:
    console = Console(file=io.StringIO(), width=200)
    same = Agreement(0.0, 0.0, 1.0, 1.0, None)
    console.print(
        evidence_table(
            [
                ArtifactEvidence(
                    name, same, TOLERANCES[ParityClass.EXACT], ParityClass.EXACT, {}, "a machine", batch=batch
                )
                for name, batch in zip(NAMES, batches, strict=False)
            ]
        )
    )
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(part in text for part in said)
    assert not any(part in text for part in unsaid)


def test_a_profile_names_the_artifacts_that_are_in_it() -> None:
    cells = {name: (Cell(1, 8, seconds),) for name, seconds in (("a", 0.2), ("b", 0.1), ("c", 0.3))}
    text = printed(profile_table(Profile("digest", "machine", 2, "default", {}, "2026", cells)))
    assert [line.split() for line in text.splitlines()[-3:]] == [
        ["1", "8", "(2)", "100", "(1)", "200"],
        ["(1)", "a"],
        ["(2)", "b"],
    ]


def test_a_text_without_spans_is_in_the_table() -> None:
    text = printed(result_table("token-classify", ["Ada codes", "nobody"], [[Span("PER", 0.9, 0, 3, "Ada")], []]))
    first, second = (line.split() for line in text.splitlines() if line.strip("┃│ ")[:1] in {"1", "2"})
    assert first == ["│", "1", "│", "0–3", "│", "Ada", "│", "PER", "│", "0.900", "│"]
    assert second == ["│", "2", "│", "–", "│", "nobody", "│", "no", "span", "│", "│"]
