"""Embedding spaces: vectors of the same space may share an index."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from inferox.core import CONFIG_FILE, WEIGHTS_FILE, Artifact
from inferox.package.manifest import METADATA_FILE, MODEL_INFO_FILE
from inferox.package.reader import Package
from inferox.parity.evidence import PARITY_FILE
from inferox.parity.proof import PROOF_FILE, PROOF_TENSORS
from inferox.parity.samples import SAMPLES_FILE
from inferox.parity.tolerance import ParityClass

_COMPARABLE = frozenset({ParityClass.EXACT, ParityClass.CLOSE})

_FILES_OF_PACKAGES = frozenset({METADATA_FILE, MODEL_INFO_FILE, PARITY_FILE, SAMPLES_FILE, PROOF_FILE, PROOF_TENSORS})
"""The files that every packing writes anew: their relevant settings and classes are hashed one by one."""

_PERMISSIONS = frozenset({"matryoshka_dims", "vector_ranges"})
"""The settings of a task that say in which other forms vectors may be returned, and leave the vectors as they are."""

_ID_DIGITS = 16


def embedding_space(package: Package, artifact: Artifact, task: str, options: Mapping[str, Any]) -> str:
    """Computes the id of the embedding space of an artifact's answers.

    It is the same for all artifacts whose evidence is ``exact`` or ``close``, and for every package of the
    same weights, model files and task settings. Any other artifact, such as a quantised one, has a space of its own.

    Args:
        package: The package.
        artifact: One of its artifacts.
        task: The name of the task.
        options: The settings of the task.

    Returns:
        16 hexadecimal digits.
    """
    classes = {item.artifact: item.parity_class for item in package.parity.artifacts} if package.parity else {}
    digests = {entry.path: entry.sha256 for entry in package.metadata.files}
    of_artifacts = {file for other in package.info.listed for file in other.files.values()} - {
        WEIGHTS_FILE,
        CONFIG_FILE,
    }
    # A graph that was exported says what the config does. Otherwise a graph is the model itself.
    stated = bool(package.config.get("architectures")) and WEIGHTS_FILE in digests
    model = set() if stated else _reference_files(package)
    files = {path for path in digests if path not in _FILES_OF_PACKAGES and path not in of_artifacts} | model
    own = None
    if classes.get(artifact.name) not in _COMPARABLE:
        own = [artifact.name, *sorted(digests.get(file, file) for file in artifact.files.values())]
    settings = {name: value for name, value in options.items() if name not in _PERMISSIONS}
    content = [sorted((path, digests.get(path)) for path in files), task, settings, own]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:_ID_DIGITS]


def _reference_files(package: Package) -> set[str]:
    references = {item.artifact for item in package.parity.artifacts if item.is_reference} if package.parity else set()
    chosen = [artifact for artifact in package.info.listed if artifact.name in references] or package.info.listed[:1]
    return {file for artifact in chosen for file in artifact.files.values()}
