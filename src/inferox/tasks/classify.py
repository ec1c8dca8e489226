"""Texts to labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from inferox.batching import Outputs, Row
from inferox.core import Signature
from inferox.package import ProofInput
from inferox.tasks.calibration_texts import calibration_texts
from inferox.tasks.labels import Labels, LabelScore
from inferox.tasks.proof_inputs import make_proof_inputs
from inferox.tasks.signature import find_output
from inferox.tasks.task import Task
from inferox.tasks.text_samples import sample_texts
from inferox.tasks.tokenizer import Text, TextTokenizer


class ClassifyTask(Task):
    """Says how well each label fits a text.

    Items are strings, or pairs of strings for models that compare two texts. Results are all labels with their scores,
    the best first.

    Args:
        root: The folder of the package.
        options: ``labels`` and ``activation``, as ``read_label_options`` gives them, and the options of the tokenizer.
        signature: What the model takes and gives.

    Raises:
        ManifestError: If an option is missing or wrong, or the model gives no logits for the labels.
        PackageError: If a file is missing or cannot be read.
    """

    name: ClassVar[str] = "classify"

    def __init__(self, root: Path, options: Mapping[str, Any], signature: Signature) -> None:
        self._tokenizer = TextTokenizer.open(root, options, signature)
        self._logits = find_output(signature, "logits", ndim=2, task=self.name, shape="[batch, labels]")
        self._labels = Labels(options, self._logits)

    @property
    def labels(self) -> Sequence[str]:
        """The labels, in the order of the logits."""
        return self._labels.names

    @property
    def fill(self) -> Mapping[str, int]:
        """The number that each input is padded with."""
        return self._tokenizer.fill

    def encode(self, items: Sequence[Text]) -> list[Row]:
        """Makes a row of each text or pair; see ``Task``. An empty text is legal."""
        return self._tokenizer.encode(items)

    def decode(
        self,
        items: Sequence[Text],  # noqa: ARG002 - a label depends on the logits alone
        rows: Sequence[Row],  # noqa: ARG002
        outputs: Sequence[Outputs],
    ) -> list[tuple[LabelScore, ...]]:
        """Scores the labels of each row; see ``Task``."""
        return [self._labels.rank(output[self._logits.name]) for output in outputs]

    @property
    def max_length(self) -> int | None:
        """The most tokens of a row, special tokens included; ``None`` where there is no limit."""
        return self._tokenizer.max_length

    def proof_inputs(self) -> list[ProofInput]:
        """Varied texts; see ``Task``."""
        return make_proof_inputs(
            self.name,
            max_length=self._tokenizer.max_length,
            special_tokens=self._tokenizer.special_tokens,
        )

    def calibration_items(self) -> list[str]:
        """Natural texts; see ``Task``."""
        return calibration_texts()

    def samples(self) -> list[list[str]]:
        """Texts from the empty one to the model's limit; see ``Task``."""
        return self._tokenizer.readable(sample_texts(self._tokenizer.max_length, self._tokenizer.special_tokens))
