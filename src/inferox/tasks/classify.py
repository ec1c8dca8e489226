"""The task ``classify``: texts to labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, ClassVar

import numpy.typing as npt

from inferox.core import Batch, Outputs, Signature
from inferox.tasks.labels import Labels, LabelScore
from inferox.tasks.signature import find_output
from inferox.tasks.text_task import TextTask
from inferox.tasks.texts import Text


class ClassifyTask(TextTask):
    """Scores each label for a text.

    Items are strings, or pairs of strings for models that compare two texts. Results are all labels with their scores,
    the best first.

    Args:
        root: The folder of the package.
        options: ``labels`` and ``activation``, as ``read_label_options`` returns them, and the options of the
            tokenizer.
        signature: The model's signature.

    Raises:
        ManifestError: If an option is missing or wrong, or the model has no logits for the labels.
        PackageError: If a file is missing or cannot be read.
    """

    name: ClassVar[str] = "classify"
    reads_items: ClassVar[bool] = False

    def __init__(self, root: Path, options: Mapping[str, Any], signature: Signature) -> None:
        super().__init__(root, options, signature)
        self._logits = find_output(signature, "logits", ndim=2, task=self.name, shape="[batch, labels]")
        self._labels = Labels(options, self._logits)

    @property
    def labels(self) -> Sequence[str]:
        """The labels, in the order of the logits."""
        return self._labels.names

    def unscaled(self) -> ClassifyTask:
        """Returns the same task with logits as scores; see ``Task``."""
        other = copy(self)
        other._labels = self._labels.without_activation()  # noqa: SLF001 - a copy of this one
        return other

    def encode(self, items: Sequence[Text]) -> Batch:
        """Encodes each text or pair as a row; see ``Task``. An empty text is allowed."""
        return self._tokenizer.encode(items)

    def decode(
        self,
        items: Sequence[Text],  # noqa: ARG002 - a label depends on the logits alone
        batch: Batch,  # noqa: ARG002
        outputs: Outputs,
    ) -> list[tuple[LabelScore, ...]]:
        """Scores the labels of each row; see ``Task``."""
        return self._labels.rank(self.logits(outputs))

    def logits(self, outputs: Outputs) -> npt.NDArray[Any]:
        """Returns the labels' logits, before the activation; shape ``[rows, labels]``.

        Args:
            outputs: The model's outputs for a batch.
        """
        return outputs.of_rows(self._logits.name)
