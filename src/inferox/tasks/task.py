"""A task: from items to rows of tensors, and from the model's outputs to answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from inferox.batching import MAX_ROWS, MAX_TOKENS, run_batches
from inferox.core import Batch, Model, Outputs, RequestError, Signature, span
from inferox.parity import ParityTarget, ProofInput
from inferox.tasks.truncation import report_truncation


class Task(ABC):
    """A task: what a model's numbers mean.

    Rows of several callers may share a batch between ``encode`` and ``decode``. A task holds no state that a call
    changes: several threads may use it at once.
    """

    name: ClassVar[str]
    """The task's name, such as ``embed``."""

    max_rows: ClassVar[int] = MAX_ROWS
    """The most rows that ``run`` puts in a batch."""

    reads_items: ClassVar[bool] = True
    """Whether an answer depends on its item beyond the rows of the model's inputs that ``encode`` makes of it."""

    @property
    @abstractmethod
    def pad_values(self) -> Mapping[str, int]:
        """The number that each input is padded with; inputs that are not listed are never padded."""

    @abstractmethod
    def encode(self, items: Sequence[Any]) -> Batch:
        """Makes rows of the model's inputs from items.

        Args:
            items: The items, of whichever kind the task takes.

        Returns:
            ``count_rows(item)`` rows for each item, in their order.

        Raises:
            RequestError: If an item cannot be computed; the message names it.
        """

    @abstractmethod
    def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> Any:
        """Reads the answer for each item from the model's outputs.

        Args:
            items: The items.
            batch: Their rows, as ``encode`` makes them.
            outputs: What the model computed for those.

        Returns:
            One result per item, in their order: a list, or an array of vectors.
        """

    def count_rows(self, item: Any) -> int:  # noqa: ARG002 - for items that are several rows
        """The number of rows that ``encode`` makes of an item: one, unless items are whole calls.

        Args:
            item: The item.
        """
        return 1

    @abstractmethod
    def samples(self) -> list[list[Any]]:
        """Varied items, in batches, on which runtimes are compared. The same at every call."""

    @abstractmethod
    def calibration_items(self) -> list[Any]:
        """Typical items to calibrate a quantiser on, none of them a sample. The same at every call."""

    @property
    def max_length(self) -> int | None:
        """The most tokens of a row; ``None`` where there is no limit, or a row has no tokens."""
        return None

    @property
    def special_tokens(self) -> Sequence[str]:
        """The texts that its tokenizer takes for one token each, such as ``[MASK]``; empty where it has none."""
        return ()

    def with_prompt(self, name: str) -> Task:
        """The same task, with a prompt of the model before each text.

        Args:
            name: The name of the prompt.

        Raises:
            RequestError: If there is no such prompt, as in a task that has none.
        """
        raise RequestError(f"the task {self.name} has no prompts, and {name!r} was asked for")

    def unscaled(self) -> Task:
        """The same task, whose numbers are given as they are before its last step.

        Scores are logits, before the activation; vectors are not scaled to length 1.

        Raises:
            RequestError: If its answers have no such form.
        """
        raise RequestError(f"the task {self.name} gives its answers in one form alone")

    def of_tokens(self) -> Task:
        """The same task, whose answers are the vectors of the single tokens as the model gives them.

        Raises:
            RequestError: If the task reads no such vectors.
        """
        raise RequestError(f"the task {self.name} reads no vectors of tokens")

    def reading_token_ids(self) -> Task:
        """The same task, whose items are lists of token ids in place of texts, special tokens included.

        Raises:
            RequestError: If it takes none.
        """
        raise RequestError(f"the task {self.name} takes no token ids")

    def cutting(self, side: str) -> Task:
        """The same task, which cuts texts that are too long on one side, whatever the model's own is.

        Args:
            side: ``left`` or ``right``.

        Raises:
            RequestError: If its items are not texts.
        """
        raise RequestError(f"the task {self.name} takes no texts, so that none can be cut on the {side}")

    def proof_inputs(self) -> list[ProofInput]:
        """Inputs on which the task is proven against the library that defines the model; empty where it takes tensors.

        The same at every call.
        """
        return []

    def parity_target(self, signature: Signature) -> ParityTarget:
        """Returns what runtimes are compared by: the model's outputs, or the vectors that the task derives from them.

        Args:
            signature: The padded signature of the package.
        """
        return ParityTarget.of_outputs(signature.outputs)

    def run(self, model: Model, items: Sequence[Any], *, truncate: str = "cut") -> Any:
        """Answers items: encodes them, computes them in batches of rows alike in length, and decodes.

        Args:
            model: The model, of the signature that the task was opened for.
            items: The items.
            truncate: What is done about texts that are longer than the model takes: ``error``, ``warn`` or ``cut``.

        Returns:
            One result per item, in their order: a list, or an array of vectors.

        Raises:
            InputTooLongError: If a text is too long and ``truncate`` is ``error``.
            RequestError: If an item cannot be computed; nothing has been computed then.
            BackendError: If the runtime fails.
        """
        read, batch = self.read(items, truncate)
        return self.compute(model, read, batch)

    def read(self, items: Iterable[Any], truncate: str) -> tuple[Sequence[Any], Batch]:
        """Encodes the items of a call to a model's method, and says or refuses what was cut.

        Args:
            items: The items.
            truncate: What is done about texts that are longer than the model takes: ``error``, ``warn`` or ``cut``.

        Returns:
            The items, and their rows.

        Raises:
            InputTooLongError: If a text is too long and ``truncate`` is ``error``.
            RequestError: If an item cannot be computed.
        """
        read = as_list(items)
        with span("tokenise"):
            batch = self.encode(read)
        report_truncation(batch, truncate)
        return read, batch

    def compute(self, model: Model, items: Sequence[Any], batch: Batch) -> Any:
        """Answers items that are encoded already: computes them in batches of rows alike in length, and decodes.

        Args:
            model: The model, of the signature that the task was opened for.
            items: The items, each of one row.
            batch: What ``encode`` made of them.

        Returns:
            One result per item, in their order: a list, or an array of vectors.

        Raises:
            RequestError: If a row does not fit the model's signature; nothing has been computed then.
            BackendError: If the runtime fails.
        """
        return self.collect(len(items), self.compute_batches(model, items, batch))

    def collect(self, count: int, answers: Iterable[tuple[Sequence[int], Any]]) -> Any:
        """Puts the answers of several batches into the order of the items.

        Args:
            count: The number of items.
            answers: The indices of some items, and what ``decode`` read for them. Together they are all items.

        Returns:
            One result per item, in their order: a list, or an array of vectors.
        """
        results: list[Any] = [None] * count
        for indices, decoded in answers:
            for index, result in zip(indices, decoded, strict=True):
                results[index] = result
        return results

    def compute_batches(
        self, model: Model, items: Sequence[Any], batch: Batch, *, max_tokens: int = MAX_TOKENS
    ) -> Iterator[tuple[list[int], Any]]:
        """Answers items batch by batch; see ``compute``.

        Args:
            model: As for ``compute``.
            items: As for ``compute``.
            batch: As for ``compute``.
            max_tokens: The most tokens of a batch, padding included.

        Yields:
            The indices of some items, and their results.
        """
        for indices, rows, outputs in run_batches(model, batch, max_tokens=max_tokens, max_rows=self.max_rows):
            with span("decode"):
                decoded = self.decode([items[index] for index in indices], rows, outputs)
            yield indices, decoded


def as_list(items: Any) -> Sequence[Any]:
    """Takes a sequence as it is, and reads what can be read only once into a list.

    Args:
        items: The items that a caller gave.

    Raises:
        RequestError: If it is neither a sequence nor an iterator.
    """
    # A generator or an open file can be read once, and items are read twice.
    is_array = hasattr(items, "__array__") and getattr(items, "ndim", 1) > 0
    if not isinstance(items, Sequence | Iterator) and not is_array:
        raise RequestError(
            f"expected a list of items, got a value of the type {type(items).__name__}", hint="give a list"
        )
    return list(items) if isinstance(items, Iterator) else items
