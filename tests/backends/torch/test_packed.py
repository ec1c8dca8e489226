"""Text models on packed rows compute what they compute padded, without the padding."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from inferox.backends.torch.packed import PackedModule
from inferox.core import (
    SEQUENCE,
    DataType,
    LoadError,
    Outputs,
    Signature,
    TensorSpec,
    pack_batch,
    packed_signature,
    read_padded,
)
from inferox.core.packed import repad
from tests.sources.checkpoints import TEXT_CONFIGS, make_model, make_texts

PACKABLE = ("bert", "roberta", "distilbert", "xlm-roberta", "modernbert", "electra")
OUTPUTS = {
    "Model": TensorSpec("last_hidden_state", DataType.F32, ("batch", "seq", 16)),
    "ForSequenceClassification": TensorSpec("logits", DataType.F32, ("batch", 3)),
    "ForTokenClassification": TensorSpec("logits", DataType.F32, ("batch", "seq", 3)),
}
Arrays = dict[str, npt.NDArray[Any]]


def signature_of(model_type: str, *outputs: TensorSpec) -> Signature:
    names = ["input_ids", "attention_mask", "token_type_ids"][: 3 if model_type in {"bert", "electra"} else 2]
    return Signature(tuple(TensorSpec(name, DataType.I64, ("batch", "seq")) for name in names), outputs)


def call(module: torch.nn.Module, inputs: Arrays) -> dict[str, torch.Tensor]:
    with torch.inference_mode():
        returned: dict[str, torch.Tensor] = module(**{name: torch.from_numpy(each) for name, each in inputs.items()})
    return returned


def compute_packed(module: torch.nn.Module, inputs: Arrays, signature: Signature) -> Arrays:
    """Computes the packed form of a padded batch with a module, and returns the outputs padded again."""
    packed = packed_signature(signature)
    wrapped = PackedModule(module, packed)
    try:
        batch, lengths = read_padded(inputs, signature)
        computed = {name: value.numpy() for name, value in call(wrapped, pack_batch(batch, signature)).items()}
    finally:
        wrapped.release()
    outputs, longest = Outputs(computed, packed, batch), inputs["attention_mask"].shape[1]
    return {
        spec.name: repad(outputs.of_tokens(spec.name), lengths, longest)
        if SEQUENCE in spec.dims
        else outputs.of_rows(spec.name)
        for spec in signature.outputs
    }


def assert_agrees(module: Any, inputs: Arrays, signature: Signature) -> None:
    """Checks that every number except those of padding is what transformers computes for the padded batch."""
    found, mask = compute_packed(module, inputs, signature), inputs["attention_mask"]
    expected = call(module, inputs)
    for spec in signature.outputs:
        whole = expected[spec.name].numpy()
        kept = mask[..., None] if "seq" in spec.dims else np.float32(1)
        np.testing.assert_allclose(found[spec.name], whole * kept, atol=2e-6)


@pytest.mark.parametrize("head", OUTPUTS)
@pytest.mark.parametrize("model_type", PACKABLE)
def test_what_is_computed_for_tokens_does_not_change(model_type: str, head: str) -> None:
    module = make_model(model_type, head, **({} if head == "Model" else {"num_labels": 3}))
    signature = signature_of(model_type, OUTPUTS[head])
    for rows, length in ((1, 1), (1, 7), (5, 9), (3, 30)):
        assert_agrees(module, make_texts(signature.input_names, rows=rows, length=length), signature)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=5), seed=st.integers(0, 9))
@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_padding_changes_nothing(model_type: str, lengths: list[int], seed: int) -> None:
    module = make_model(model_type, "Model")
    signature = signature_of(model_type, OUTPUTS["Model"])
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    padding = module.config.pad_token_id
    tokens = np.random.default_rng(seed).integers(3, 60, mask.shape)
    inputs = {
        "input_ids": np.where(mask, tokens, padding),
        "attention_mask": mask,
        "token_type_ids": mask * (tokens % 2),
    }
    assert_agrees(module, {name: inputs[name] for name in signature.input_names}, signature)


ROBERTA_KIND = ("Roberta", "RobertaPreLayerNorm", "XLMRobertaXL", "Data2VecText")


def make_roberta_kind(prefix: str, head: str) -> Any:
    settings = {**TEXT_CONFIGS["roberta"][1], "num_labels": 3}
    torch.manual_seed(len(prefix))
    return getattr(transformers, prefix + head)(getattr(transformers, f"{prefix}Config")(**settings)).eval()


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=st.integers(0, 9))
@pytest.mark.parametrize("head", ["Model", "ForSequenceClassification"])
@pytest.mark.parametrize("prefix", ["Bert", "Roberta"])
def test_rows_of_any_lengths_with_padding_tokens_among_them(
    prefix: str, head: str, lengths: list[int], seed: int
) -> None:
    module = make_roberta_kind(prefix, head)
    signature = signature_of("roberta", OUTPUTS[head])
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    inputs = {"input_ids": np.random.default_rng(seed).integers(0, 6, mask.shape), "attention_mask": mask}
    assert_agrees(module, inputs, signature)


@pytest.mark.parametrize("head", ["Model", "ForSequenceClassification"])
@pytest.mark.parametrize("prefix", ROBERTA_KIND)
def test_positions_behind_padding_are_told_by_the_module(prefix: str, head: str) -> None:
    signature = signature_of("roberta", OUTPUTS[head])
    assert_agrees(make_roberta_kind(prefix, head), make_texts(signature.input_names, rows=4, length=9), signature)


def test_tokens_do_not_see_those_behind_them_in_a_decoder() -> None:
    module, signature = make_model("bert", "Model", is_decoder=True), signature_of("bert", OUTPUTS["Model"])
    inputs = make_texts(signature.input_names, rows=4, length=9)
    assert_agrees(module, inputs, signature)
    both = make_model("bert", "Model")
    difference = (call(module, inputs)["last_hidden_state"] - call(both, inputs)["last_hidden_state"]).numpy()
    assert np.abs(difference * inputs["attention_mask"][..., None]).max() > 1e-2  # or the direction would not show


def test_each_call_of_several_threads_gets_its_own_rows() -> None:
    modules = [make_model("bert", "Model", initializer_range=each) for each in (0.02, 0.5)]
    signature = signature_of("bert", OUTPUTS["Model"])
    packed = packed_signature(signature)
    wrapped = [PackedModule(module, packed) for module in modules]
    batches = [
        pack_batch(read_padded(make_texts(signature.input_names, rows=rows, length=length), signature)[0], signature)
        for rows, length in ((1, 5), (4, 9), (7, 3), (3, 30))
    ]
    work = [(module, batch) for batch in batches for module in wrapped] * 12
    alone = {(id(module), id(batch)): call(module, batch) for module, batch in work}
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda item: call(*item), work))
    for (module, batch), found in zip(work, together, strict=True):
        expected = alone[id(module), id(batch)]["last_hidden_state"]
        torch.testing.assert_close(found["last_hidden_state"], expected, rtol=0, atol=2e-6)


def test_a_module_whose_attention_refuses_to_be_replaced_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    module = make_model("roberta", "ForSequenceClassification", num_labels=3)
    signature = signature_of("roberta", OUTPUTS["ForSequenceClassification"])
    inputs = make_texts(signature.input_names)
    before = call(module, inputs)["logits"]

    def refuse(_: str) -> None:
        raise ValueError("not this one")

    monkeypatch.setattr(module, "set_attn_implementation", refuse)
    with pytest.raises(LoadError, match=r"attention of a RobertaForSequenceClassification .* not this one"):
        PackedModule(module, packed_signature(signature))
    torch.testing.assert_close(call(module, inputs)["logits"], before, rtol=0, atol=0)


def test_a_window_of_attention_is_kept() -> None:
    module = make_model("modernbert", "Model", local_attention=8, global_attn_every_n_layers=2, num_hidden_layers=4)
    signature = signature_of("modernbert", OUTPUTS["Model"])
    inputs = make_texts(signature.input_names, rows=4, length=36)
    assert_agrees(module, inputs, signature)
    wide = make_model("modernbert", "Model", local_attention=64, global_attn_every_n_layers=2, num_hidden_layers=4)
    kept = inputs["attention_mask"][..., None]
    difference = (call(module, inputs)["last_hidden_state"] - call(wide, inputs)["last_hidden_state"]).numpy() * kept
    assert np.abs(difference).max() > 1e-4  # so that ignoring the window would show


def test_the_pooled_output_is_of_each_rows_first_token() -> None:
    module = make_model("bert", "Model")
    signature = signature_of("bert", TensorSpec("pooler_output", DataType.F32, ("batch", 16)))
    assert_agrees(module, make_texts(signature.input_names, rows=4, length=9), signature)


def test_rows_do_not_see_each_other() -> None:
    module, signature = make_model("bert", "Model"), signature_of("bert", OUTPUTS["Model"])
    inputs = make_texts(signature.input_names, rows=4, length=9)
    together = compute_packed(module, inputs, signature)["last_hidden_state"]
    for index in range(4):
        alone = compute_packed(module, {name: each[[index]] for name, each in inputs.items()}, signature)
        np.testing.assert_allclose(together[[index]], alone["last_hidden_state"], atol=2e-6)


@pytest.mark.parametrize("model_type", PACKABLE)
def test_a_released_module_is_what_it_was(model_type: str) -> None:
    module = make_model(model_type, "ForSequenceClassification")
    signature = signature_of(model_type, OUTPUTS["ForSequenceClassification"])
    inputs = make_texts(signature.input_names)
    before = call(module, inputs)["logits"]
    compute_packed(module, inputs, signature)
    torch.testing.assert_close(call(module, inputs)["logits"], before, rtol=0, atol=0)


def test_a_module_that_cannot_be_packed_is_named_and_left_as_it_was() -> None:
    module, signature = make_model("mpnet", "Model"), signature_of("mpnet", OUTPUTS["Model"])
    inputs = make_texts(signature.input_names)
    before = call(module, inputs)["last_hidden_state"]
    with pytest.raises(LoadError, match="the attention of a MPNetModel cannot be replaced"):
        PackedModule(module, packed_signature(signature))
    torch.testing.assert_close(call(module, inputs)["last_hidden_state"], before, rtol=0, atol=0)


def test_a_module_without_positions_is_named() -> None:
    with pytest.raises(LoadError, match="a Linear works out positions by itself"):
        PackedModule(torch.nn.Linear(2, 2), packed_signature(signature_of("bert", OUTPUTS["Model"])))
