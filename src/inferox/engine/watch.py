"""The interface of those who are told what an engine does with requests, while it does it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from inferox.engine.request import RequestOptions, Row
from inferox.parity import Samples


class Watch:
    """Is told of what is done for one model, for the time of a block. This one takes no note of it."""

    def making(self, asked: Sequence[RequestOptions], items: Sequence[Any]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Rows are made.

        Args:
            asked: What the callers say of the requests.
            items: The items of all of them.
        """
        return nullcontext()

    def computing(self, rows: Sequence[Row]) -> AbstractContextManager[None]:  # noqa: ARG002
        """Rows are computed.

        Args:
            rows: The rows.
        """
        return nullcontext()

    def checking(self) -> AbstractContextManager[None]:
        """The stored samples are computed."""
        return nullcontext()

    def trying(self, samples: Samples) -> AbstractContextManager[None]:  # noqa: ARG002
        """An artifact that was loaded computes stored samples.

        Args:
            samples: The samples.
        """
        return nullcontext()
