"""Outputs for the results of ``inferox run``: tables for people, JSON lines for pipes, and files."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from inferox.cli.bulk import JSON_LINES_SUFFIXES
from inferox.cli.output_file import open_output, writing
from inferox.cli.records import to_record
from inferox.cli.terminal import make_console
from inferox.core import ConfigError
from inferox.tasks import Task
from inferox.tasks.truncation import CutTokens

_ARRAYS = (".npz", ".safetensors")


class Sink(ABC):
    """An output that takes results as they are computed."""

    @abstractmethod
    def write(
        self, task: Task, items: Sequence[Any], results: Sequence[Any], cut_tokens: Sequence[CutTokens] | None = None
    ) -> None:
        """Takes the results of some items.

        Args:
            task: The task of the results.
            items: The items.
            results: One result per item.
            cut_tokens: The tokens cut from each item's text; ``None`` for a task without texts.

        Raises:
            ConfigError: If results of this task cannot be written here.
        """

    @abstractmethod
    def finish(self) -> None:
        """Writes what can only be written once all results have been taken."""


class JsonLines(Sink):
    """Writes one JSON object per result, as results are computed.

    Args:
        stream: The stream to write to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._count = 0

    def write(
        self, task: Task, items: Sequence[Any], results: Sequence[Any], cut_tokens: Sequence[CutTokens] | None = None
    ) -> None:
        """Writes one line per result; see ``Sink``."""
        for place, (item, result) in enumerate(zip(items, results, strict=True)):
            cut = {} if cut_tokens is None else _to_fields(cut_tokens[place])
            record = {"index": self._count, **to_record(task.name, item, result), **cut}
            self._stream.write(json.dumps(record) + "\n")
            self._count += 1
        self._stream.flush()

    def finish(self) -> None:
        """Does nothing: every line is already written."""


def _to_fields(tokens: CutTokens) -> dict[str, Any]:
    """Returns the fields of a record for the tokens cut from its text."""
    more = {"more_cut": True} if tokens.is_least else {}
    return {"cut_tokens": tokens.count, **more}


class Arrays(Sink):
    """Writes one ``.npz`` or ``.safetensors`` file: embeddings as one matrix, raw outputs by name, numbered by call.

    Args:
        path: The file to write to.
        suffix: ``.npz`` or ``.safetensors``.
    """

    def __init__(self, path: Path, suffix: str) -> None:
        self._path = path
        self._suffix = suffix
        self._vectors: list[npt.NDArray[np.float32]] = []
        self._calls: list[dict[str, npt.NDArray[Any]]] = []

    def write(
        self,
        task: Task,
        items: Sequence[Any],  # noqa: ARG002 - only arrays are written
        results: Sequence[Any],
        cut_tokens: Sequence[CutTokens] | None = None,  # noqa: ARG002
    ) -> None:
        """Keeps the arrays; see ``Sink``."""
        if task.name == "embed":
            self._vectors.extend(results)
        elif task.name == "raw":
            self._calls.extend(results)
        else:
            raise ConfigError(f"the results of {task.name} are not arrays", hint="write them to a .jsonl file")

    def finish(self) -> None:
        """Writes the file."""
        arrays = {"embeddings": np.stack(self._vectors)} if self._vectors else self._numbered_calls()
        if self._suffix == ".npz":
            with self._path.open("wb") as stream:
                np.savez(stream, **arrays)
            return
        from safetensors.numpy import save_file

        save_file({name: np.asarray(array, order="C") for name, array in arrays.items()}, self._path)

    def _numbered_calls(self) -> dict[str, npt.NDArray[Any]]:
        if len(self._calls) == 1:
            return self._calls[0]
        return {f"{index}.{name}": array for index, call in enumerate(self._calls) for name, array in call.items()}


class Tables(Sink):
    """Prints a table for people, once all results have been taken."""

    def __init__(self) -> None:
        self._task: Task | None = None
        self._items: list[Any] = []
        self._results: list[Any] = []

    def write(
        self,
        task: Task,
        items: Sequence[Any],
        results: Sequence[Any],
        cut_tokens: Sequence[CutTokens] | None = None,  # noqa: ARG002 - cuts are reported on standard error
    ) -> None:
        """Keeps the results; see ``Sink``."""
        self._task = task
        self._items.extend(items)
        self._results.extend(results)

    def finish(self) -> None:
        """Prints the table."""
        from inferox.cli.tables import result_table

        if self._task is not None:
            make_console().print(result_table(self._task.name, self._items, self._results))


@contextmanager
def open_sink(output: str | None, *, as_json: bool, force: bool) -> Iterator[Sink]:
    """Opens the output for results, and finishes it if nothing went wrong.

    A file appears under its name once it is complete: a run that fails or is interrupted leaves none.

    Args:
        output: A file, whose suffix determines the format; ``None`` for standard output.
        as_json: Whether standard output gets JSON lines rather than a table.
        force: Whether an existing file may be replaced.

    Yields:
        The output.

    Raises:
        ConfigError: If the file exists, cannot be written, or has an unknown suffix.
    """
    if output is None:
        if sys.stdout is None:
            raise ConfigError("standard output is closed", hint="write to a file with --output")
        sink: Sink = JsonLines(sys.stdout) if as_json else Tables()
        yield sink
        sink.finish()
        return
    target, suffixes = Path(output), (*JSON_LINES_SUFFIXES, *_ARRAYS)
    hint = None if target.suffix in suffixes else _bulk_hint(suffixes)
    with (
        open_output(target, suffixes=suffixes, force=force, suffix_hint=hint) as temporary,
        ExitStack() as stack,
    ):
        if target.suffix in _ARRAYS:
            sink = Arrays(temporary, target.suffix)
        else:
            sink = JsonLines(stack.enter_context(temporary.open("w", encoding="utf-8")))
        guarded = _FileSink(sink, target)
        yield guarded
        guarded.finish()


def _bulk_hint(suffixes: tuple[str, ...]) -> str:
    from inferox.bulk.writers import FORMATS

    others = ", ".join(f".{form}" for form in FORMATS if f".{form}" not in suffixes)
    return f"results of texts from --input may also go to a folder, or a file that ends in {others}"


class _FileSink(Sink):
    """Names the file in errors of writing it, which would otherwise be taken for errors of standard output."""

    def __init__(self, sink: Sink, target: Path) -> None:
        self._sink, self._target = sink, target

    def write(
        self, task: Task, items: Sequence[Any], results: Sequence[Any], cut_tokens: Sequence[CutTokens] | None = None
    ) -> None:
        with writing(self._target):
            self._sink.write(task, items, results, cut_tokens)

    def finish(self) -> None:
        with writing(self._target):
            self._sink.finish()
