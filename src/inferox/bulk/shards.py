"""The manifests of a folder: one of a run without shards, or one per shard."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from inferox.bulk.manifest import BulkManifest
from inferox.core import ConfigError

Shard = tuple[int, int]
"""The index of a shard, from 0, and the number of shards; (0, 1) is all rows."""


def manifest_name(shard: Shard) -> str:
    """Returns the name of a shard's manifest, which programs that read the folder as a table skip for its ``_``.

    Args:
        shard: The shard.
    """
    index, count = shard
    return "_manifest.json" if count == 1 else f"_manifest-{index}-of-{count}.json"


def check_no_other_run(folder: Path, parts: Sequence[Path], shard: Shard) -> None:
    """Refuses parts that a manifest of another shard lists, or of another number of shards.

    Args:
        folder: The folder of the output.
        parts: Files of the parts that belong to the shard.
        shard: The shard.

    Raises:
        ConfigError: If there is such a part; the error says which run it belongs to.
    """
    for path, other, manifest, listed in _find_other_runs(folder, parts, shard):
        option = f"--shard {other[0]}/{other[1]}"
        named, again = ("without --shard",) * 2 if other == (0, 1) else (f"with {option}", f"and {option}")
        hint = f"continue that run with --resume {again}, or choose another output"
        if manifest.is_complete:
            everywhere = " in every shard" if shard[1] > 1 else ""
            hint = f"choose another output, or replace that run's parts with --force{everywhere}"
        raise ConfigError(f"{folder / listed[0]} belongs to a run {named}, as {path.name} says", hint=hint)


def find_replaced_manifests(folder: Path, parts: Sequence[Path], shard: Shard) -> list[Path]:
    """Returns the manifests of other runs that will be wrong once these parts are replaced.

    Args:
        folder: The folder of the output.
        parts: Files of the parts that belong to the shard.
        shard: The shard.
    """
    return [path for path, *_ in _find_other_runs(folder, parts, shard)]


def _find_other_runs(
    folder: Path, parts: Sequence[Path], shard: Shard
) -> Iterator[tuple[Path, Shard, BulkManifest, list[str]]]:
    """Yields the manifest of each other shard that lists some of these parts, with their names."""
    names = {part.name for part in parts}
    for path in sorted(folder.glob("_manifest*.json")):
        other = _shard_of(path.name)
        # A manifest that has just been removed lists nothing.
        manifest = None if other in {None, shard} else BulkManifest.read(path)
        listed = [part.file for part in manifest.parts if part.file in names] if manifest else []
        if other is not None and manifest is not None and listed:
            yield path, other, manifest, listed


def _shard_of(name: str) -> Shard | None:
    if name == manifest_name((0, 1)):
        return 0, 1
    found = re.fullmatch(r"_manifest-(\d+)-of-(\d+)\.json", name)
    return (int(found[1]), int(found[2])) if found else None
