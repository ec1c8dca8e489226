"""The root of all errors of Inferox, and the rules that their messages share."""

from __future__ import annotations

from typing import Self

from inferox.core.shown_text import counted, printable

_MAX_CHARACTERS = 4_000
"""The most characters of a message, so that the contents of a foreign file cannot fill a terminal."""


class InferoxError(Exception):
    """The root of every error that Inferox raises on purpose.

    A message is one line of printable characters: others are escaped (``printable``), and a long message is cut. It may
    contain names and values from foreign files.

    Args:
        message: One sentence: what was expected and what was given.
        hint: What the reader can do about it; ``None`` if the message already says so.

    Attributes:
        item: The index of the item that made the request fail, from 0; ``None`` if that is not known.
        item_label: The item's name in the message, with ``{}`` in place of the index, such as ``text {}``; ``None`` if
            the message does not name the item.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        self.item: int | None = None
        self.item_label: str | None = None
        self.message = _bounded(message)
        self.hint = None if hint is None else _bounded(hint)
        super().__init__(self.message)

    def naming_item(self, item: int, label: str) -> Self:
        """Records the item of a request that caused the error, and which the message already names.

        Args:
            item: The index of the item, from 0.
            label: Its name in the message, with ``{}`` in place of the index, such as ``text {}``.

        Returns:
            The error itself.
        """
        self.item, self.item_label = item, label
        return self

    def at_item(self, item: int | None) -> Self:
        """Returns a copy of the error that names an item of a request.

        Args:
            item: The index of the item, from 0; ``None`` for no item.
        """
        copied = type(self).__new__(type(self), *self.args)
        copied.__dict__.update(self.__dict__)
        copied.item, copied.__cause__ = item, self.__cause__
        if hasattr(self, "__notes__"):
            copied.__notes__ = [*self.__notes__]  # so that a note that is added to one is not added to both
        if item is None:
            copied.item_label = None
        elif self.item_label is not None:
            named, renamed = self.item_label.format(self.item), self.item_label.format(item)
            for name in copied.__dict__.keys() & {"message", "subject"}:
                copied.__dict__[name] = copied.__dict__[name].replace(named, renamed, 1)
            copied.args = (copied.message,)
        return copied

    def __str__(self) -> str:
        is_named = self.item is None or self.item_label is not None
        message = self.message if is_named else f"item {self.item}: {self.message}"
        return f"{message} ({self.hint})" if self.hint else message


def _bounded(text: str) -> str:
    return printable(text[:_MAX_CHARACTERS]) + (
        f"… ({counted(len(text), 'character')})" if len(text) > _MAX_CHARACTERS else ""
    )


class InferoxWarning(UserWarning):
    """The category of every warning that Inferox issues on purpose: a result is valid, but with a limitation."""


class TruncationWarning(InferoxWarning):
    """Texts were longer than the model takes, and were cut. Issued once per call; by a stream, at its end.

    Args:
        message: One sentence.
        cut: The number of texts that were cut.
        total: The number of texts in the call.
    """

    def __init__(self, message: str, *, cut: int, total: int) -> None:
        super().__init__(message)
        self.cut = cut
        self.total = total


def first_line(error: BaseException) -> str:
    """Returns the first line of a foreign exception's message, or its type name if it has no message.

    Args:
        error: The exception.
    """
    try:
        message = str(error).strip()
    except Exception:  # noqa: BLE001 - the exception's own method may fail in any way
        message = ""
    return (message or type(error).__name__).partition("\n")[0]
