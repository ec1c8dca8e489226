"""A caller's settings for access to a hub."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HubAccess:
    """Settings for access to a hub; ``None`` leaves huggingface_hub's own setting.

    Attributes:
        cache_folder: The folder where fetched files are kept.
        token: The token, or whether to send the stored one.
        local_files_only: Whether to use only files that were fetched before.
        revision: The branch, tag or commit, if the model's name does not state one.
    """

    cache_folder: Path | None = None
    token: str | bool | None = None
    local_files_only: bool = False
    revision: str | None = None
