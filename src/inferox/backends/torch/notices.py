"""The suppression of library notices that are of no use to users of Inferox.

transformers imports torchao if it is installed. On import, torchao logs that it cannot load its kernels for certain
GPUs, none of which Inferox uses, and that Triton is missing, and makes PyTorch log that torchao calls something
deprecated.
"""

from __future__ import annotations

import logging

_NOTICES = {
    "torchao": ("Failed to load ", "Skipping import of cpp extensions"),
    "torchao.kernel.intmm": ("Warning: Detected no triton",),
    "torch.utils._pytree": ("%s is an Enum subclass",),
}
"""The prefixes of the notices, by logger."""


def hide_notices() -> None:
    """Filters only these notices out of the libraries' logs. Neither library is imported."""
    for name, beginnings in _NOTICES.items():
        logging.getLogger(name).addFilter(_Without(beginnings))


class _Without(logging.Filter):
    def __init__(self, beginnings: tuple[str, ...]) -> None:
        super().__init__()
        self._beginnings = beginnings

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith(self._beginnings)
