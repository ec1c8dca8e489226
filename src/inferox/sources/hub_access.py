"""How a hub is asked, where a caller says so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HubAccess:
    """How a hub is asked; what is ``None`` is huggingface_hub's own setting.

    Attributes:
        cache_folder: Where fetched files are kept.
        token: The token, or whether the stored one is sent.
        local_files_only: Whether only what was fetched before is looked at.
        revision: The branch, tag or commit, where the name of the model does not state one.
    """

    cache_folder: Path | None = None
    token: str | bool | None = None
    local_files_only: bool = False
    revision: str | None = None
