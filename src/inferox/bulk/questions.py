"""Items for a task, made from the columns of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from inferox.bulk.rows import Rows
from inferox.core import ConfigError


@dataclass(frozen=True)
class Questions:
    """The columns from which an item is made.

    Attributes:
        column: The column of the text, or of the document to be scored.
        pair_column: The column of the second text of each pair (classify), or of the query (rerank); ``None`` if there
            is none.
        query: The query for all rows (rerank); ``None`` if a column holds it, or there is none.
        is_query_first: Whether the item is the query and the document, rather than the text and the second text.
    """

    column: str
    pair_column: str | None = None
    query: str | None = None
    is_query_first: bool = False

    @classmethod
    def of_task(cls, task: str, column: str, pair_column: str | None, query: str | None) -> Questions:
        """Chooses the columns for a task.

        Args:
            task: The task's name.
            column: The column of the text.
            pair_column: The column of the text paired with it; ``None`` for none.
            query: The query for all rows; ``None`` for none.

        Raises:
            ConfigError: If these do not fit the task.
        """
        if task not in {"embed", "classify", "token-classify", "rerank"}:
            raise ConfigError(
                f"columns of a file hold texts, which the task {task} does not take",
                hint="give its items as they are, without --column, and an output file in .jsonl, .npz or .safetensors",
            )
        if task == "rerank" and (pair_column is None) == (query is None):
            raise ConfigError("rerank needs a query for each document: give either --query or --pair-column")
        if pair_column is not None and task not in {"classify", "rerank"}:
            raise ConfigError(f"--pair-column is for the tasks classify and rerank, but the package's is {task}")
        if query is not None and task != "rerank":
            raise ConfigError(f"--query is for the task rerank, but the package's is {task}")
        return cls(column, pair_column, query, is_query_first=task == "rerank")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that are read."""
        return (self.column,) if self.pair_column is None else (self.column, self.pair_column)

    def make(self, rows: Rows) -> tuple[list[Any], list[str | None]]:
        """Makes an item from each row.

        Args:
            rows: The rows.

        Returns:
            The items, and for each row the reason why it has no valid item; ``None`` if it has one.
        """
        errors = list(rows.errors)
        named = {name: rows.values(name) for name in self.columns}
        for name, values in named.items():
            for place, value in enumerate(values):
                if errors[place] is None and not isinstance(value, str):
                    kind = "null" if value is None else f"of the type {type(value).__name__}"
                    errors[place] = f"{name!r} must be a text, but is {kind}"
        texts = named[self.column]
        if self.pair_column is not None:
            others = named[self.pair_column]
        elif self.query is not None:
            others = [self.query] * len(texts)
        else:
            return texts, errors
        return list(zip(others, texts, strict=True) if self.is_query_first else zip(texts, others, strict=True)), errors
