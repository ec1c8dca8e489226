"""``inferox run``: runs a package on texts, images or tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inferox.cli.bulk import JSON_LINES_SUFFIXES, BulkArguments, bulk_options, run_in_bulk
from inferox.cli.interrupts import interruptible
from inferox.cli.options import debug_option, json_option, runtime_options, signature_option, trust_code_option
from inferox.cli.progress import showing_items
from inferox.cli.terminal import say

if TYPE_CHECKING:
    from inferox.cli.items import PairOptions
    from inferox.cli.results import Sink
    from inferox.loading import PlannedLoad, TaskModel
    from inferox.tasks import Task
    from inferox.tasks.truncation import CutTokens


@click.command(
    short_help="Run a package on texts, images or tensors.",
    epilog="""\b
Examples:
  inferox run minilm.mlpkg "a first sentence" "and a second one"
  cat texts.txt | inferox run minilm.mlpkg - > vectors.jsonl
  inferox run reranker.mlpkg --query "how to bake bread" --input documents.txt
  inferox run nli.mlpkg --pairs "a man is eating" "nobody eats"
  inferox run minilm.mlpkg --input 'data/*.jsonl' --column text --keep id --output vectors/
""",
)
@click.argument("package")
@click.argument("items", nargs=-1, metavar="[TEXT|PATH…|-]")
@click.option(
    "--input",
    "sources",
    metavar="FILE",
    multiple=True,
    help="Read items from a file: text lines, .jsonl, .npz, .safetensors. Bulk: files, folders and patterns.",
)
@click.option("--jsonl", "json_lines", is_flag=True, help="The lines of the input are JSON, whatever its name.")
@click.option("--query", help="The query to rank the texts for (rerank).")
@click.option("--text-pair", metavar="TEXT", help="The second text of every pair (classify).")
@click.option(
    "--pairs",
    "in_columns",
    is_flag=True,
    help="Two arguments, or the two columns of a line, are a pair (classify, rerank).",
)
@click.option("--prompt", help="The name of the model's prompt to put before each text (embed).")
@click.option(
    "--truncate",
    type=click.Choice(["error", "warn", "cut"]),
    default="warn",
    show_default=True,
    help="What to do with texts that are too long for the model.",
)
@click.option("--allow-nan", is_flag=True, help="Pass NaN and infinities on to the model (raw).")
@click.option("--task", help="The task, overriding the one that the package states.")
@runtime_options
@click.option("--compile", "compile_model", is_flag=True, help="Compile the model just in time, if the backend can.")
@click.option(
    "--output",
    metavar="FILE|DIR",
    help="Write to a file: .jsonl, .npz or .safetensors. Bulk: a folder for parts, or one file.",
)
@bulk_options
@click.option("--profile", metavar="FILE", help="Write a profile of the run to a .json file, for Chrome or Perfetto.")
@click.option("--force", is_flag=True, help="Replace the output file, or the profile, if it exists.")
@trust_code_option
@signature_option
@json_option
@debug_option
def run(
    package: str,
    items: tuple[str, ...],
    *,
    sources: tuple[str, ...],
    json_lines: bool,
    query: str | None,
    text_pair: str | None,
    in_columns: bool,
    prompt: str | None,
    truncate: str,
    allow_nan: bool,
    task: str | None,
    backend: str,
    device: str | None,
    precision: str | None,
    quality: str | None,
    threads: int | None,
    compile_model: bool,
    output: str | None,
    profile: str | None,
    force: bool,
    trust_code: bool,
    require_signature: Path | None,
    as_json: bool,
    **bulk: Any,
) -> None:
    """Run a package on texts, images or tensors.

    Items are texts for embed, classify, token-classify and rerank, paths of images for image-classify, and .npz, .json
    or .safetensors files of named tensors for raw. On a terminal the results are a table; elsewhere, and with --json,
    they are one JSON object per line.

    A line of a .jsonl file is a string or an object: {"text": "…"}; for classify also {"text": "…", "text_pair": "…"}
    or ["…", "…"]; for rerank {"query": "…", "documents": ["…"]}, {"query": "…", "document": "…"} or ["…", "…"]; for
    image-classify {"image": "PATH"} or {"image": "data:image/png;base64,…"}; for raw each input by name. Other keys are
    refused. Lines of other files are texts or paths, and with --pairs two columns with a tab in between. An image on
    standard input is taken as it is.

    Images are read as by transformers' pipelines: turned upright as EXIF says, and converted to RGB, which drops
    transparency; of several frames the first is taken.

    Bulk: files of many rows, with columns, go into a folder of parts, or one file. A run is one if it has an option
    that says Bulk, if its input or output is a folder, if its input is a pattern or several files, if one of them ends
    in .parquet, .arrow, .feather, .csv, .tsv, .npy or .gz, or if it reads texts and other columns from a .jsonl or
    .ndjson file into a .jsonl file. docs/bulk.md has the details.
    """
    from inferox.cli.inputs import read_items
    from inferox.cli.items import PairOptions
    from inferox.cli.results import open_sink
    from inferox.loading import plan_load

    def plan() -> PlannedLoad:
        return plan_load(
            package,
            backend,
            device,
            precision,
            quality=quality,
            task=task,
            threads=threads,
            compile=compile_model,
            trust_code=trust_code,
            require_signature=require_signature,
        )

    arguments = BulkArguments(**bulk)
    if arguments.is_meant(sources, output, are_pairs=in_columns):
        # Where the files are JSON lines by their names, --jsonl says nothing else.
        says_more = json_lines and not all(Path(source).suffix in JSON_LINES_SUFFIXES for source in sources)
        _refuse_in_bulk(json_lines=says_more, text_pair=text_pair, in_columns=in_columns, allow_nan=allow_nan)
        options = arguments.to_options(output, query=query, prompt=prompt, truncate=truncate)
        with _profiling(profile, force=force) as noting:
            run_in_bulk(
                plan,
                (*sources, *items),
                output,
                arguments,
                options,
                force=force,
                as_json=as_json,
                noting=noting,
            )
        return
    with (
        open_sink(output, as_json=as_json, force=force) as sink,
        _profiling(profile, force=force) as noting,
        plan().load() as model,
    ):
        chosen = _adjust(model.task, prompt, allow_nan=allow_nan)
        pairs = PairOptions(query, text_pair, in_columns=in_columns)
        _check_pairs(pairs, chosen.name)
        read = read_items(chosen.name, items, next(iter(sources), None), pairs=pairs, json_lines=json_lines)
        with noting:
            _run(model, chosen, read, sink, truncate)


def _refuse_in_bulk(**options: object) -> None:
    from inferox.core import ConfigError

    names = {"json_lines": "--jsonl", "text_pair": "--text-pair", "in_columns": "--pairs", "allow_nan": "--allow-nan"}
    for name, value in options.items():
        if value:
            raise ConfigError(
                f"{names[name]} does not apply to bulk runs",
                hint="name columns with --column and --pair-column",
            )


@contextmanager
def _profiling(profile: str | None, *, force: bool) -> Iterator[AbstractContextManager[None]]:
    """Yields a context that records a profile, if one is wanted, and writes the file at the end."""
    from inferox.cli.output_file import open_output
    from inferox.core import Trace

    if profile is None:
        yield nullcontext()
        return
    trace = Trace()
    with open_output(Path(profile), suffixes=(".json",), force=force) as temporary:
        yield trace.active()
        trace.write(temporary)


def _adjust(task: Task, prompt: str | None, *, allow_nan: bool) -> Task:
    from inferox.core import ConfigError
    from inferox.tasks import EmbedTask, RawTask

    if prompt is not None:
        if not isinstance(task, EmbedTask):
            raise ConfigError(f"--prompt is for the task embed, but the package's is {task.name}")
        return task.with_prompt(prompt)
    if allow_nan:
        if not isinstance(task, RawTask):
            raise ConfigError(f"--allow-nan is for the task raw, but the package's is {task.name}")
        return task.allowing_non_finite()
    return task


def _check_pairs(pairs: PairOptions, task: str) -> None:
    from inferox.core import ConfigError

    for option, given, tasks in (
        ("--query", pairs.query is not None, ("rerank",)),
        ("--text-pair", pairs.second is not None, ("classify",)),
        ("--pairs", pairs.in_columns, ("classify", "rerank")),
    ):
        if given and task not in tasks:
            raise ConfigError(f"{option} is for the task {' or '.join(tasks)}, but the package's is {task}")
    if pairs.in_columns and (pairs.query is not None or pairs.second is not None):
        raise ConfigError("--pairs gives both texts of every pair, and excludes --query and --text-pair")


def _run(model: TaskModel, task: Task, items: Iterator[Any], sink: Sink, truncate: str) -> None:
    from inferox.tasks.truncation import CutTotals

    # Enough items at once to batch rows of similar length, and few enough to hold. A raw call is one batch.
    window_size = 1 if task.name == "raw" else 4 * task.max_rows
    done = 0
    cut_totals = CutTotals()
    with showing_items() as show:
        tell = interruptible(show)
        while window := list(islice(items, window_size)):
            results, cut = _run_window(model, task, window, done, truncate)
            sink.write(task, window, results, cut)
            cut_totals.add(cut or ())
            done += len(window)
            tell(done)

    if truncate == "warn" and cut_totals:
        say(f"inferox: {cut_totals}", err=True)


def _run_window(
    model: TaskModel, task: Task, window: list[Any], done: int, truncate: str
) -> tuple[Any, list[CutTokens] | None]:
    """Computes the results, and the tokens cut from each text; ``None`` if items are not texts."""
    from inferox.core import RequestError, counting_items_from, span
    from inferox.tasks.truncation import read_cut_tokens, report_truncation

    try:
        with counting_items_from(done):
            if task.name in {"raw", "image-classify"}:
                return task.run(model.model, window), None
            with span.get()("tokenise"):
                batch = task.encode(window)
            if truncate == "error":
                report_truncation(batch, truncate)
            return task.compute(model.model, window, batch), read_cut_tokens(batch)
    except RequestError as error:
        if not done or error.item is not None:
            raise
        raise RequestError(f"counting from item {done}: {error.message}", hint=error.hint) from error
