"""``inferox pack``: makes a package from a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from inferox.cli.evidence_json import shorten_evidence
from inferox.cli.interrupts import interruptible
from inferox.cli.isolation import IsolatableNetworkCommand
from inferox.cli.options import debug_option, json_option, rows_option, tolerance_option, trust_code_option
from inferox.cli.progress import showing_steps
from inferox.cli.terminal import make_console, say

if TYPE_CHECKING:
    from inferox.core import Dim
    from inferox.packing import PackReport
    from inferox.parity import Limits

_LISTED = 4
"""The most left-out weights that are listed by name."""


def _parse_dims(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, list[Dim]]:
    dims: dict[str, list[Dim]] = {}
    for text in texts:
        name, equals, listed = text.partition("=")
        words = [word.strip() for word in listed.split(",")]
        if not equals or not name.strip() or not all(words):
            raise click.BadParameter(f"{text!r} is not of the form NAME=DIM,DIM,…, such as x=batch,3,224,224")
        for word in words:
            if not (word.isidentifier() or (word.isascii() and word.isdecimal())):
                raise click.BadParameter(f"{word!r} is not a dim: an integer, 0 or more, or a name such as batch")
        dims[name.strip()] = [word if word.isidentifier() else int(word) for word in words]
    return dims


def _split(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _parse_lengths(_context: click.Context, _parameter: click.Parameter, text: str | None) -> list[int] | None:
    if text is None:
        return None
    words = _split(text)
    if not words or not all(word.isascii() and word.isdecimal() for word in words):
        raise click.BadParameter(f"{text!r} is not of the form N,N,…, such as 128,256")
    return [int(word) for word in words]


@click.command(
    cls=IsolatableNetworkCommand,
    short_help="Make a package of a model.",
    epilog="Example: inferox pack ./all-MiniLM-L6-v2 -o minilm.mlpkg",
)
@click.argument("source")
@click.option("-o", "--output", required=True, help="The package to write: a .mlpkg file, or a folder.")
@click.option("--task", help="The task: embed, classify, token-classify, rerank, image-classify or raw.")
@click.option("--name", help="The name of the package. By default that of the source.")
@click.option(
    "--backends",
    metavar="NAME,…",
    callback=lambda _context, _parameter, text: None if text is None else _split(text),
    help="The backends to write artifacts for, such as torch,onnxruntime,openvino. All read the same weights. By "
    "default torch, or the one that runs the source.",
)
@click.option(
    "--precision",
    "precisions",
    metavar="NAME,…",
    multiple=True,
    callback=lambda _context, _parameter, texts: [name for text in texts for name in _split(text)] if texts else None,
    help="The precisions to write artifacts in, such as fp32,int8: fp32, bf16, fp16 or int8. By default fp32, and "
    "bf16 with openvino if it is close to the original, as that takes no extra space.",
)
@click.option(
    "--calibration",
    metavar="FILE",
    help="Texts, one per line, for the calibration of int8 and of ranges, ideally like those that the model will see. "
    "By default varied built-in ones.",
)
@click.option(
    "--matryoshka-dims",
    metavar="N,…",
    callback=_parse_lengths,
    help="The lengths to which vectors may be cut on request, if the model was trained for that. By default those in "
    "its config.json (matryoshka_dimensions).",
)
@click.option(
    "--vector-ranges",
    is_flag=True,
    help="Measure the range of each number of the vectors on the calibration texts, for vectors in int8 and uint8.",
)
@tolerance_option
@click.option(
    "--strict",
    is_flag=True,
    help="Fail if an artifact cannot be made, misses its tolerance, or the answers are not proven from text.",
)
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    help="Example inputs by name (.npz or .safetensors), for sources without any of their own.",
)
@click.option(
    "--dims",
    multiple=True,
    metavar="NAME=DIM,…",
    callback=_parse_dims,
    help="The dims of an input, such as x=batch,3,224,224. By default the first is batch and the others are fixed.",
)
@click.option("--force", is_flag=True, help="Replace the package at the output path.")
@trust_code_option
@json_option
@rows_option
@debug_option
def pack(
    source: str,
    *,
    output: str,
    task: str | None,
    name: str | None,
    backends: list[str] | None,
    precisions: list[str] | None,
    calibration: str | None,
    matryoshka_dims: list[int] | None,
    vector_ranges: bool,
    tolerance: Limits | None,
    strict: bool,
    samples: Path | None,
    dims: dict[str, list[Dim]],
    force: bool,
    trust_code: bool,
    as_json: bool,
    with_rows: bool,
) -> None:
    """Pack a model into one package that every runtime reads.

    SOURCE is a Hugging Face model directory, hf://org/name[@revision], a TorchScript file, a torch.export program
    (.pt2), an ONNX file (.onnx), OpenVINO IR (.xml), or python:module:factory, a function that returns a
    torch.nn.Module and example inputs.
    """
    from inferox.packing import pack as build_package

    with showing_steps("packing") as show:
        report = build_package(
            source,
            output,
            task=task,
            name=name,
            backends=backends,
            precisions=precisions,
            calibration=calibration,
            matryoshka_dims=matryoshka_dims,
            vector_ranges=vector_ranges,
            tolerance=tolerance,
            strict=strict,
            samples=samples,
            dims=dims or None,
            trust_code=trust_code,
            force=force,
            progress=interruptible(show),
        )
    for artifact, reason in report.refused.items():
        say(f"inferox: left out {artifact}: {reason}", err=True)
    for note in (*report.proof.notes(), *report.notes):
        say(f"inferox: note: {note}", err=True)
    if as_json:
        _print_json(report, with_rows=with_rows)
    else:
        _print_table(report)


def _print_json(report: PackReport, *, with_rows: bool) -> None:
    import json

    artifacts = shorten_evidence((item.to_json() for item in report.evidence), with_rows=with_rows)
    click.echo(
        json.dumps(
            {
                "path": str(report.path),
                "name": report.name,
                "task": report.task,
                "size_bytes": report.size_bytes,
                "from_input": report.proof.to_json(),
                "artifacts": artifacts,
                "refused": dict(report.refused),
                "notes": list(report.notes),
                "left_out_weights": list(report.left_out_weights),
            }
        )
    )


def _print_table(report: PackReport) -> None:
    from inferox.cli.tables import evidence_table
    from inferox.core import counted
    from inferox.report.quantities import bytes_text

    say(f"{report.name} ({report.task}): {report.path}, {bytes_text(report.size_bytes)}")
    say(f"{report.proof}")
    make_console().print(evidence_table(report.evidence))
    if report.left_out_weights:
        listed = ", ".join(report.left_out_weights[:_LISTED]) + (
            ", …" if len(report.left_out_weights) > _LISTED else ""
        )
        say(f"left out {counted(len(report.left_out_weights), 'weight')} that the model has no use for: {listed}")
