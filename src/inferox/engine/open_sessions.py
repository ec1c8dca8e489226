"""The open sessions of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

from inferox.engine.served_model import ServedModel
from inferox.engine.session import InferenceSession


class OpenSessions:
    """The open sessions of an engine. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sessions: dict[InferenceSession[Any], None] = {}  # in the order in which they were opened

    def add(self, session: InferenceSession[Any]) -> None:
        """Adds a session.

        Args:
            session: The session.
        """
        with self._lock:
            self._sessions[session] = None

    def discard(self, session: InferenceSession[Any]) -> None:
        """Removes a session, if it is present.

        Args:
            session: The session.
        """
        with self._lock:
            self._sessions.pop(session, None)

    def of(self, models: Sequence[ServedModel]) -> list[InferenceSession[Any]]:
        """Returns the sessions of versions, in the order in which they were opened.

        Args:
            models: The versions.
        """
        # Not by identity: another object takes the place of a version that gets trials.
        wanted = {(model.name, model.version) for model in models}
        with self._lock:
            return [item for item in self._sessions if (item.model.name, item.model.version) in wanted]
