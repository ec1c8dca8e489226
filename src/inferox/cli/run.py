"""``inferox run``: a package on texts, images or tensors."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from inferox.cli.options import debug_option, json_option, trust_code_option

if TYPE_CHECKING:
    from inferox.cli.results import Sink
    from inferox.engine import TaskModel

_WINDOW = 1024
"""How many items are held at once: enough to form batches of rows alike in length, and little memory."""


@click.command(
    short_help="Run a package on texts, images or tensors.",
    epilog="""\b
Examples:
  inferox run minilm.mlpkg "a first sentence" "and a second one"
  cat texts.txt | inferox run minilm.mlpkg - > vectors.jsonl
  inferox run reranker.mlpkg --query "how to bake bread" --input documents.txt
""",
)
@click.argument("package")
@click.argument("items", nargs=-1, metavar="[TEXT|PATH…|-]")
@click.option(
    "--input", "source", metavar="FILE", help="Read items from a file: text lines, .jsonl, .npz, .safetensors."
)
@click.option("--jsonl", "json_lines", is_flag=True, help="The lines of standard input are JSON.")
@click.option("--query", help="What the texts are ranked for (rerank).")
@click.option("--task", help="What the numbers mean, where the package's own statement does not fit.")
@click.option("--backend", default="auto", show_default=True, help="The runtime to use.")
@click.option("--device", help="Where to run, such as cuda:0. By default the backend's own choice.")
@click.option("--precision", help="fp32, bf16, fp16 or int8. By default the best that the package has.")
@click.option("--threads", type=click.IntRange(min=1), help="How many CPU threads to use.")
@click.option("--compile", "compile_model", is_flag=True, help="Compile the model just in time, where the backend can.")
@click.option("--output", metavar="FILE", help="Write to a file: .jsonl, .npz or .safetensors.")
@click.option("--force", is_flag=True, help="Replace the output file if it exists.")
@trust_code_option
@json_option
@debug_option
def run(
    package: str,
    items: tuple[str, ...],
    *,
    source: str | None,
    json_lines: bool,
    query: str | None,
    task: str | None,
    backend: str,
    device: str | None,
    precision: str | None,
    threads: int | None,
    compile_model: bool,
    output: str | None,
    force: bool,
    trust_code: bool,
    as_json: bool,
) -> None:
    """Run a package on texts, images or tensors.

    Items are texts for embed, classify, token-classify and rerank, paths of images for image-classify, and .npz, .json
    or .safetensors files of named tensors for raw. On a terminal the results are a table; elsewhere, and with --json,
    they are one JSON object a line.
    """
    from inferox.cli.inputs import read_items
    from inferox.cli.results import open_sink
    from inferox.engine import load

    with open_sink(output, as_json=as_json, force=force) as sink:
        model = load(
            package,
            backend,
            device,
            precision,
            task=task,
            threads=threads,
            compile=compile_model,
            trust_code=trust_code,
        )
        with model:
            read = read_items(model.task.name, items, source, query=query, json_lines=json_lines)
            _run(model, read, sink)


def _run(model: TaskModel, items: Iterator[Any], sink: Sink) -> None:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.completed} items"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("running", total=None)
        while window := list(islice(items, _WINDOW)):
            sink.write(model.task, window, model.run(window))
            progress.advance(bar, len(window))
