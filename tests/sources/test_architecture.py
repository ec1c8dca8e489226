"""The class of transformers for a checkpoint, the report on its head, and refusals by name."""

from __future__ import annotations

import pytest

from inferox.core import ConfigError, InferoxError, PackageError
from inferox.sources.architecture import choose_architecture, lacks_padding, takes_images, text_inputs


def choose(model_type: str, stated: str, task: str | None = None, *, pools: bool = False) -> str:
    chosen = choose_architecture({"model_type": model_type, "architectures": [stated]}, task, pools=pools)
    takes_images(chosen.name)
    return chosen.name


@pytest.mark.parametrize(
    ("model_type", "stated", "chosen", "purpose"),
    [
        ("bert", "BertForMaskedLM", "BertModel", "predicts masked tokens"),
        ("deberta-v2", "DebertaV2ForMaskedLM", "DebertaV2Model", "predicts masked tokens"),
        ("bert", "BertForPreTraining", "BertModel", "computes what it was pretrained on"),
        ("qwen3", "Qwen3ForCausalLM", "Qwen3Model", "generates text"),
        ("gpt2", "GPT2LMHeadModel", "GPT2Model", "generates text"),
        ("bert", "BertLMHeadModel", "BertModel", "generates text"),
        ("flaubert", "FlaubertWithLMHeadModel", "FlaubertModel", "predicts masked tokens"),
    ],
)
def test_a_pretraining_head_is_left_out_with_a_note(model_type: str, stated: str, chosen: str, purpose: str) -> None:
    architecture = choose_architecture({"model_type": model_type, "architectures": [stated]}, None)

    assert architecture.name == chosen
    assert len(architecture.notes) == 1
    for part in (stated, chosen, purpose, "without that head", "--task raw keeps it"):
        assert part in architecture.notes[0]


@pytest.mark.parametrize(
    ("model_type", "stated"),
    [("bert", "BertModel"), ("t5", "T5EncoderModel"), ("vit", "ViTModel"), ("bert", "BertForTokenClassification")],
)
def test_what_is_packed_whole_has_no_notes(model_type: str, stated: str) -> None:
    architecture = choose_architecture({"model_type": model_type, "architectures": [stated]}, None)

    assert (architecture.name, architecture.notes) == (stated, ())


@pytest.mark.parametrize(
    ("model_type", "stated", "purpose", "asked"),
    [
        ("bert", "BertForQuestionAnswering", "finds the answer to a question in a text", ["embed", "raw"]),
        ("roberta", "RobertaForMultipleChoice", "chooses among several answers", ["embed", "raw"]),
        ("bert", "BertForNextSentencePrediction", "says whether one sentence follows another", ["embed", "raw"]),
        ("t5", "T5ForConditionalGeneration", "generates text with an encoder and a decoder", ["embed", "raw"]),
        ("detr", "DetrForObjectDetection", "finds objects in images", ["raw"]),
        ("segformer", "SegformerForSemanticSegmentation", "segments images", ["raw"]),
        ("dpt", "DPTForDepthEstimation", "estimates depth from images", ["raw"]),
        ("llava", "LlavaForConditionalGeneration", "generates text about images", ["embed", "raw"]),
    ],
)
def test_a_head_that_is_the_purpose_is_refused_with_what_can_be_requested(
    model_type: str, stated: str, purpose: str, asked: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        choose(model_type, stated)

    text = str(caught.value)
    assert f"a {stated} {purpose}, but no task reads that" in text
    assert [task for task in ("embed", "raw") if f"--task {task} packs" in text] == asked


@pytest.mark.parametrize(
    ("model_type", "stated", "purpose"),
    [
        ("clip", "CLIPModel", "compares texts with images, with an encoder for each"),
        ("siglip", "SiglipModel", "compares texts with images, with an encoder for each"),
        ("wav2vec2", "Wav2Vec2ForCTC", "transcribes speech"),
        ("whisper", "WhisperForConditionalGeneration", "transcribes or translates speech"),
        ("hubert", "HubertForSequenceClassification", "classifies audio"),
        ("hubert", "HubertModel", "reads audio (input_values)"),
        ("videomae", "VideoMAEForVideoClassification", "classifies videos"),
        ("bart", "BartForConditionalGeneration", "generates text with an encoder and a decoder"),
        ("marian", "MarianMTModel", "generates text with an encoder and a decoder"),
        ("bart", "BartModel", "computes with an encoder and a decoder"),
        ("patchtst", "PatchTSTForPrediction", "reads time series (past_values)"),
        ("bart", "BartForSequenceClassification", "classifies by the end-of-text token of a decoder"),
        ("mbart", "MBartForSequenceClassification", "classifies by the end-of-text token of a decoder"),
        ("t5", "T5ForSequenceClassification", "classifies by the end-of-text token of a decoder"),
    ],
)
def test_what_no_task_can_take_is_refused_by_its_name(model_type: str, stated: str, purpose: str) -> None:
    with pytest.raises(InferoxError) as caught:
        choose(model_type, stated)

    text = str(caught.value)
    assert f"a {stated} {purpose}" in text
    assert "supported: text encoders (embed)" in text


@pytest.mark.parametrize(
    ("model_type", "stated"),
    [("clip", "CLIPModel"), ("wav2vec2", "Wav2Vec2ForCTC"), ("bart", "BartForConditionalGeneration")],
)
def test_what_has_no_text_encoder_of_its_own_is_refused_for_embed(model_type: str, stated: str) -> None:
    with pytest.raises(PackageError, match=r"a (CLIPModel compares|Wav2Vec2Model reads|bart model .* generates text)"):
        choose(model_type, stated, "embed")


@pytest.mark.parametrize("task", ["classify", "rerank"])
def test_a_classifier_with_a_decoder_is_refused_for_a_task_too(task: str) -> None:
    with pytest.raises(PackageError, match="a BartForSequenceClassification classifies by the end-of-text token"):
        choose("bart", "BartForSequenceClassification", task)


def test_the_tokens_of_an_encoder_are_classified_without_its_decoder() -> None:
    assert choose("t5", "T5ForTokenClassification") == "T5ForTokenClassification"


def test_an_encoder_that_is_made_a_decoder_is_refused() -> None:
    config = {"model_type": "bert", "architectures": ["BertModel"], "is_encoder_decoder": True}

    with pytest.raises(ConfigError, match="a BertModel computes with an encoder and a decoder"):
        choose_architecture(config, None)
    with pytest.raises(PackageError, match="no class for its encoder alone"):
        choose_architecture(config, "embed")


@pytest.mark.parametrize(
    ("model_type", "stated", "chosen"),
    [
        ("bert", "BertForQuestionAnswering", "BertModel"),
        ("t5", "T5ForConditionalGeneration", "T5EncoderModel"),
        ("mt5", "MT5ForConditionalGeneration", "MT5EncoderModel"),
        ("t5", "T5Model", "T5EncoderModel"),
        ("bert", "BertForSequenceClassification", "BertModel"),
        ("longt5", "LongT5EncoderModel", "LongT5EncoderModel"),
    ],
)
def test_vectors_are_those_of_the_encoder_if_requested(model_type: str, stated: str, chosen: str) -> None:
    assert choose(model_type, stated, "embed") == chosen
    assert choose(model_type, stated, pools=True) == chosen


def test_raw_takes_the_class_as_it_is() -> None:
    assert choose("bert", "BertForQuestionAnswering", "raw") == "BertForQuestionAnswering"
    assert choose("detr", "DetrForObjectDetection", "raw") == "DetrForObjectDetection"


def test_an_encoder_without_a_class_of_its_own() -> None:
    with pytest.raises(PackageError, match=r"a bart model \(BartModel\) .*no class for its encoder alone"):
        choose("bart", "BartModel", "embed")


@pytest.mark.parametrize(
    ("model_type", "stated", "settings", "lacks"),
    [
        ("qwen3", "Qwen3ForSequenceClassification", {}, True),
        ("gpt2", "GPT2ForSequenceClassification", {}, True),
        ("qwen3", "Qwen3ForSequenceClassification", {"pad_token_id": 3}, False),
        ("qwen3", "Qwen3Model", {}, False),
        ("bert", "BertForSequenceClassification", {"pad_token_id": None}, False),
    ],
)
def test_a_classifier_that_counts_on_padding_and_has_none(
    model_type: str, stated: str, settings: dict[str, int], lacks: bool
) -> None:
    assert lacks_padding({"model_type": model_type, **settings}, stated) is lacks


def test_rows_without_padding_have_no_mask() -> None:
    config = {"model_type": "qwen3", "pad_token_id": -1}
    assert text_inputs(config, "Qwen3ForSequenceClassification", gives_types=False) == ("input_ids",)
    assert text_inputs({"model_type": "qwen3"}, "Qwen3Model", gives_types=False) == ("input_ids", "attention_mask")
