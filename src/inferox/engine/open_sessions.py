"""The sessions of an engine that are not closed yet."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import Any

from inferox.engine.served_model import ServedModel
from inferox.engine.session import InferenceSession


class OpenSessions:
    """The sessions of an engine that are not closed yet. Several threads may use it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sessions: dict[InferenceSession[Any], None] = {}  # in the order in which they were opened

    def add(self, session: InferenceSession[Any]) -> None:
        """Takes a session in.

        Args:
            session: The session.
        """
        with self._lock:
            self._sessions[session] = None

    def discard(self, session: InferenceSession[Any]) -> None:
        """Forgets a session; one that is not there is no error.

        Args:
            session: The session.
        """
        with self._lock:
            self._sessions.pop(session, None)

    def of(self, models: Sequence[ServedModel]) -> list[InferenceSession[Any]]:
        """The sessions of models, in the order in which they were opened.

        Args:
            models: The models.
        """
        with self._lock:
            return [session for session in self._sessions if session.model in models]
