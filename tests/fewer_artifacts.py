"""Packages with fewer artifacts than another one, which takes much less time than exporting the model again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from inferox import open_package
from inferox.core import Artifact
from inferox.package import PackageWriter


def keep_artifacts(package: Path, output: Path, is_kept: Callable[[Artifact], bool]) -> Path:
    """Writes a package with some of the artifacts of another one, as if only these had been packed.

    Args:
        package: The other one.
        output: The package to write: a folder, or one file.
        is_kept: Returns whether an artifact is kept.
    """
    whole = open_package(package)
    kept = tuple(artifact for artifact in whole.artifacts if is_kept(artifact))
    names = {artifact.name for artifact in kept}
    used = {file for artifact in kept for file in artifact.files.values()}
    assert whole.parity is not None
    with PackageWriter(output) as writer:
        shutil.copytree(whole.root, writer.root, dirs_exist_ok=True)
        for artifact in whole.artifacts:
            for file in artifact.files.values():
                if file.startswith("backends/") and file not in used:  # the config and the weights are the model's
                    (writer.root / file).unlink(missing_ok=True)
        info = replace(
            whole.info, artifacts=kept, supported_backends=tuple(dict.fromkeys(artifact.backend for artifact in kept))
        )
        evidence = tuple(item for item in whole.parity.artifacts if item.artifact in names)
        return writer.commit(whole.metadata, info, replace(whole.parity, artifacts=evidence), None)
