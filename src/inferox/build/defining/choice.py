"""Which library defines the answers of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from inferox.build.defining.library import DefiningLibrary, quiet
from inferox.core import SourceModel

INSTALL_HINT = "pip install 'inferox[reference]'"
"""What brings every library that defines a model."""


@dataclass(frozen=True)
class NoDefinition:
    """Why no library says what a model is to answer.

    Attributes:
        reason: The reason, with what to do about it.
    """

    reason: str


def open_defining_library(source: SourceModel, task: str, max_length: int | None) -> DefiningLibrary | NoDefinition:
    """Opens the library that defines what a source model answers.

    sentence-transformers defines the vectors of texts and the scores of pairs, transformers' pipelines the labels of
    texts and images. Both read the model's own folder, as its author published it.

    Args:
        source: The model that is packed.
        task: The task that it is packed for.
        max_length: The most tokens of a row, as the package states it.
    """
    directory = source.facts.origin
    if directory is None:
        return NoDefinition(
            f"a source of the kind {source.facts.kind} says nothing of texts or images that a library could answer; "
            "pack the Hugging Face model directory that it was made from"
        )
    needed = _NEEDED[task]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        names = " and ".join(name.replace("_", "-") for name in missing)
        return NoDefinition(f"{names} is not installed: {INSTALL_HINT}")
    try:
        with quiet():
            return _OPENERS[task](directory, max_length)
    except Exception as error:  # noqa: BLE001 - the libraries raise whatever they like for a model that they do not take
        library = needed[0].replace("_", "-")
        reason = (str(error).strip() or type(error).__name__).partition("\n")[0]
        return NoDefinition(f"{library} does not load this model: {reason}")


def _open_encoder(directory: Path, _max_length: int | None) -> DefiningLibrary:
    from inferox.build.defining.sentence_encoders import SentenceEncoderLibrary

    return SentenceEncoderLibrary(directory)


def _open_cross_encoder(directory: Path, _max_length: int | None) -> DefiningLibrary:
    from inferox.build.defining.sentence_encoders import CrossEncoderLibrary

    return CrossEncoderLibrary(directory)


def _open_text_labels(directory: Path, max_length: int | None) -> DefiningLibrary:
    from inferox.build.defining.pipelines import TextLabelLibrary

    return TextLabelLibrary(directory, max_length)


def _open_token_labels(directory: Path, max_length: int | None) -> DefiningLibrary:
    from inferox.build.defining.pipelines import TokenLabelLibrary

    return TokenLabelLibrary(directory, max_length)


def _open_image_labels(directory: Path, _max_length: int | None) -> DefiningLibrary:
    from inferox.build.defining.pipelines import ImageLabelLibrary

    return ImageLabelLibrary(directory)


_OPENERS: dict[str, Callable[[Path, int | None], DefiningLibrary]] = {
    "embed": _open_encoder,
    "rerank": _open_cross_encoder,
    "classify": _open_text_labels,
    "token-classify": _open_token_labels,
    "image-classify": _open_image_labels,
}
_NEEDED: dict[str, tuple[str, ...]] = {
    "embed": ("sentence_transformers",),
    "rerank": ("sentence_transformers",),
    "classify": ("transformers",),
    "token-classify": ("transformers",),
    "image-classify": ("transformers",),
}
