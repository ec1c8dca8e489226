"""Opening a source, whatever kind it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from inferox.core import BackendUnavailableError, Dim, PackageError, SourceModel


def open_source(
    source: str | Path | Callable[[], Any],
    *,
    task: str | None = None,
    samples: Path | None = None,
    dims: Mapping[str, Sequence[Dim]] | None = None,
    trust_code: bool = False,
    progress: Callable[[str], None] | None = None,
) -> SourceModel:
    """Opens a model in single precision, on the CPU, as the reference of a package.

    Args:
        source: A Hugging Face model directory.
        task: What its numbers are to mean; ``None`` where the model decides.
        samples: Example inputs by name.
        dims: The dims of inputs by name.
        trust_code: Whether code that the source is may be run.
        progress: Told what is being done, one phrase at a time.

    Raises:
        PackageError: If the source is no model or a damaged one.
        BackendUnavailableError: If PyTorch or transformers is not installed.
    """
    _require_torch()
    path = Path(str(source))
    if not path.exists():
        raise PackageError(f"there is no {path}", hint="a model on the hub is named hf://org/name")
    from inferox.sources.huggingface import open_huggingface

    return open_huggingface(path, task=task)


def _require_torch() -> None:
    missing = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if missing:
        raise BackendUnavailableError(
            f"opening a model needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed",
            hint="pip install 'inferox[torch]'",
        )
