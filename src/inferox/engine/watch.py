"""The interface of observers that are told what an engine does with requests."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from inferox.engine.request import RequestOptions, Row
from inferox.parity import Samples


class Watch:
    """An observer of what is done for one model, each for the duration of a block. This one ignores it."""

    def making(self, asked: Sequence[RequestOptions], items: Sequence[Any]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Called when rows are encoded.

        Args:
            asked: The options of the requests.
            items: The items of all of them.
        """
        return nullcontext()

    def computing(self, rows: Sequence[Row]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Called when rows are computed.

        Args:
            rows: The rows.
        """
        return nullcontext()

    def checking(self) -> AbstractContextManager[None]:
        """Called when the stored samples are computed."""
        return nullcontext()

    def trying(self, samples: Samples) -> AbstractContextManager[None]:  # noqa: ARG002
        """Called when a newly loaded artifact computes stored samples.

        Args:
            samples: The samples.
        """
        return nullcontext()
