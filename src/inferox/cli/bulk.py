"""``inferox run`` on files of many rows: its options, and the report of its progress."""

from __future__ import annotations

import codecs
import glob
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from inferox.cli.progress import watching
from inferox.cli.terminal import say

if TYPE_CHECKING:
    from inferox.bulk import BulkOptions, BulkResult
    from inferox.loading import PlannedLoad

Command = TypeVar("Command", bound=Callable[..., Any])

ROW_FILES = (".parquet", ".arrow", ".feather", ".csv", ".tsv", ".npy", ".gz")
"""The suffixes of files that have rows with columns."""

JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
"""Suffixes of files whose lines are JSON. The lines of other files are texts, even if they look like JSON."""

_COLUMNS_OF_LINES = (".csv", ".tsv")
"""Those of the files of rows that ``--pairs`` reads as lines of two columns."""

_SECOND_TEXTS = frozenset({"text_pair", "query", "document", "documents"})
"""Keys of JSON lines that are not columns, but make pairs with the text."""


def bulk_options(command: Command) -> Command:
    """Adds the options of bulk runs."""
    options = (
        click.option("--column", help="Bulk: the column of the text, or of the document (rerank). By default text."),
        click.option("--pair-column", help="Bulk: the column of the second text (classify), or of the query (rerank)."),
        click.option("--keep", metavar="NAME,…", help="Bulk: the columns to copy to the output. By default all."),
        click.option(
            "--format",
            "form",
            type=click.Choice(["parquet", "arrow", "jsonl", "csv", "npy"]),
            help="Bulk: the format of the parts in a folder. By default parquet.",
        ),
        click.option(
            "--dtype",
            type=click.Choice(["float32", "float16", "int8", "binary", "ubinary"]),
            help="Bulk: the number format of vectors (embed). By default float32.",
        ),
        click.option("--truncate-dim", type=click.IntRange(min=1), help="Bulk: the length to cut vectors to (embed)."),
        click.option("--normalize", is_flag=True, default=None, help="Bulk: scale vectors to length 1 (embed)."),
        click.option(
            "--on-error",
            type=click.Choice(["keep", "fail"]),
            help="Bulk: keep rows that fail, with the reason in the column error (the default), or fail the run.",
        ),
        click.option("--resume", is_flag=True, default=None, help="Bulk: continue an earlier run."),
        click.option(
            "--shard", metavar="I/N", callback=_parse_shard, help="Bulk: only every N-th part, from the I-th (0…)."
        ),
        click.option(
            "--part-rows", type=click.IntRange(min=1), help="Bulk: the number of rows of a part. By default 32768."
        ),
    )
    for option in reversed(options):  # the order in which decorators apply
        command = option(command)
    return command


@dataclass(frozen=True)
class BulkArguments:
    """The options of a bulk run as given on the command line; ``None`` for those not given.

    Attributes:
        column: The column of the text.
        pair_column: The column of the text paired with it.
        keep: The columns to copy to the output, separated by commas.
        form: The format of the parts.
        dtype: The number format of vectors.
        truncate_dim: The length to cut vectors to.
        normalize: Whether to scale them to length 1.
        on_error: The handling of rows that fail.
        resume: Whether to continue an earlier run.
        shard: The index of the shard and the number of shards.
        part_rows: The number of rows of a part.
    """

    column: str | None = None
    pair_column: str | None = None
    keep: str | None = None
    form: str | None = None
    dtype: str | None = None
    truncate_dim: int | None = None
    normalize: bool | None = None
    on_error: str | None = None
    resume: bool | None = None
    shard: tuple[int, int] | None = None
    part_rows: int | None = None

    def is_meant(self, inputs: tuple[str, ...], output: str | None, *, are_pairs: bool) -> bool:
        """Returns True if the command line requests a bulk run.

        Args:
            inputs: The values of ``--input``.
            output: The value of ``--output``.
            are_pairs: Whether the two columns of a line are a pair.
        """
        if any(value is not None for value in vars(self).values()) or len(inputs) > 1:
            return True
        row_files = set(ROW_FILES) - set(_COLUMNS_OF_LINES if are_pairs else ())
        of_rows = any(Path(name).suffix in row_files or Path(name).is_dir() for name in inputs)
        is_pattern = any(glob.has_magic(name) and not Path(name).exists() for name in inputs)
        is_folder = output is not None and (not Path(output).suffix or Path(output).is_dir())
        into_rows = output is not None and Path(output).suffix in ROW_FILES
        of_columns = output is not None and Path(output).suffix == ".jsonl" and any(map(_has_columns, inputs))
        return of_rows or is_pattern or of_columns or ((is_folder or into_rows) and bool(inputs))

    def to_options(self, output: str | None, *, query: str | None, prompt: str | None, truncate: str) -> BulkOptions:
        """Makes the options of the bulk run.

        Args:
            output: The value of ``--output``.
            query: The query for all rows (rerank).
            prompt: The name of the model's prompt (embed).
            truncate: The handling of texts that are too long.
        """
        from inferox.bulk import BulkOptions
        from inferox.tasks import VectorForm

        given = {name: getattr(self, name) for name in ("column", "on_error", "shard", "part_rows")}
        keep = None if self.keep is None else tuple(name.strip() for name in self.keep.split(",") if name.strip())
        if self.form == "npy" or (output is not None and Path(output).suffix == ".npy"):
            # An array has no columns besides the answers.
            keep, given["on_error"] = keep or (), self.on_error or "fail"
        return BulkOptions(
            pair_column=self.pair_column,
            query=query,
            keep=keep,
            form=VectorForm(self.truncate_dim, self.normalize or False, self.dtype or "float32"),
            prompt=prompt,
            truncate=truncate,
            **{name: value for name, value in given.items() if value is not None},
        )


def _has_columns(name: str) -> bool:
    """Returns True if the first object of a file of JSON lines has a text and other columns."""
    if Path(name).suffix not in JSON_LINES_SUFFIXES or not Path(name).is_file():  # a pipe can be read only once
        return False
    try:
        with Path(name).open("rb") as stream:
            lines = (line.removeprefix(codecs.BOM_UTF8) for line in stream)
            record = json.loads(next((line for line in lines if line.strip()), b""))
    except (OSError, ValueError, RecursionError):  # refused by whoever reads the whole file
        return False
    # The values of raw inputs are tensors.
    has_text = isinstance(record, dict) and isinstance(record.get("text", 0), str | None)
    return has_text and len(record) > 1 and not record.keys() & _SECOND_TEXTS


def run_in_bulk(
    planned: Callable[[], PlannedLoad],
    inputs: tuple[str, ...],
    output: str | None,
    arguments: BulkArguments,
    options: BulkOptions,
    *,
    force: bool,
    as_json: bool,
    noting: AbstractContextManager[None],
) -> None:
    """Runs a package over files of many rows.

    Args:
        planned: Opens the package.
        inputs: Files, folders and patterns.
        output: The folder of the output.
        arguments: The options as given on the command line.
        options: The options of the bulk run.
        force: Whether to replace an existing output.
        as_json: Whether to write a JSON object to standard output.
        noting: Records a profile.
    """
    from inferox.bulk import run_bulk
    from inferox.bulk.output import format_of
    from inferox.core import ConfigError, RequestError, counted

    if not inputs:
        raise ConfigError("rows come from files", hint="give files, folders or patterns with --input")
    if output is None:
        raise ConfigError(
            "rows go to a folder, or a file such as vectors.parquet, but there is no --output",
            hint="give a folder, or a name that ends in .parquet, .arrow, .jsonl, .csv or .npy",
        )
    format_of(Path(output))  # refused before the package is loaded
    resume = arguments.resume or False
    plan = planned()
    with plan.load() as model, watching() as watcher, noting:
        try:
            result = run_bulk(
                model,
                plan.digest,
                inputs,
                Path(output),
                options,
                form=arguments.form,
                resume=resume,
                force=force,
                watcher=watcher,
            )
        except KeyboardInterrupt:
            say(
                f"inferox: stopped after {counted(watcher.computed, 'row')}; --resume continues after the last part",
                err=True,
            )
            raise
    if as_json:
        click.echo(json.dumps({"output": output, **asdict(result)}))
    _say_end(result, output, options)
    if result.rows and result.failed == result.rows:
        # A script must not take this for success.
        raise RequestError(
            f"no row has an answer; the column error says why{_say_first(result)}",
            hint=f"--column {options.column} must hold texts",
        )


def _say_end(result: BulkResult, output: str, options: BulkOptions) -> None:
    from inferox.core import counted

    before = result.rows - result.computed
    earlier = f", {before:,} of them by earlier runs" if before else ""
    rate = f", {result.computed / result.seconds:,.0f} rows/s" if result.computed else ""
    say(f"inferox: {counted(result.rows, 'row')} in {output}{earlier}{rate}", err=True)
    if 0 < result.failed < result.rows:
        say(
            f"inferox: {result.failed:,} of {counted(result.rows, 'row')} without an answer; the column error says why"
            f"{_say_first(result)}",
            err=True,
        )
    if result.cut and options.truncate == "warn":
        say(f"inferox: {result.cut:,} of {counted(result.rows, 'text')} longer than the model takes, and cut", err=True)


def _say_first(result: BulkResult) -> str:
    # Those of rows that an earlier run wrote are in their parts alone.
    return f", first: {result.first_error}" if result.first_error else ""


def _parse_shard(_context: click.Context, _parameter: click.Parameter, text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    index, slash, count = text.partition("/")
    if not (slash and index.isdigit() and count.isdigit() and int(index) < int(count)):
        raise click.BadParameter(f"{text!r} is not of the form I/N with I from 0 to N - 1, such as 0/4")
    return int(index), int(count)
