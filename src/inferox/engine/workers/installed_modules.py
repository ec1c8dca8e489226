"""Which modules of this process another may import as well."""

from __future__ import annotations

import sys
import sysconfig

_OURS = "inferox"

_FOLDERS = ("stdlib", "platstdlib", "purelib", "platlib")
"""Where Python keeps its own modules and those that are installed, as ``sysconfig`` names it."""


def list_installed_modules() -> list[str]:
    """The names of the modules that are imported and installed, in the order in which they were imported.

    A module of the user that lies elsewhere may have changed when it is imported again, and is not among them.
    """
    folders = tuple({sysconfig.get_path(name) + "/" for name in _FOLDERS})
    return [name for name, module in list(sys.modules.items()) if _is_installed(name, module, folders)]


def _is_installed(name: str, module: object, folders: tuple[str, ...]) -> bool:
    if name == "__main__":
        return False
    origin = getattr(getattr(module, "__dict__", {}).get("__spec__"), "origin", None)
    return name.partition(".")[0] == _OURS or (isinstance(origin, str) and origin.startswith(folders))
