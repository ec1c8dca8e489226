"""The common base of tasks that read texts: the tokenizer, and the texts on which they are tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Self

from inferox.core import Signature
from inferox.parity import ProofInput
from inferox.tasks.calibration_texts import calibration_texts
from inferox.tasks.proof_inputs import make_proof_inputs
from inferox.tasks.task import Task
from inferox.tasks.text_samples import sample_texts
from inferox.tasks.token import Token
from inferox.tasks.token_texts import divide_texts, join_tokens
from inferox.tasks.tokenizer import TextTokenizer


class TextTask(Task):
    """A task whose items are texts, or pairs of texts.

    Args:
        root: The folder of the package.
        options: The options of the tokenizer, among those of the task.
        signature: The model's signature.

    Raises:
        ManifestError: If an option is missing or wrong.
        PackageError: If a file is missing or cannot be read.
    """

    def __init__(self, root: Path, options: Mapping[str, Any], signature: Signature) -> None:
        self._tokenizer = TextTokenizer.open(root, options, signature)
        self._prompt = ""

    @property
    def pad_values(self) -> Mapping[str, int]:
        """The number that each input is padded with."""
        return self._tokenizer.pad_values

    @property
    def max_length(self) -> int | None:
        """The most tokens of a row, including special tokens; ``None`` if there is no limit."""
        return self._tokenizer.max_length

    @property
    def special_tokens(self) -> Sequence[str]:
        """The texts that its tokenizer maps to one token each; see ``Task``."""
        return self._tokenizer.special_tokens

    def with_max_length(self, max_length: int) -> Self:
        """Returns the same task with another token limit.

        Args:
            max_length: The most tokens of a row, including special tokens.

        Raises:
            ConfigError: If that leaves no room for a text, or the model cannot take that many.
        """
        other = copy(self)
        other._tokenizer = self._tokenizer.with_max_length(max_length)  # noqa: SLF001 - a copy of this one
        return other

    @property
    def prompts(self) -> Mapping[str, str]:
        """The prompts that can be put before texts, by name."""
        return {}

    def count_prompt(self, prompt: str) -> int:
        """Counts the tokens that a prompt takes up at the front of a row, including special tokens before it.

        Args:
            prompt: The text; empty for nothing, which takes up none.
        """
        return self._tokenizer.count_prompt(prompt) if prompt else 0

    def tokenize(self, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[Token]]:
        """Splits texts into tokens, with the task's prompt before each; see ``divide_texts``."""
        return divide_texts(self._tokenizer.library, texts, prompt=self._prompt, add_special_tokens=add_special_tokens)

    def detokenize(self, ids: Sequence[Sequence[int]], *, skip_special_tokens: bool) -> list[str]:
        """Decodes tokens to texts; see ``join_tokens``."""
        return join_tokens(self._tokenizer.library, ids, skip_special_tokens=skip_special_tokens)

    def cutting(self, side: str) -> Self:
        """Returns the same task with another side on which texts are cut; see ``Task``."""
        other = copy(self)
        other._tokenizer = self._tokenizer.cutting(side)  # noqa: SLF001 - a copy of this one
        return other

    def proof_inputs(self) -> list[ProofInput]:
        """Varied texts, some with each prompt; see ``Task``."""
        return make_proof_inputs(
            self.name,
            max_length=self.max_length,
            special_tokens=self.special_tokens,
            prompts=tuple(name for name, text in self.prompts.items() if text),
        )

    def calibration_items(self) -> list[Any]:
        """Natural texts; see ``Task``."""
        return calibration_texts()

    def samples(self) -> list[list[Any]]:
        """Texts from the empty one to the model's limit; see ``Task``."""
        return self._tokenizer.readable(sample_texts(self.max_length, self._tokenizer.special_tokens))
