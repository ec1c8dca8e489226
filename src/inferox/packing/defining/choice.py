"""The choice of the library that defines the answers of a model."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from inferox.core import SourceModel, first_line
from inferox.packing.defining.library import DefiningLibrary, find_version, quiet
from inferox.tasks import translated_panics

INSTALL_HINT = "pip install 'inferox[reference]'"
"""The command that installs every library that defines a model."""


_LEAST_MAJOR = {"sentence-transformers": 6, "transformers": 5}
"""The oldest supported major version of each library."""


@dataclass(frozen=True)
class NoDefinition:
    """The reason why no library defines a model's answers.

    Attributes:
        reason: The reason, with what to do about it.
    """

    reason: str


def open_defining_library(source: SourceModel, task: str, max_length: int | None) -> DefiningLibrary | NoDefinition:
    """Opens the library that defines a source model's answers.

    sentence-transformers defines the vectors of texts and the scores of pairs, and transformers' pipelines define the
    labels of texts and images. Both read the model's own folder, as its author published it.

    Args:
        source: The model that is packed.
        task: The task for which it is packed.
        max_length: The most tokens of a row, as the package states it.
    """
    directory = source.facts.origin
    if directory is None:
        return NoDefinition(
            f"a source of the kind {source.facts.kind} says nothing of texts or images that a library could answer; "
            "pack the Hugging Face model directory that it was made from"
        )
    library = "sentence-transformers" if task in _OF_SENTENCE_TRANSFORMERS else "transformers"
    if find_spec(library.replace("-", "_")) is None:
        return NoDefinition(f"{library} is not installed: {INSTALL_HINT}")
    found = find_version(library)
    if found.partition(".")[0].isdecimal() and int(found.partition(".")[0]) < _LEAST_MAJOR[library]:
        return NoDefinition(
            f"{library} {found} is installed, but {_LEAST_MAJOR[library]}.0 or newer is needed: "
            f"{INSTALL_HINT.replace('install', 'install --upgrade')}"
        )
    try:
        with quiet(), translated_panics(f"opening the model with {library}", hint="fix the model's files"):
            return _open(task, directory, max_length)
    except Exception as error:  # noqa: BLE001 - the libraries raise whatever they like for a model that they do not take
        return NoDefinition(f"{library} does not load this model: {first_line(error)}")


def _open(task: str, directory: Path, max_length: int | None) -> DefiningLibrary:
    if task in _OF_SENTENCE_TRANSFORMERS:
        from inferox.packing.defining.sentence_encoders import CrossEncoderLibrary, SentenceEncoderLibrary

        return SentenceEncoderLibrary(directory) if task == "embed" else CrossEncoderLibrary(directory)
    from inferox.packing.defining.pipelines import ImageLabelLibrary, TextLabelLibrary, TokenLabelLibrary

    if task == "image-classify":
        return ImageLabelLibrary(directory)
    return (TextLabelLibrary if task == "classify" else TokenLabelLibrary)(directory, max_length)


_OF_SENTENCE_TRANSFORMERS = frozenset({"embed", "rerank"})
"""The tasks that sentence-transformers defines; transformers' pipelines define the others."""
