"""Archives with damaged headers."""

from __future__ import annotations

import random
import zipfile
from pathlib import Path

from tests.fuzz.byte_changes import change_bytes

_LOCAL_HEADER_BYTES = 30


def change_archive(archive: Path, choice: random.Random) -> bytes:
    """Returns an archive with something changed in its local headers, its directory or its end record.

    Args:
        archive: The archive.
        choice: The random generator.
    """
    content = archive.read_bytes()
    with zipfile.ZipFile(archive) as bundle:
        members, directory = bundle.infolist(), bundle.start_dir
    spots = [
        spot
        for member in members
        for spot in range(
            member.header_offset, member.header_offset + _LOCAL_HEADER_BYTES + len(member.filename) + len(member.extra)
        )
    ]
    # The directory determines everything, and the end record determines the directory.
    place = choice.choice((spots, range(directory, len(content)), range(len(content) - 22, len(content))))
    return change_bytes(content, place, choice)
