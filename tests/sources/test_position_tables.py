"""The maximum length of rows, against what the models themselves take."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers

from inferox.sources.position_tables import measure_position_limit

_BERT = {
    "vocab_size": 120,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
_GPT2 = {"vocab_size": 120, "n_embd": 16, "n_layer": 1, "n_head": 2, "bos_token_id": 1, "eos_token_id": 2}
_OPT = {
    **_BERT,
    "ffn_dim": 24,
    "word_embed_proj_dim": 16,
}
_NEO = {
    "vocab_size": 120,
    "hidden_size": 16,
    "num_layers": 2,
    "num_heads": 2,
    "intermediate_size": 24,
    "attention_types": [[["global", "local"], 1]],
}
_T5 = {"vocab_size": 120, "d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}


def make(name: str, **settings: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    model_class = getattr(transformers, name)
    module: torch.nn.Module = model_class(model_class.config_class(**settings)).eval()
    return module


def takes(module: torch.nn.Module, length: int) -> bool:
    try:
        with torch.no_grad():
            module(input_ids=torch.full((1, length), 5), attention_mask=torch.ones(1, length, dtype=torch.int64))
    except (IndexError, RuntimeError):
        return False
    return True


INPUTS = {name: torch.ones((1, 4), dtype=torch.int64) for name in ("input_ids", "attention_mask")}


@pytest.mark.parametrize(
    ("name", "settings", "limit"),
    [
        ("BertModel", {**_BERT, "max_position_embeddings": 40}, 40),
        ("RobertaModel", {**_BERT, "max_position_embeddings": 600, "pad_token_id": 1}, 598),
        ("GPT2Model", {**_GPT2, "n_positions": 64}, 64),
        ("OPTModel", {**_OPT, "max_position_embeddings": 50}, 50),
        ("GPTNeoModel", {**_NEO, "max_position_embeddings": 48}, 48),
        ("CTRLModel", {**_GPT2, "dff": 16, "n_positions": 70}, 70),
        ("MPNetModel", {**_BERT, "max_position_embeddings": 40}, 38),
        ("EsmModel", {**_BERT, "max_position_embeddings": 44, "pad_token_id": 1, "mask_token_id": 32}, 42),
    ],
)
def test_the_limit_is_the_longest_row_that_the_model_takes(name: str, settings: dict[str, Any], limit: int) -> None:
    module = make(name, **settings)

    assert measure_position_limit(module, INPUTS, 5) == limit
    assert takes(module, limit)
    assert not takes(module, limit + 1)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("T5EncoderModel", _T5),
        ("Qwen3Model", {**_BERT, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 40}),
        ("XLNetModel", {"vocab_size": 120, "d_model": 16, "n_layer": 1, "n_head": 2, "d_inner": 16}),
    ],
)
def test_relative_and_rotary_positions_have_no_table(name: str, settings: dict[str, Any]) -> None:
    module = make(name, **settings)

    assert measure_position_limit(module, INPUTS, 5) is None
    assert takes(module, 700)


def test_tables_of_any_name_and_kind_are_found() -> None:
    class Sliced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = torch.nn.Embedding(120, 4)
            self.zeta = torch.nn.Parameter(torch.zeros(1, 33, 4))

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.words(input_ids) + self.zeta[:, : input_ids.shape[1]]
            return output

    assert measure_position_limit(Sliced().eval(), {"input_ids": INPUTS["input_ids"]}, 5) == 33
