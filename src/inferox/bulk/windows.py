"""Windows of rows, which are sorted by length together and tokenized."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from inferox.bulk.inputs import Input
from inferox.bulk.questions import Questions
from inferox.bulk.rows import Rows, join_rows
from inferox.core import Batch, InputTooLongError, RequestError, span
from inferox.tasks import Task
from inferox.tasks.truncation import find_truncated, read_cut_tokens

WINDOW_ROWS = 8192
"""The most rows of a window, so that the rows of a batch are similar in length. They are held in memory."""

WINDOW_CHARACTERS = 16_000_000
"""The most characters of a window: with longer texts it has fewer rows."""

_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class Window:
    """Rows that are computed together.

    Attributes:
        part: The number of the part of the output that they belong to.
        is_last: Whether the part ends with them.
        rows: The rows as they were read.
        errors: For each row the reason why it has no answer; ``None`` if it has one.
        places: The indices of the rows that are computed.
        items: Their items.
        batch: Their tokens; ``None`` if no row is computed.
        truncated: Whether the text of each item was cut.
        share: The shares of the input's bytes before them, and up to their end.
    """

    part: int
    is_last: bool
    rows: Rows
    errors: list[str | None]
    places: list[int]
    items: list[Any]
    batch: Batch | None
    truncated: list[bool]
    share: tuple[float, float]


def read_part(source: Input, rows: int, *, is_first: bool) -> Iterator[tuple[Rows, bool]]:
    """Reads the rows of a part, window by window.

    The end of a window depends only on the rows from the start of the part on.

    Args:
        source: The input, at the first row of the part.
        rows: The number of rows of a part, if the input has as many.
        is_first: Whether it is the first part, which exists even if the input has no rows.

    Yields:
        The rows of a window, and whether the part ends with them.
    """
    left, waiting = rows, _read_window(source, rows)
    if is_first and not len(waiting):
        yield waiting, True
    while len(waiting):
        left -= len(waiting)
        following = _read_window(source, left)
        yield waiting, not len(following)
        waiting = following


def _read_window(source: Input, most: int) -> Rows:
    with span.get()("read"):
        return _take_window(source, most)


def _take_window(source: Input, most: int) -> Rows:
    blocks: list[Rows] = []
    rows = characters = 0
    most = min(most, WINDOW_ROWS)
    while rows < most and characters < WINDOW_CHARACTERS:
        block = source.take(min(_BLOCK_ROWS, most - rows))
        blocks.append(block)
        if not len(block):
            break
        rows += len(block)
        characters += sum(map(_count_characters, block.columns.values()))
    return join_rows(blocks) if blocks else source.take(0)


def _count_characters(column: Any) -> int:
    if isinstance(column, list):
        return sum(len(value) for value in column if isinstance(value, str))
    size: int = column.nbytes
    return size


def encode_window(
    task: Task, questions: Questions, rows: Rows, *, part: int, is_last: bool, truncate: str, share: tuple[float, float]
) -> Window:
    """Tokenizes the rows of a window. A row that fails gets an error, and does not affect the others.

    Args:
        task: The task.
        questions: Makes items from rows.
        rows: The rows.
        part: The number of their part.
        is_last: Whether the part ends with them.
        truncate: The handling of texts that are too long: with ``error`` their rows fail, otherwise they are cut.
        share: The shares of the input's bytes before them, and up to their end.
    """
    with span.get()("tokenise"):
        items, errors = questions.make(rows)
        places = [place for place, error in enumerate(errors) if error is None]
        batch = _encode(task, items, places, errors)
    cut: list[bool] = [] if batch is None else find_truncated(batch).tolist()
    if truncate == "error" and batch is not None and any(cut):
        for index, place in enumerate(places):
            if cut[index]:
                kept = int(batch.lengths[index])
                tokens = read_cut_tokens(batch, range(index, index + 1))[0]
                unit = "tokens or more" if tokens.is_least else "tokens"
                errors[place] = str(InputTooLongError("the text", length=kept + tokens.count, limit=kept, unit=unit))
        whole = [index for index, was_cut in enumerate(cut) if not was_cut]
        places, cut = [places[index] for index in whole], [False] * len(whole)
        batch = batch.select(whole) if whole else None
    return Window(part, is_last, rows, errors, places, [items[place] for place in places], batch, cut, share)


def _encode(task: Task, items: list[Any], places: list[int], errors: list[str | None]) -> Batch | None:
    """Encodes the items of some places; removes the places whose items cannot be encoded, and records their errors."""
    if not places:
        return None
    try:
        return task.encode([items[place] for place in places])
    except RequestError:
        pass
    refused = set()
    for place in places:
        try:
            task.encode([items[place]])
        except RequestError as error:
            errors[place] = str(error.at_item(None) if error.item is None else error).replace("text 0", "the text")
            refused.add(place)
    places[:] = [place for place in places if place not in refused]
    return task.encode([items[place] for place in places]) if places else None
