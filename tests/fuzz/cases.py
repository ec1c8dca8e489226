"""The cases. The name of a case describes it fully, so a name is enough to repeat it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.fuzz.documents import Document, Place, changes_at, field_of, places
from tests.fuzz.images import IMAGE_KINDS

ANSWERED = "answered"
"""The ending of a case that Inferox answers."""

ARCHIVE = "archive"
IMAGE = "image"
PROFILES = "profiles"
"""The folder of a corpus with the files that the store keeps for each package: ``profiles/embed/profile.json``."""

_SHARE = 0.1
"""The share of a run for each of the two kinds whose cases never run out."""

DOCUMENT_SUFFIXES = (".json", ".safetensors")


@dataclass(frozen=True)
class Case:
    """One case.

    Attributes:
        name: Its whole description: ``embed/config.json#/num_labels=negative``, ``archive/raw#17`` or ``image/png#17``,
            where the number seeds the damage.
    """

    name: str

    @property
    def subject(self) -> str:
        """The subject of the change: a file of a package or of the store, or the kind of archive or image."""
        return self.name.partition("#")[0]

    @property
    def family(self) -> str:
        """The name of the file, or ``archive`` or ``image``."""
        head, _, file = self.subject.partition("/")
        if head == PROFILES:
            return file.partition("/")[2]
        return head if head in {ARCHIVE, IMAGE} else file

    @property
    def package(self) -> str:
        """The package that it needs."""
        head, _, rest = self.subject.partition("/")
        return {ARCHIVE: rest, IMAGE: "image-classify", PROFILES: rest.partition("/")[0]}.get(head, head)

    @property
    def change(self) -> str:
        """The name of the change to a document."""
        return self.name.rpartition("=")[2]

    @cached_property
    def choice(self) -> random.Random:
        """The random generator for everything that the name leaves open."""
        return random.Random(self.name)  # noqa: S311 - repeatable is what it must be

    def place(self, document: Document) -> Place:
        """The place of a document that is changed."""
        pointer = self.name.partition("#")[2].rpartition("=")[0]
        found: list[str | int] = []
        value = document.value
        for part in pointer.split("/")[1:]:
            key = int(part) if isinstance(value, list) else part.replace("~1", "/").replace("~0", "~")
            found.append(key)
            value = value[key]
        return tuple(found)

    @classmethod
    def of_document(cls, subject: str, place: Place, change: str) -> Case:
        """The case that changes one place of a document."""
        pointer = "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in place)
        return cls(f"{subject}#{pointer}={change}")


@dataclass(frozen=True)
class Selection:
    """The cases of a run.

    Attributes:
        cases: The cases.
        fields: The number of changes to fields: to the places of all packages, where places that only differ in the
            index of a list or in the package count once.
        fields_tried: The number of those among the cases.
        places: The number of changes to places.
        places_tried: The number of those among the cases.
    """

    cases: tuple[Case, ...]
    fields: int
    fields_tried: int
    places: int
    places_tried: int


def select_cases(corpus: Path, count: int, *, seed: int, only: str | None = None) -> Selection:
    """Chooses cases: every change to every field first, then further places, beside archives and images.

    Args:
        corpus: The folder with the packages.
        count: Their number.
        seed: The seed of the choice.
        only: The only file to change, such as ``config.json`` or ``embed/config.json``, or ``archive`` or ``image``.
    """
    choice = random.Random(seed)  # noqa: S311 - repeatable is what it must be
    documents = [item for item in _document_cases(corpus) if _is_wanted(item[0], only)]
    choice.shuffle(documents)
    first: list[Case] = []
    others: list[Case] = []
    seen = set()
    for case, field in documents:
        (others if field in seen else first).append(case)
        seen.add(field)
    damaged = list(_damaged(corpus, count, choice, only))
    chosen = (first + others)[: count - len(damaged)]
    cases = chosen + damaged
    choice.shuffle(cases)
    return Selection(tuple(cases), len(first), min(len(first), len(chosen)), len(documents), len(chosen))


def _is_wanted(case: Case, only: str | None) -> bool:
    return only in {None, case.family, case.subject}


def _document_cases(corpus: Path) -> list[tuple[Case, tuple[str, Place, str]]]:
    """Yields every change to every place, with the field that it changes."""
    found = []
    for path in sorted(corpus.glob("*/**/*")):
        if path.suffix not in DOCUMENT_SUFFIXES or path.parent.name == "weights":
            continue
        document, subject = Document.read(path), path.relative_to(corpus).as_posix()
        for place in places(document.value):
            for change in changes_at(document.value, place):
                field = (path.name, field_of(place), change)
                found.append((Case.of_document(subject, place, change), field))
    return found


def _damaged(corpus: Path, count: int, choice: random.Random, only: str | None) -> Iterator[Case]:
    kinds = {ARCHIVE: ("raw",), IMAGE: IMAGE_KINDS}
    for kind, names in kinds.items():
        if only not in {None, kind} or not (corpus / Case(f"{kind}/{names[0]}").package).is_dir():
            continue
        for _ in range(count if only == kind else round(count * _SHARE)):
            yield Case(f"{kind}/{choice.choice(names)}#{choice.getrandbits(48)}")
