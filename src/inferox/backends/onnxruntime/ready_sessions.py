"""Sessions that are opened in advance, for processes that are forked later."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary

from onnxruntime import InferenceSession

from inferox.backends.onnxruntime.session import open_session

Fingerprints = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class SessionFiles:
    """The files and settings from which a session was opened.

    Attributes:
        graph: The ONNX file.
        others: The artifact's other files, such as its weights.
        threads: The number of CPU threads that it may use.
    """

    graph: Path
    others: tuple[Path, ...]
    threads: int

    @classmethod
    def parse(cls, text: str) -> SessionFiles:
        """Parses the output of ``write``.

        Args:
            text: The text that ``write`` returned.
        """
        graph, others, threads = json.loads(text)
        return cls(Path(graph), tuple(map(Path, others)), threads)

    def write(self) -> str:
        """Encodes it as text."""
        return json.dumps([str(self.graph), list(map(str, self.others)), self.threads])

    def fingerprints(self) -> Fingerprints:
        """Returns values that differ if a file was replaced or changed.

        Raises:
            OSError: If one is missing.
        """
        found = (path.stat() for path in (self.graph, *self.others))
        return tuple((each.st_size, each.st_mtime_ns, each.st_ctime_ns, each.st_dev, each.st_ino) for each in found)


_in_use: WeakKeyDictionary[InferenceSession, SessionFiles] = WeakKeyDictionary()
"""The files of each open session, as long as it is in use."""

_ready: defaultdict[tuple[SessionFiles, Fingerprints], list[InferenceSession]] = defaultdict(list)
"""Sessions ready to be handed out, by the files from which they were opened."""


def open_or_take(files: SessionFiles, libraries: Sequence[Path] = ()) -> InferenceSession:
    """Opens a graph, unless a session of the same files is ready to be handed out.

    Args:
        files: The files and settings.
        libraries: Operator libraries that it may call. With any, the graph is always opened anew.

    Raises:
        LoadError: See ``open_session``.
        OSError: If a file is missing.
        Exception: Whatever ONNX Runtime raises, to be translated by the caller.
    """
    if libraries:
        return open_session(files.graph, threads=files.threads, libraries=libraries)
    ready = _ready.get((files, files.fingerprints())) if _ready else None
    session = ready.pop() if ready else open_session(files.graph, threads=files.threads)
    _in_use[session] = files
    return session


def list_in_use() -> tuple[str, ...]:
    """Lists the sessions in use that another process could open before it forks: those without threads of their own."""
    return tuple(sorted(files.write() for files in list(_in_use.values()) if files.threads == 1))


def open_in_advance(listed: Iterable[str]) -> None:
    """Opens sessions that ``open_or_take`` hands out, each once, if their files are the same.

    Args:
        listed: The result of ``list_in_use`` in another process.

    Raises:
        Exception: Whatever opening them raises.
    """
    for files in map(SessionFiles.parse, listed):
        before = files.fingerprints()
        _ready[files, before].append(open_session(files.graph, threads=files.threads))
