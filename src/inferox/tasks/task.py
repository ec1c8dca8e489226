"""The contract of a task: from items to rows of tensors, and from the model's outputs to answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from inferox.batching import MAX_ROWS, MAX_TOKENS, run_batches
from inferox.core import Batch, Model, Outputs, RequestError, Signature, span
from inferox.parity import ParityTarget, ProofInput
from inferox.tasks.given_items import as_list
from inferox.tasks.truncation import check_truncation, report_truncation


class Task(ABC):
    """A task, which gives a model's numbers their meaning.

    Rows of several callers may share a batch between ``encode`` and ``decode``. Calls do not change a task's state, so
    several threads may use it at once.
    """

    name: ClassVar[str]
    """The task's name, such as ``embed``."""

    max_rows: ClassVar[int] = MAX_ROWS
    """The most rows that ``run`` puts into a batch."""

    reads_items: ClassVar[bool] = True
    """True if an answer depends on its item beyond the rows that ``encode`` makes of it."""

    @property
    @abstractmethod
    def pad_values(self) -> Mapping[str, int]:
        """The number that each input is padded with; inputs that are not listed are never padded."""

    @abstractmethod
    def encode(self, items: Sequence[Any]) -> Batch:
        """Encodes items as rows of the model's inputs.

        Args:
            items: The items, of whichever kind the task takes.

        Returns:
            ``count_rows(item)`` rows for each item, in order.

        Raises:
            RequestError: If an item cannot be computed; the message names it.
        """

    @abstractmethod
    def decode(self, items: Sequence[Any], batch: Batch, outputs: Outputs) -> Any:
        """Reads the answer for each item from the model's outputs.

        Args:
            items: The items.
            batch: Their rows, as ``encode`` returned them.
            outputs: The model's outputs for those rows.

        Returns:
            One result per item, in their order: a list, or an array of vectors.
        """

    def count_rows(self, item: Any) -> int:  # noqa: ARG002 - for items that are several rows
        """Counts the rows that ``encode`` makes of an item: one, unless items are whole calls.

        Args:
            item: The item.
        """
        return 1

    @abstractmethod
    def samples(self) -> list[list[Any]]:
        """Returns varied items, in batches, on which runtimes are compared. The same at every call."""

    @abstractmethod
    def calibration_items(self) -> list[Any]:
        """Returns typical items to calibrate a quantiser on, none of them a sample. The same at every call."""

    @property
    def max_length(self) -> int | None:
        """The most tokens of a row; ``None`` if there is no limit, or rows have no tokens."""
        return None

    @property
    def special_tokens(self) -> Sequence[str]:
        """The texts that its tokenizer maps to one token each, such as ``[MASK]``; empty if it has none."""
        return ()

    def with_prompt(self, name: str) -> Task:
        """Returns the same task with one of the model's prompts before each text.

        Args:
            name: The name of the prompt.

        Raises:
            RequestError: If there is no such prompt, as for a task without prompts.
        """
        raise RequestError(f"the task {self.name} has no prompts, but {name!r} was requested")

    def unscaled(self) -> Task:
        """Returns the same task without its last step.

        Scores are logits, before the activation; vectors are not scaled to unit length.

        Raises:
            RequestError: If its answers have no such form.
        """
        raise RequestError(f"the task {self.name} gives its answers in only one form")

    def of_tokens(self) -> Task:
        """Returns the same task with the model's vectors of single tokens as answers.

        Raises:
            RequestError: If the task reads no such vectors.
        """
        raise RequestError(f"the task {self.name} reads no vectors of tokens")

    def reading_token_ids(self) -> Task:
        """Returns the same task for items that are lists of token ids in place of texts, including special tokens.

        Raises:
            RequestError: If it takes no token ids.
        """
        raise RequestError(f"the task {self.name} takes no token ids")

    def cutting(self, side: str) -> Task:
        """Returns the same task with another side on which texts that are too long are cut.

        Args:
            side: ``left`` or ``right``.

        Raises:
            RequestError: If its items are not texts.
        """
        raise RequestError(f"the task {self.name} takes no texts, so there is nothing to cut on the {side}")

    def proof_inputs(self) -> list[ProofInput]:
        """Returns inputs that prove the task against the library that defines the model; empty if it takes tensors.

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
        """Runs the task: encodes items, computes them in batches of rows of similar length, and decodes the outputs.

        Args:
            model: The model, of the signature that the task was opened for.
            items: The items.
            truncate: The treatment of texts that are longer than the model takes: ``error``, ``warn`` or ``cut``.

        Returns:
            One result per item, in their order: a list, or an array of vectors.

        Raises:
            InputTooLongError: If a text is too long and ``truncate`` is ``error``.
            RequestError: If an item cannot be computed; then nothing is computed.
            BackendError: If the runtime fails.
        """
        read, batch = self.read(items, truncate)
        return self.compute(model, read, batch)

    def read(self, items: Iterable[Any], truncate: str) -> tuple[Sequence[Any], Batch]:
        """Encodes the items of a call, and warns about or refuses texts that were cut.

        Args:
            items: The items.
            truncate: The treatment of texts that are longer than the model takes: ``error``, ``warn`` or ``cut``.

        Returns:
            The items, and their rows.

        Raises:
            ConfigError: If ``truncate`` is something else.
            InputTooLongError: If a text is too long and ``truncate`` is ``error``.
            RequestError: If an item cannot be computed.
        """
        check_truncation(truncate)
        read = as_list(items)
        with span.get()("tokenise"):
            batch = self.encode(read)
        report_truncation(batch, truncate)
        return read, batch

    def compute(self, model: Model, items: Sequence[Any], batch: Batch) -> Any:
        """Computes encoded items in batches of rows of similar length, and decodes the outputs.

        Args:
            model: The model, of the signature that the task was opened for.
            items: The items, each of one row unless they are whole calls.
            batch: Their rows, as ``encode`` returned them.

        Returns:
            One result per item, in their order: a list, or an array of vectors.

        Raises:
            RequestError: If a row does not fit the model's signature; then nothing is computed.
            BackendError: If the runtime fails.
        """
        return self.collect(len(items), self.compute_batches(model, items, batch))

    def collect(self, count: int, answers: Iterable[tuple[Sequence[int], Any]]) -> Any:
        """Collects the answers of several batches in the order of the items.

        Args:
            count: The number of items.
            answers: The indices of items with their results from ``decode``. Together they cover all items.

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
        """Computes items batch by batch; see ``compute``.

        Args:
            model: As for ``compute``.
            items: As for ``compute``.
            batch: As for ``compute``.
            max_tokens: The most tokens of a batch, padding included.

        Yields:
            The indices of a batch's items, and their results.
        """
        for indices, rows, outputs in run_batches(model, batch, max_tokens=max_tokens, max_rows=self.max_rows):
            with span.get()("decode"):
                decoded = self.decode([items[index] for index in indices], rows, outputs)
            yield indices, decoded
