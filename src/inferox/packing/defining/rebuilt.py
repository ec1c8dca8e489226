"""sentence-transformers' model rebuilt from a package, to measure beside the package's artifacts."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import modules

from inferox.core import CONFIG_FILE, WEIGHTS_FILE, PackageError
from inferox.package import Package

_LEAST_COSINE = 0.9999
"""The lowest cosine with the original's vectors; below, it would be another model."""


class RebuiltEncoder:
    """A ``SentenceTransformer`` in fp32 on the CPU, made from the config, weights, tokenizer and options of a package.

    Args:
        package: A package for the task ``embed``.
        threads: The number of CPU threads that PyTorch may use in this process from now on.

    Raises:
        PackageError: If sentence-transformers has no such model, or its vectors differ from those at pack time.
    """

    def __init__(self, package: Package, *, threads: int) -> None:
        torch.set_num_threads(threads)
        options = package.info.task_options
        others = [module.get("type") for module in options.get("modules", ()) if module.get("type") != "normalise"]
        if others or not (package.root / WEIGHTS_FILE).is_file() or not (package.root / CONFIG_FILE).is_file():
            what = f"its module {others[0]!r}" if others else "a package without a config and weights of its own"
            raise PackageError(f"sentence-transformers cannot be given {what}")
        with tempfile.TemporaryDirectory() as folder:
            self._model = _build(package, Path(folder))
        self._check(package)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeds texts as a user of sentence-transformers does, with its own defaults.

        Args:
            texts: The texts.

        Returns:
            Shape ``[n, dimension]``.
        """
        return np.asarray(self._model.encode(list(texts), show_progress_bar=False), np.float32)

    def _check(self, package: Package) -> None:
        known = [case for case in package.proof_cases() or () if case.input.answered and case.input.prompt is None]
        if not known:
            raise PackageError("the package has no answers of sentence-transformers to compare its vectors with")
        expected = np.array([case.answer for case in known])
        actual = self.encode([str(case.input.item) for case in known])
        lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(actual, axis=1)
        cosine = float(((expected * actual).sum(axis=1) / np.maximum(lengths, 1e-30)).min())
        if not cosine >= _LEAST_COSINE:
            raise PackageError(
                f"the model that sentence-transformers makes of the package differs from the one that was packed: its "
                f"vectors have a cosine of {cosine:.4f}"
            )


def _build(package: Package, folder: Path) -> SentenceTransformer:
    for file in package.root.glob("*.json"):
        if file.name == CONFIG_FILE or file.name.startswith(("tokenizer", "special_tokens")):
            (folder / file.name).write_bytes(file.read_bytes())
    weights = folder / "model.safetensors"
    try:
        weights.symlink_to(package.root / WEIGHTS_FILE)
    except OSError:  # on systems where only administrators may create links
        shutil.copyfile(package.root / WEIGHTS_FILE, weights)
    options: dict[str, Any] = dict(package.info.task_options)
    settings: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    transformer = modules.Transformer(
        str(folder),
        max_seq_length=options.get("max_length"),
        model_kwargs={**settings, "dtype": torch.float32},
        processor_kwargs=settings,
        config_kwargs=settings,
        do_lower_case=bool(options.get("lowercase", False)),
    )
    width = transformer.get_embedding_dimension()
    pooling = modules.Pooling(width, tuple(options["pooling"]), include_prompt=options.get("include_prompt", True))
    layers: list[torch.nn.Module] = [transformer, pooling]
    layers += [modules.Normalize() for _ in options.get("modules", ())]
    model = SentenceTransformer(
        modules=layers,
        device="cpu",
        prompts=dict(options.get("prompts", {})),
        default_prompt_name=options.get("default_prompt"),
        truncate_dim=options.get("truncate_dim"),
    )
    return model.float().eval()
