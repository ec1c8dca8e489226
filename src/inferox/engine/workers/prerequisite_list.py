"""The list of what this process, a worker, has imported and read. The supervising process imports none of that."""

from __future__ import annotations

import sys
import sysconfig
from contextlib import suppress

from inferox.backends.registry import backend_names, get_backend
from inferox.engine.workers.prerequisites import Prerequisites
from inferox.tasks.tokenizer_file import list_tokenizer_files

_OURS = "inferox"

_FOLDERS = ("stdlib", "platstdlib", "purelib", "platlib")
"""The folders of Python's own modules and of installed ones, as ``sysconfig`` names them."""


def list_prerequisites() -> Prerequisites:
    """Lists the modules and files that this process has imported and read.

    A user's module that is not among the installed ones may have changed when it is imported again, and is left out.
    """
    folders = tuple({sysconfig.get_path(name) + "/" for name in _FOLDERS})
    modules = (name for name, module in list(sys.modules.items()) if _is_installed(name, module, folders))
    return Prerequisites(tuple(modules), tuple(list_tokenizer_files()), _list_loaded())


def _list_loaded() -> dict[str, tuple[str, ...]]:
    found = {}
    for name in backend_names():
        with suppress(Exception):  # a third-party backend may raise anything; then it has loaded nothing
            if listed := get_backend(name).list_loaded():
                found[name] = listed
    return found


def _is_installed(name: str, module: object, folders: tuple[str, ...]) -> bool:
    if name == "__main__":
        return False
    origin = getattr(getattr(module, "__dict__", {}).get("__spec__"), "origin", None)
    return name.partition(".")[0] == _OURS or (isinstance(origin, str) and origin.startswith(folders))
