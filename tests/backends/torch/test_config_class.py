"""A config cannot cause endless work before there is a model, and numbers that are not counts may be large."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import transformers

from inferox.backends.torch.architecture import instantiate
from inferox.backends.torch.config_class import read_config
from inferox.backends.torch.config_numbers import LargeNumbers
from inferox.core import LoadError
from tests.sources.checkpoints import make_model

ENDLESS: dict[str, tuple[str, dict[str, Any], str]] = {
    "labels": ("bert", {"num_labels": 10**9}, "num_labels = 1,000,000,000"),
    "labels of a part": ("clip", {"text_config": {"num_labels": 10**8}}, "text_config.num_labels = 100,000,000"),
    "labels of a part of any type": (
        "encoder-decoder",
        {"encoder": {"model_type": "bert", "num_labels": 10**9}, "decoder": {"model_type": "bert"}},
        "encoder.num_labels = 1,000,000,000",
    ),
    "a list of layers": ("qwen3", {"num_hidden_layers": 10**9}, "num_hidden_layers = 1,000,000,000"),
    "a list of layers in one step": ("mamba2", {"num_hidden_layers": 10**10}, "num_hidden_layers = 10,000,000,000"),
    "a range of layers": ("lfm2", {"num_hidden_layers": 10**9}, "num_hidden_layers = 1,000,000,000"),
    "attention": ("gpt_neo", {"attention_types": [[["global", "local"], 10**9]]}, "attention_types[0][1] = 1,000,000"),
    "attention in many parts": ("gpt_neo", {"attention_types": [[["global"], 10**5]] * 1000}, "attention_types[0][1]"),
    "attention of long parts": ("gpt_neo", {"attention_types": [[["global"] * 10**5, 10**5]]}, "attention_types[0][1]"),
}

MODULES: dict[str, tuple[str, dict[str, Any], str]] = {
    "depths": ("swin", {"depths": [1, 10**9], "num_heads": [1, 1]}, "depths[1] = 1,000,000,000"),
    "many depths": ("swin", {"depths": [10**6] * 400, "num_heads": [1] * 400}, "depths[0] = 1,000,000"),
    "rates": ("convnext", {"depths": [3, 10**10], "hidden_sizes": [2, 2]}, "depths[1] = 10,000,000,000"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_config_class_ends(kind: str) -> None:
    model_type, settings, named = ENDLESS[kind]

    with pytest.raises(LoadError, match=re.escape(named)):
        read_config({"model_type": model_type, **settings})


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", MODULES)
def test_what_precedes_the_first_module_ends(kind: str) -> None:
    model_type, settings, named = MODULES[kind]
    weights = make_model("bert", "Model").state_dict()
    architecture = {"swin": "SwinModel", "convnext": "ConvNextModel"}[model_type]

    with pytest.raises(LoadError, match=re.escape(named)):
        instantiate({"model_type": model_type, **settings}, weights, architecture)


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("llama4_text", {"max_position_embeddings": 10_485_760}),
        ("llama", {"vocab_size": 3_000_000, "bos_token_id": 2_999_998, "eos_token_id": [2_999_999, 2_999_997]}),
        ("qwen3", {"rope_theta": 10_000_000, "max_position_embeddings": 1_010_000}),
        ("gemma3_text", {"vocab_size": 262_208}),
        ("whisper", {"suppress_tokens": [50_000 + index for index in range(90)]}),
        ("bert", {"number_of_parameters": 7_000_000_000, "seed": 2**63}),
        ("vibevoice_asr", {}),
    ],
)
def test_large_numbers_that_count_nothing_are_taken(model_type: str, settings: dict[str, Any]) -> None:
    if model_type not in transformers.CONFIG_MAPPING:
        pytest.skip(f"this version of transformers has no {model_type}")

    read = read_config({"model_type": model_type, **settings}).to_dict()

    expected = transformers.CONFIG_MAPPING[model_type].from_dict(dict(settings)).to_dict()
    assert read == expected


def test_many_labels_that_are_named_are_taken() -> None:
    labels = {str(index): f"label {index}" for index in range(60_000)}

    assert read_config({"model_type": "bert", "id2label": labels}).num_labels == len(labels)


def test_smaller_numbers_keep_their_order_types_and_factors() -> None:
    stated: dict[str, Any] = {
        "a": 10**9,
        "b": {"c": 10**9 - 1, "d": 5e6},
        "e": [10**7, 3],
        "f": 7,
        "g": True,
        "h": -(10**9),
        "i": "x",
    }
    numbers = LargeNumbers(stated)

    smaller, raised = numbers.made_smaller(), numbers.made_smaller(raised=True)

    assert smaller["a"] > smaller["b"]["c"] > smaller["e"][0] > smaller["b"]["d"] > 0 > smaller["h"]
    assert (smaller["e"][1], smaller["f"], smaller["g"], smaller["i"]) == (3, 7, True, "x")
    assert isinstance(smaller["b"]["d"], float)
    assert smaller["a"] % 100 == stated["a"] % 100
    assert raised["a"] > smaller["a"]
    assert max(raised["a"], raised["b"]["c"]) < 10**6 < stated["b"]["c"]
    assert not LargeNumbers({"a": 1000, "b": [1, 2], "c": float("inf")})


def test_a_trace_function_that_was_there_is_put_back() -> None:
    def trace(*_: Any) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        read_config({"model_type": "bert"})
        found = sys.gettrace()
        with pytest.raises(LoadError):
            read_config({"model_type": "bert", "num_labels": 10**9})
        found_after_failure = sys.gettrace()
    finally:
        sys.settrace(before)
    assert found is found_after_failure is trace


def test_threads_read_configs_at_once() -> None:
    """Python refuses to trace a thread while it begins to trace another."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            read = list(pool.map(read_config, [{"model_type": "bert"}] * 400))
    finally:
        sys.setswitchinterval(interval)
    assert {config.model_type for config in read} == {"bert"}
