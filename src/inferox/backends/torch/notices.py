"""Notices of libraries that are of no use to users of Inferox, and are kept from their terminals.

transformers imports torchao wherever it is installed. torchao says on import that it cannot load its kernels for
certain GPUs, none of which Inferox uses, and that Triton is missing, and has PyTorch say that torchao calls something
out of date.
"""

from __future__ import annotations

import logging

_NOTICES = {
    "torchao": ("Failed to load ", "Skipping import of cpp extensions"),
    "torchao.kernel.intmm": ("Warning: Detected no triton",),
    "torch.utils._pytree": ("%s is an Enum subclass",),
}
"""The beginnings of the notices, by the logger that writes them."""


def hide_notices() -> None:
    """Filters these notices alone out of what the libraries log. Neither library is imported."""
    for name, beginnings in _NOTICES.items():
        logging.getLogger(name).addFilter(_Without(beginnings))


class _Without(logging.Filter):
    def __init__(self, beginnings: tuple[str, ...]) -> None:
        super().__init__()
        self._beginnings = beginnings

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(self._beginnings)
