from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import transformers
from transformers.utils import logging as hf_logging

from inferox.backends.torch.architecture import instantiate
from inferox.core import LoadError
from tests.packing.test_kinds import one_layer
from tests.sources.checkpoints import IMAGE_CONFIGS, TEXT_CONFIGS, make_model

TEXT_CLASSES = [
    (model_type, prefix + suffix)
    for model_type, (prefix, _) in TEXT_CONFIGS.items()
    for suffix in ("Model", "ForSequenceClassification", "ForTokenClassification")
]
IMAGE_CLASSES = [
    (model_type, prefix + suffix)
    for model_type, (prefix, _) in IMAGE_CONFIGS.items()
    for suffix in ("Model", "ForImageClassification")
]

Weights = dict[str, torch.Tensor]


def make_module(model_type: str, architecture: str, **settings: Any) -> transformers.PreTrainedModel:
    """A module with seeded random weights, none of which has the value that initialisation gives."""
    prefix = {**TEXT_CONFIGS, **IMAGE_CONFIGS}[model_type][0]
    module = make_model(model_type, architecture.removeprefix(prefix), **settings)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.add_(torch.rand_like(tensor) * 0.1)
    return module


def config_of(module: transformers.PreTrainedModel) -> dict[str, Any]:
    config: dict[str, Any] = module.config.to_dict()
    return config


def outputs_of(module: torch.nn.Module) -> list[torch.Tensor]:
    if "pixel" in str(getattr(module, "main_input_name", "")):
        inputs = {"pixel_values": torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(1))}
    else:
        mask = torch.ones(2, 7, dtype=torch.long)
        mask[1, 4:] = 0
        inputs = {"input_ids": torch.arange(3, 17).reshape(2, 7), "attention_mask": mask}
    with torch.inference_mode():
        return [value for value in module(**inputs).values() if isinstance(value, torch.Tensor)]


def assert_equal(found: torch.nn.Module, expected: torch.nn.Module) -> None:
    for ours, theirs in zip(outputs_of(found), outputs_of(expected), strict=True):
        assert torch.equal(ours, theirs)


@pytest.fixture
def bert() -> transformers.PreTrainedModel:
    return make_module("bert", "BertModel")


@pytest.mark.parametrize(("model_type", "architecture"), TEXT_CLASSES + IMAGE_CLASSES)
def test_every_architecture_computes_exactly_what_the_original_does(model_type: str, architecture: str) -> None:
    original = make_module(model_type, architecture)
    made = instantiate(config_of(original), original.state_dict(), architecture)
    assert type(made.module) is type(original)
    assert not made.module.training
    assert made.left_out == ()
    assert_equal(made.module, original)


EVERY_KIND_OF_LAYER = {"BertForSequenceClassification", "ModernBertModel", "MPNetModel", "ViTModel", "ResNetModel"}


@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [
        # A model is made for each weight: every kind of layer in every run, and all classes among the slow tests.
        pytest.param(*pair, marks=[] if pair[1] in EVERY_KIND_OF_LAYER else pytest.mark.slow)
        for pair in TEXT_CLASSES + IMAGE_CLASSES
    ],
)
def test_no_weight_may_be_missing_and_none_left_over(model_type: str, architecture: str) -> None:
    # As many modules are made as there are weights, and the layers of most are alike.
    original = make_module(model_type, architecture, **({} if model_type == "resnet" else one_layer(model_type)))
    config, weights = config_of(original), original.state_dict()
    for name in weights:
        if ".pooler." in f".{name}":
            continue  # without some of its weights the pooler is not built, and the others are left over: tested below
        with pytest.raises(LoadError, match="lacks 1 weight that") as caught:
            instantiate(config, {key: value for key, value in weights.items() if key != name}, architecture)
        assert name in str(caught.value)
    with pytest.raises(LoadError, match=f"{architecture} has no place for 1 weight: extra.weight"):
        instantiate(config, {**weights, "extra.weight": torch.zeros(2)}, architecture)


@pytest.mark.parametrize(
    ("model_type", "architecture"),
    [pair for pair in TEXT_CLASSES + IMAGE_CLASSES if not pair[1].endswith("Model")],
)
def test_a_bare_encoder_leaves_the_head_out(model_type: str, architecture: str) -> None:
    with_head = make_module(model_type, architecture)
    bare = architecture.partition("For")[0] + "Model"
    made = instantiate(config_of(with_head), with_head.state_dict(), bare)
    prefix = with_head.base_model_prefix
    encoder = {name for name in with_head.state_dict() if name.startswith(f"{prefix}.")}
    assert set(made.left_out) == with_head.state_dict().keys() - encoder
    assert made.left_out
    assert torch.equal(outputs_of(made.module)[0], outputs_of(with_head.get_submodule(str(prefix)))[0])


@pytest.mark.parametrize(("model_type", "architecture"), [pair for pair in TEXT_CLASSES if "For" in pair[1]])
def test_a_head_is_never_filled_in_at_random(model_type: str, architecture: str) -> None:
    bare = make_module(model_type, architecture.partition("For")[0] + "Model")
    with pytest.raises(LoadError, match=rf"{architecture} lacks \d+ weights? that it needs: .*classifier"):
        instantiate(config_of(bare), bare.state_dict(), architecture)


@pytest.mark.parametrize(
    ("model_type", "pretrained"),
    [
        ("bert", "BertForPreTraining"),
        ("bert", "BertForMaskedLM"),
        ("bert", "BertForQuestionAnswering"),
        ("roberta", "RobertaForMaskedLM"),
        ("distilbert", "DistilBertForMaskedLM"),
        ("distilbert", "DistilBertForQuestionAnswering"),
        ("xlm-roberta", "XLMRobertaForMaskedLM"),
        ("mpnet", "MPNetForMaskedLM"),
        ("modernbert", "ModernBertForMaskedLM"),
        ("electra", "ElectraForPreTraining"),
        ("electra", "ElectraForMaskedLM"),
    ],
)
def test_pretraining_heads_are_left_out(model_type: str, pretrained: str) -> None:
    original = make_module(model_type, pretrained)
    made = instantiate(config_of(original), original.state_dict(), f"{pretrained.partition('For')[0]}Model")
    assert made.left_out
    base = original.get_submodule(str(original.base_model_prefix))
    assert torch.equal(outputs_of(made.module)[0], outputs_of(base)[0])


def old_names(weights: Weights) -> Weights:
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in weights.items()
    }


@pytest.mark.parametrize(
    "rename",
    [
        old_names,
        lambda weights: {f"bert.{name}": value for name, value in weights.items()},
        lambda weights: old_names({f"bert.{name}": value for name, value in weights.items()}),
    ],
)
def test_old_names_and_a_prefix_are_understood(
    bert: transformers.PreTrainedModel, rename: Callable[[Weights], Weights]
) -> None:
    weights = rename(bert.state_dict())
    assert set(weights) != set(bert.state_dict())
    assert_equal(instantiate(config_of(bert), weights, "BertModel").module, bert)


def test_a_head_finds_its_encoder_with_the_prefix_absent() -> None:
    original = make_module("bert", "BertForSequenceClassification")
    weights = {name.removeprefix("bert."): value for name, value in original.state_dict().items()}
    assert_equal(instantiate(config_of(original), weights, "BertForSequenceClassification").module, original)


def test_a_pooler_is_built_where_there_are_weights_for_it(bert: transformers.PreTrainedModel) -> None:
    without = {name: value for name, value in bert.state_dict().items() if not name.startswith("pooler.")}
    made = instantiate(config_of(bert), without, "BertModel")
    assert made.left_out == ()
    assert len(outputs_of(made.module)) == 1
    assert len(outputs_of(bert)) == 2
    with pytest.raises(LoadError, match=r"that it needs: pooler\.dense\.bias"):
        instantiate(config_of(bert), {**without, "pooler.dense.weight": torch.zeros(16, 16)}, "BertModel")


def test_a_pooler_that_the_architecture_never_has_is_left_out(bert: transformers.PreTrainedModel) -> None:
    tagger = make_module("bert", "BertForTokenClassification")
    pooler = {f"bert.{name}": value for name, value in bert.state_dict().items() if name.startswith("pooler.")}
    made = instantiate(config_of(tagger), {**tagger.state_dict(), **pooler}, "BertForTokenClassification")
    assert made.left_out == ("bert.pooler.dense.bias", "bert.pooler.dense.weight")
    assert_equal(made.module, tagger)


def test_a_part_of_a_head_that_the_architecture_has_is_an_error() -> None:
    original = make_module("bert", "BertForSequenceClassification")
    weights = {**original.state_dict(), "classifier.extra.weight": torch.zeros(2)}
    with pytest.raises(LoadError, match=r"no place for 1 weight: classifier\.extra\.weight"):
        instantiate(config_of(original), weights, "BertForSequenceClassification")


def test_tables_of_old_checkpoints_are_left_out(bert: transformers.PreTrainedModel) -> None:
    tables = {name: torch.arange(40)[None] for name in ("embeddings.position_ids", "embeddings.token_type_ids")}
    made = instantiate(config_of(bert), {**bert.state_dict(), **tables}, "BertModel")
    # transformers itself drops the first one silently.
    assert made.left_out == ("embeddings.token_type_ids",)
    assert_equal(made.module, bert)


def test_a_layer_too_many_is_an_error(bert: transformers.PreTrainedModel) -> None:
    with pytest.raises(LoadError, match=r"BertModel has no place for 16 weights: encoder\.layer\.1\..*, and 11 more"):
        instantiate({**config_of(bert), "num_hidden_layers": 1}, bert.state_dict(), "BertModel")
    with pytest.raises(LoadError, match=r"BertModel lacks 16 weights that it needs: encoder\.layer\.2\."):
        instantiate({**config_of(bert), "num_hidden_layers": 3}, bert.state_dict(), "BertModel")


def test_other_shapes_are_named(bert: transformers.PreTrainedModel) -> None:
    with pytest.raises(LoadError, match=r"BertModel needs another shape of 1 weight: .*word_embeddings") as caught:
        instantiate({**config_of(bert), "vocab_size": 61}, bert.state_dict(), "BertModel")
    assert "is [60, 16] and must be [61, 16]" in str(caught.value)


def test_tied_weights_are_one_tensor_again() -> None:
    original = make_module("bert", "BertForMaskedLM")
    weights = dict(original.state_dict())
    del weights["cls.predictions.decoder.weight"]
    made = instantiate(config_of(original), weights, "BertForMaskedLM").module
    assert made.get_parameter("cls.predictions.decoder.weight") is made.get_parameter(
        "bert.embeddings.word_embeddings.weight"
    )
    assert_equal(made, original)


def test_the_weights_memory_is_taken_over(bert: transformers.PreTrainedModel) -> None:
    weights = {name: value.clone() for name, value in bert.state_dict().items()}
    module = instantiate(config_of(bert), weights, "BertModel").module
    assert all(module.get_parameter(name).data_ptr() == value.data_ptr() for name, value in weights.items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_exactly(bert: transformers.PreTrainedModel, dtype: torch.dtype) -> None:
    narrow = {name: value.to(dtype) for name, value in bert.state_dict().items()}
    module = instantiate({**config_of(bert), "dtype": str(dtype).removeprefix("torch.")}, narrow, "BertModel").module
    assert all(
        torch.equal(module.get_parameter(name), value.float()) and module.get_parameter(name).dtype is torch.float32
        for name, value in narrow.items()
    )


@pytest.mark.parametrize(
    "architecture",
    [
        "NoSuchModel",
        "AutoModel",
        "pipeline",
        "PreTrainedModel",
        "BertPreTrainedModel",
        "BertConfig",
        "os",
        "",
        "a.b",
        "__name__",
    ],
)
def test_only_models_of_transformers_are_architectures(bert: transformers.PreTrainedModel, architecture: str) -> None:
    with pytest.raises(LoadError, match="has no architecture"):
        instantiate(config_of(bert), bert.state_dict(), architecture)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"model_type": "no-such-type"}, "does not know the model type 'no-such-type'"),
        ({"model_type": None}, "does not know the model type None"),
        ({"model_type": ["bert"]}, "does not know the model type"),
        ({"auto_map": {"AutoModel": "modeling.Model"}}, "code that comes with the model"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised by another library"),
        ({"model_type": "roberta"}, "a BertModel is not a roberta model"),
        ({"hidden_size": 17}, "making a BertModel from its config"),
        ({"hidden_act": "no-such-function"}, "BertModel"),
        ({"num_hidden_layers": "two"}, "bert model"),
        ({"num_hidden_layers": 10**9}, "its largest numbers are num_hidden_layers = 1,000,000,000"),
        ({"num_labels": 10**9}, "its largest numbers are num_labels = 1,000,000,000"),
    ],
)
def test_configs_that_describe_no_such_model(
    bert: transformers.PreTrainedModel, change: dict[str, Any], text: str
) -> None:
    with pytest.raises(LoadError, match=text):
        instantiate({**config_of(bert), **change}, bert.state_dict(), "BertModel")


def test_a_config_cannot_ask_for_more_memory_than_there_is(bert: transformers.PreTrainedModel) -> None:
    with pytest.raises(LoadError, match="more than"):
        instantiate({**config_of(bert), "vocab_size": 10**12}, bert.state_dict(), "BertModel")


@pytest.mark.parametrize("setting", ["attn_implementation", "_attn_implementation", "_attn_implementation_internal"])
@pytest.mark.parametrize("value", ["eager", "flash_attention_2", "kernels-community/flash-attn"])
def test_a_config_does_not_choose_how_this_machine_computes(
    bert: transformers.PreTrainedModel, setting: str, value: str
) -> None:
    module = instantiate({**config_of(bert), setting: value}, bert.state_dict(), "BertModel").module
    assert module.config._attn_implementation == "sdpa"  # type: ignore[union-attr]  # transformers' own attribute


@pytest.mark.parametrize(
    "setting", [{"return_dict": False}, {"output_attentions": True}, {"output_hidden_states": True}]
)
def test_a_config_does_not_choose_what_the_caller_is_given(
    bert: transformers.PreTrainedModel, setting: dict[str, bool]
) -> None:
    module = instantiate({**config_of(bert), **setting}, bert.state_dict(), "BertModel").module
    with torch.inference_mode():
        assert list(module(torch.ones(1, 3, dtype=torch.long))) == ["last_hidden_state", "pooler_output"]


@pytest.fixture
def chatty() -> Iterator[None]:
    before = hf_logging.get_verbosity()
    hf_logging.set_verbosity(logging.WARNING)
    yield
    hf_logging.set_verbosity(before)


@pytest.mark.usefixtures("chatty")
def test_threads_make_modules_at_once() -> None:
    originals = [make_module(*pair) for pair in (*TEXT_CLASSES, *IMAGE_CLASSES)]

    def work(original: transformers.PreTrainedModel) -> torch.nn.Module:
        return instantiate(config_of(original), original.state_dict(), type(original).__name__).module

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(work, originals * 3))
    for module, original in zip(made, originals * 3, strict=True):
        assert_equal(module, original)
    assert hf_logging.get_verbosity() == logging.WARNING
    assert torch.nn.Linear(2, 2).weight.any(), "PyTorch initialises its layers again"


@pytest.mark.usefixtures("chatty")
def test_nothing_is_printed_and_transformers_settings_stay(
    bert: transformers.PreTrainedModel, capfd: pytest.CaptureFixture[str]
) -> None:
    bars = hf_logging.is_progress_bar_enabled()
    instantiate(config_of(bert), bert.state_dict(), "BertModel")
    with pytest.raises(LoadError):
        instantiate(config_of(bert), {}, "BertModel")
    assert capfd.readouterr() == ("", "")
    assert hf_logging.get_verbosity() == logging.WARNING
    assert hf_logging.is_progress_bar_enabled() == bars
