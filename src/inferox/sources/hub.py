"""Models on a hub with Hugging Face's protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils.tqdm import tqdm

from inferox.core import PackageError, first_line
from inferox.sources.file_names import DESCRIPTIONS, PICKLED_SHARDS, PICKLED_WEIGHTS, SAFE_SHARDS, SAFE_WEIGHTS, WEIGHTS
from inferox.sources.hub_access import HubAccess

_PREFIX = "hf://"
_DEFAULT_REVISION = "main"
_MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Snapshot:
    """A model of the hub, on this machine's disk.

    Attributes:
        directory: The folder with its files. It belongs to the hub's cache and must not be changed.
        repo_id: The repository, such as ``org/name``.
        revision: The commit.
    """

    directory: Path
    repo_id: str
    revision: str

    @property
    def name(self) -> str:
        """The repository's name without its owner's."""
        return self.repo_id.rpartition("/")[2]


def fetch_model(source: str, progress: Callable[[str], None], *, access: HubAccess | None = None) -> Snapshot:
    """Fetches the files of a model that are needed to pack it, or finds them in the cache.

    The settings are huggingface_hub's own: ``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_OFFLINE``, ``HF_TOKEN`` or the token
    that ``hf auth login`` stored. Weights in PyTorch's own format are fetched only if there are no safetensors.

    Args:
        source: ``hf://org/name``, followed by ``@`` and a branch, a tag or a commit if it is not ``main``.
        progress: Called with how much has been fetched, as a phrase.
        access: The settings for access to the hub; ``None`` for huggingface_hub's own.

    Raises:
        PackageError: If there is no such repository, revision or model; if it is restricted; or if it cannot be
            fetched.
    """
    repo_id, at, revision = source.removeprefix(_PREFIX).partition("@")
    if not repo_id or (at and not revision):
        raise PackageError(f"a model on the hub is named hf://org/name or hf://org/name@revision, not {source!r}")
    access = access or HubAccess()
    progress(f"looking up {repo_id}")
    wanted = revision or access.revision or _DEFAULT_REVISION
    directory = _fetch(repo_id, wanted, (*DESCRIPTIONS, *SAFE_WEIGHTS, SAFE_SHARDS), progress, access)
    commit = directory.name
    if not (directory / "config.json").is_file():
        raise PackageError(f"{repo_id} is not a model that can be packed: it has no config.json")
    if not _has_any(directory, SAFE_WEIGHTS):
        # The same commit is used, as the branch may have moved in the meantime.
        directory = _fetch(repo_id, commit, (*DESCRIPTIONS, *PICKLED_WEIGHTS, PICKLED_SHARDS), progress, access)
    if not _has_any(directory, WEIGHTS):
        raise PackageError(
            f"{repo_id} has no weights for PyTorch: expected {', '.join(WEIGHTS)}",
            hint="look for the same model in another repository, or convert it with transformers",
        )
    return Snapshot(directory, repo_id, commit)


def _has_any(directory: Path, names: Iterable[str]) -> bool:
    return any((directory / name).is_file() for name in names)


def _fetch(
    repo_id: str, revision: str, patterns: Iterable[str], progress: Callable[[str], None], access: HubAccess
) -> Path:
    try:
        folder = huggingface_hub.snapshot_download(
            repo_id,
            revision=revision,
            allow_patterns=list(patterns),
            tqdm_class=_bar_class(repo_id, progress),
            cache_dir=access.cache_folder,
            token=access.token,
            local_files_only=access.local_files_only,
        )
    except Exception as error:  # a network failure raises the exceptions of whatever HTTP client the library uses
        raise _translate(error, repo_id, revision) from error
    return Path(folder)


def _translate(error: Exception, repo_id: str, revision: str) -> PackageError:
    if isinstance(error, HFValidationError):
        return PackageError(f"{repo_id!r} is not the name of a repository: {error}")
    if isinstance(error, GatedRepoError):
        return PackageError(
            f"access to {repo_id} is restricted by its authors",
            hint="ask for access on its page; then set HF_TOKEN, or log in with 'hf auth login'",
        )
    if isinstance(error, RepositoryNotFoundError):
        return PackageError(
            f"{constants.ENDPOINT} has no repository {repo_id}, or you may not see it",
            hint="check the name; for a private one set HF_TOKEN, or log in with 'hf auth login'",
        )
    if isinstance(error, RevisionNotFoundError):
        return PackageError(f"{repo_id} has no revision {revision!r}", hint="use a branch, a tag or a whole commit")
    if isinstance(error, LocalEntryNotFoundError):
        return _not_cached(error, repo_id, revision)
    return PackageError(
        f"fetching {repo_id} failed: {type(error).__name__}: {first_line(error)}",
        hint="try again: what was fetched already is kept",
    )


def _not_cached(error: LocalEntryNotFoundError, repo_id: str, revision: str) -> PackageError:
    if constants.HF_HUB_OFFLINE:
        reason, hint = "HF_HUB_OFFLINE forbids fetching it", "unset HF_HUB_OFFLINE, or fill the cache first"
    else:
        cause = error.__cause__ or error
        reason = f"{constants.ENDPOINT} cannot be reached ({first_line(cause)})"
        hint = "check the network, HF_ENDPOINT and the proxy settings"
    # If a part of it is there, the library's first sentence lists what is missing.
    missing = first_line(error).partition("). ")[0] + ")" if hasattr(error, "snapshot_path") else "none of it is there"
    return PackageError(
        f"{repo_id} at {revision} is not in the cache {constants.HF_HUB_CACHE}, and {reason}: {missing}", hint=hint
    )


def _bar_class(repo_id: str, progress: Callable[[str], None]) -> type[Any]:
    """Makes a progress bar class that draws nothing, but reports how many megabytes were fetched."""
    reported = -1

    class Bar(tqdm):
        """One of the library's bars: they count files or bytes."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]
            self._counts_bytes = options.get("unit") == "B"

        def update(self, n: float | None = 1) -> None:
            nonlocal reported
            self.n += n or 0
            megabytes, total = int(self.n / _MEGABYTE), int((self.total or 0) / _MEGABYTE)
            # Several bars may count the same bytes, in several threads: the one ahead reports.
            if self._counts_bytes and megabytes > reported:
                reported = megabytes
                progress(f"fetching {repo_id}: {megabytes} of {max(megabytes, total)} MB")

    return Bar
