"""Text models of many kinds, packed as they are on disk, against the libraries that define them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

import inferox
from inferox.core import LoadError, RequestError
from tests.small_tokenizer import VOCABULARY, write_small_tokenizer

TEXTS = ["the ferry leaves at six", "copper", "a herd of goats crossed the dry river near Paris on Monday"]
BERT: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}
T5: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "d_model": 16,
    "d_kv": 8,
    "d_ff": 32,
    "num_layers": 2,
    "num_heads": 2,
    "pad_token_id": 0,
}
DECODER: dict[str, Any] = {
    "vocab_size": 260,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": 256,
}


def save(directory: Path, architecture: str, config: transformers.PretrainedConfig) -> Path:
    torch.manual_seed(0)
    getattr(transformers, architecture)(config).eval().save_pretrained(directory)
    return directory


def add_tokenizer(directory: Path, minilm_directory: Path) -> Path:
    write_small_tokenizer(directory, minilm_directory)
    return directory


def add_byte_tokenizer(directory: Path, *, ends: bool) -> Path:
    """Adds a tokenizer of single bytes, which may add an end of text to each row."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<|end|>"])
    if ends:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A <|end|>", pair="$A $B <|end|>", special_tokens=[("<|end|>", 256)]
        )
    tokenizer.save(str(directory / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|end|>", "pad_token": "<|end|>"}
    (directory / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": 128}))
    return directory


def add_modules(directory: Path, width: int, pooling: str = "mean") -> Path:
    names = (("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize"))
    modules = [
        {"idx": index, "name": str(index), "path": folder, "type": f"sentence_transformers.models.{kind}"}
        for index, (kind, folder) in enumerate(names)
    ]
    (directory / "modules.json").write_text(json.dumps(modules))
    (directory / "1_Pooling").mkdir()
    settings = {"word_embedding_dimension": width, "pooling_mode": pooling}
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    (directory / "sentence_bert_config.json").write_text('{"max_seq_length": 32}')
    return directory


def pack(directory: Path, **options: Any) -> inferox.PackReport:
    return inferox.pack(directory, directory.parent / "packed", force=True, **options)


def check_vectors(directory: Path, *, backends: tuple[str, ...] = ("torch",), **options: Any) -> inferox.PackReport:
    report = pack(directory, backends=backends, **options)
    assert report.task == "embed"
    assert all(artifact.endswith("/packed") for artifact in report.refused)
    reference = SentenceTransformer(str(directory), device="cpu")
    expected = np.stack([reference.encode(text) for text in TEXTS])
    for backend in backends:
        with inferox.load(report.path, backend=backend) as model:
            np.testing.assert_allclose(model.embed(TEXTS), expected, atol=2e-5, rtol=1e-4)
    return report


@pytest.mark.parametrize(
    "stated", [pytest.param("T5EncoderModel", marks=pytest.mark.slow), "T5ForConditionalGeneration"]
)
def test_sentence_t5(stated: str, minilm_directory: Path, tmp_path: Path) -> None:
    directory = save(tmp_path / "t5", stated, transformers.T5Config(**T5))
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "is_encoder_decoder": True}))
    add_modules(add_tokenizer(directory, minilm_directory), 16)

    # test_runtimes.py has graphs of other models with relative positions in every run.
    report = check_vectors(directory, backends=("torch", "onnxruntime") if stated == "T5EncoderModel" else ("torch",))

    assert any(name.startswith("decoder.") for name in report.left_out_weights) is (stated != "T5EncoderModel")
    assert ("T5ForConditionalGeneration" in " ".join(report.notes)) is (stated != "T5EncoderModel")


def test_a_causal_model_without_modules_pools_its_last_token(tmp_path: Path) -> None:
    directory = save(tmp_path / "qwen", "Qwen3ForCausalLM", transformers.Qwen3Config(**DECODER))

    report = check_vectors(add_byte_tokenizer(directory, ends=True))

    assert "Qwen3ForCausalLM, which generates text; it is packed as a Qwen3Model, without that head" in report.notes[0]
    assert report.left_out_weights == ("lm_head.weight",)


def test_a_masked_language_model_is_an_embedder_and_its_head_is_named(minilm_directory: Path, tmp_path: Path) -> None:
    directory = save(tmp_path / "bert", "BertForMaskedLM", transformers.BertConfig(**BERT))

    report = check_vectors(add_tokenizer(directory, minilm_directory))

    assert "BertForMaskedLM, which predicts masked tokens" in report.notes[0]
    assert all(name.startswith("cls.predictions.") for name in report.left_out_weights)
    assert report.left_out_weights


@pytest.mark.parametrize("stated", ["DebertaV2Model", "DebertaV2ForSequenceClassification"])
def test_the_pretraining_heads_of_deberta_are_named_not_refused(
    stated: str, minilm_directory: Path, tmp_path: Path
) -> None:
    config = transformers.DebertaV2Config(**{**BERT, "type_vocab_size": 0, "relative_attention": True, "num_labels": 3})
    directory = add_tokenizer(save(tmp_path / "deberta", stated, config), minilm_directory)
    weights = load_file(directory / "model.safetensors")
    if stated == "DebertaV2Model":
        weights = {f"deberta.{name}": value for name, value in weights.items()}
    extra = ["lm_predictions.lm_head.dense.weight", "mask_predictions.classifier.weight"]
    save_file({**weights, **{name: torch.ones(2) for name in extra}}, directory / "model.safetensors")

    report = pack(directory)

    assert set(extra) <= set(report.left_out_weights)
    assert report.task == ("embed" if stated == "DebertaV2Model" else "classify")


def test_a_missing_weight_and_one_of_no_known_part_are_still_errors(minilm_directory: Path, tmp_path: Path) -> None:
    directory = add_tokenizer(save(tmp_path / "bert", "BertModel", transformers.BertConfig(**BERT)), minilm_directory)
    weights = load_file(directory / "model.safetensors")
    lost = "encoder.layer.0.output.dense.weight"

    save_file({name: value for name, value in weights.items() if name != lost}, directory / "model.safetensors")
    with pytest.raises(LoadError, match=rf"that it needs: {lost}"):
        pack(directory)
    save_file({**weights, "encoder.layer.0.extra.weight": torch.ones(2)}, directory / "model.safetensors")
    with pytest.raises(LoadError, match=r"BertModel has no place for 1 weight: encoder\.layer\.0\.extra\.weight"):
        pack(directory)


@pytest.mark.parametrize("model_type", [pytest.param("Qwen3", marks=pytest.mark.slow), "GPT2"])
def test_a_decoder_classifier_without_a_padding_token(model_type: str, tmp_path: Path) -> None:
    settings = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128} if model_type == "GPT2" else {}
    config = getattr(transformers, f"{model_type}Config")(**{**DECODER, **settings}, num_labels=3)
    directory = save(tmp_path / "model", f"{model_type}ForSequenceClassification", config)
    add_byte_tokenizer(directory, ends=False)
    texts = [*TEXTS, "zinc and copper", "tin<|end|>", "zinc<|end|>", "<|end|>"]
    backends = ("torch", "onnxruntime")

    report = pack(directory, backends=backends)

    assert (report.task, report.refused) == ("classify", {})
    classifier: Any = transformers.pipeline("text-classification", model=str(directory), device="cpu", top_k=None)
    expected = [{item["label"]: item["score"] for item in classifier([text])[0]} for text in texts]
    for backend in backends:
        with inferox.load(report.path, backend=backend) as model:
            for found, wanted in zip(model.classify(texts), expected, strict=True):
                assert {item.label: item.score for item in found} == pytest.approx(wanted, abs=1e-5)


def test_a_text_without_any_token_is_refused_as_a_request(tmp_path: Path) -> None:
    directory = save(tmp_path / "model", "Qwen3Model", transformers.Qwen3Config(**DECODER))

    report = pack(add_byte_tokenizer(directory, ends=False))

    with (
        inferox.load(report.path) as model,
        pytest.raises(RequestError, match="text 1 has no tokens, but the model needs at least one"),
    ):
        model.embed(["copper", ""])


def test_a_decoder_reranker_without_a_padding_token(tmp_path: Path) -> None:
    config = transformers.Qwen3Config(**{**DECODER, "num_labels": 1})
    directory = save(tmp_path / "model", "Qwen3ForSequenceClassification", config)
    add_byte_tokenizer(directory, ends=False)
    reference = CrossEncoder(str(directory), device="cpu")

    with inferox.load(pack(directory).path) as model:
        found = {item.index: item.score for item in model.rerank("goats", TEXTS)}

    expected = [float(reference.predict([("goats", text)])[0]) for text in TEXTS]
    assert [found[index] for index in range(len(TEXTS))] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("model_type", ["Qwen3", "GPT2"])
def test_a_decoder_classifier_is_padded_with_the_number_that_it_looks_for(model_type: str, tmp_path: Path) -> None:
    """The class finds the last token of a row by its config's padding id, whatever the tokenizer's is called."""
    settings = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 128} if model_type == "GPT2" else {}
    config = getattr(transformers, f"{model_type}Config")(**{**DECODER, **settings, "pad_token_id": 0, "num_labels": 3})
    directory = save(tmp_path / "model", f"{model_type}ForSequenceClassification", config)
    add_byte_tokenizer(directory, ends=False)  # its padding is 256

    report = pack(directory)

    assert [(item.artifact, str(item.batch)) for item in report.evidence] == [
        ("torch/safetensors/fp32/padded", "batch invariant")
    ]
    assert report.refused == {}
    assert any("looks for the last token of each row by its padding" in note for note in report.notes)
    with inferox.load(report.path) as model:
        assert model.metadata.batch_invariant
        alone = [model.classify([text])[0] for text in TEXTS]
        for found, wanted in zip(model.classify(TEXTS), alone, strict=True):
            expected = {item.label: item.score for item in wanted}
            assert {item.label: item.score for item in found} == pytest.approx(expected, abs=1e-5)


def test_a_text_model_without_a_tokenizer_says_so(tmp_path: Path) -> None:
    directory = save(tmp_path / "model", "Qwen3Model", transformers.Qwen3Config(**{**DECODER, "pad_token_id": 0}))
    report = pack(directory)
    assert report.task == "raw"
    assert any("no tokenizer was found beside the model" in note for note in report.notes)
    asked = pack(directory, task="raw")
    assert not any("no tokenizer" in note for note in asked.notes)
