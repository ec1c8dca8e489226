"""The check of an IR's XML file before OpenVINO reads it, whatever its name."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO
from xml.parsers import expat

from inferox.core import LoadError

_SECTIONS = frozenset(
    {"layers", "edges", "rt_info", "meta_data", "quantization_parameters", "statistics", "pre-process"}
)
"""The allowed elements of a ``net``."""

_DEEPEST = 128
_CHUNK_BYTES = 2**20


def check_ir(path: Path) -> None:
    """Refuses a file that is not an IR.

    OpenVINO asks each of its readers whether it recognises a file, so the bytes of another format would be read as that
    format. XML begins with ``<``, which no other model format does.

    Args:
        path: The ``.xml`` file, with its weights in the ``.bin`` file of the same name beside it.

    Raises:
        LoadError: If it is something else, declares entities or document types, or has another structure.
        OSError: If it cannot be read.
    """
    parser = expat.ParserCreate()
    reader = _Reader(path)
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    parser.ProcessingInstructionHandler = reader.refuse_instruction
    with path.open("rb") as file:
        try:
            _parse(parser, file)
        except expat.ExpatError as error:
            raise LoadError(f"{path.name} is not the XML file of an IR, or a damaged one: {error}") from error
    weights = path.with_suffix(".bin")
    if weights.is_symlink():
        raise LoadError(f"{path.name} takes weights from behind a link: {weights.name}")


def _parse(parser: expat.XMLParserType, file: BinaryIO) -> None:
    if file.read(1) != b"<":
        raise expat.ExpatError("it does not begin with '<'")
    file.seek(0)
    while chunk := file.read(_CHUNK_BYTES):
        parser.Parse(chunk, False)
    parser.Parse(b"", True)


class _Reader:
    """The parser that checks the elements of the file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._depth == 0 and (name != "net" or "version" not in attributes):
            raise self._refusal(f"its root is <{name}>, not <net version=…>")
        if self._depth == 1 and name not in _SECTIONS:
            raise self._refusal(f"it has a section <{name}>")
        if name.startswith("__"):
            raise self._refusal(f"it sets <{name}>, which OpenVINO itself sets where it has read a file")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._refusal(f"its elements are nested deeper than {_DEEPEST}")

    def end(self, _: str) -> None:
        self._depth -= 1

    def refuse_doctype(self, *_: object) -> None:
        raise self._refusal("it declares a document type, which may define entities")

    def refuse_instruction(self, target: str, _: str) -> None:
        raise self._refusal(f"it has a processing instruction <?{target}?>")

    def _refusal(self, reason: str) -> LoadError:
        return LoadError(f"{self._path.name} is not an IR that is loaded here: {reason}")
