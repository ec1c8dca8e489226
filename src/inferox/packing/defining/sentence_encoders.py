"""sentence-transformers, which defines the vectors of texts and the scores of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer

from inferox.packing.defining.library import Arrays, DefiningLibrary, Definition, captured
from inferox.parity import ProofInput

_OPTIONS: dict[str, Any] = {
    "device": "cpu",
    "local_files_only": True,
    "trust_remote_code": False,
    "model_kwargs": {"dtype": torch.float32},
}
_TOKENS = ("input_ids", "attention_mask", "token_type_ids")


class SentenceEncoderLibrary(DefiningLibrary):
    """A ``SentenceTransformer``.

    Args:
        directory: The model's own folder.
    """

    name: ClassVar[str] = "sentence-transformers"
    distributions: ClassVar[tuple[str, ...]] = ("sentence-transformers", "transformers", "tokenizers", "torch")

    def __init__(self, directory: Path) -> None:
        self._model = SentenceTransformer(str(directory), **_OPTIONS).float().eval()

    def define(self, proof_input: ProofInput) -> Definition:
        """Returns the tokens, the token vectors and the vector of a text; see ``DefiningLibrary``."""
        name = proof_input.prompt if proof_input.prompt is not None else self._model.default_prompt_name
        features = self._model.preprocess(
            [proof_input.item], prompt=None if name is None else self._model.prompts[name]
        )
        tokens = _tokens(features)
        if not proof_input.answered:
            return Definition(tokens)
        with torch.inference_mode(), captured(self._model[0]) as computed:
            answer = self._model.encode([proof_input.item], prompt_name=proof_input.prompt, show_progress_bar=False)[0]
        return Definition(
            tokens,
            {"last_hidden_state": _attended(computed[0]["token_embeddings"], features)},
            np.asarray(answer, np.float32),
        )


class CrossEncoderLibrary(DefiningLibrary):
    """A ``CrossEncoder``.

    Args:
        directory: The model's own folder.
    """

    name: ClassVar[str] = "sentence-transformers"
    distributions: ClassVar[tuple[str, ...]] = SentenceEncoderLibrary.distributions

    def __init__(self, directory: Path) -> None:
        self._model = CrossEncoder(str(directory), **_OPTIONS).float().eval()

    def define(self, proof_input: ProofInput) -> Definition:
        """Returns the tokens, the logits and the score of a pair; see ``DefiningLibrary``."""
        name = self._model.default_prompt_name
        features = self._model.preprocess(
            [proof_input.item], prompt=None if name is None else self._model.prompts[name]
        )
        tokens = _tokens(features)
        if not proof_input.answered:
            return Definition(tokens)
        with torch.inference_mode(), captured(self._model) as computed:
            score = self._model.predict([proof_input.item], show_progress_bar=False)[0]
        outputs = {"logits": computed[0]["scores"].reshape(-1).float().numpy()}
        if "token_embeddings" in computed[0]:
            outputs["last_hidden_state"] = _attended(computed[0]["token_embeddings"], features)
        return Definition(tokens, outputs, float(score))


def _tokens(features: Any) -> Arrays:
    mask = features["attention_mask"][0].bool()
    return {name: features[name][0][mask].numpy() for name in _TOKENS if name in features}


def _attended(vectors: torch.Tensor, features: Any) -> npt.NDArray[Any]:
    return vectors[0][features["attention_mask"][0].bool()].float().numpy()
