"""``inferox.compat.SentenceTransformer`` against the class that it replaces."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentence_transformers
import torch
from PIL import Image

from inferox import compat
from inferox.compat import SentenceTransformer
from inferox.compat.unsupported import UnsupportedError, unsupported_member
from inferox.core import (
    BackendUnavailableError,
    ConfigError,
    InferoxError,
    InferoxWarning,
    RequestError,
    TruncationWarning,
)

TEXTS = [
    "one",
    "a few words",
    "",
    "the quick brown fox jumps over the lazy dog " * 4,
    "naïve café 東京",
    "two",
    "three",
]
"""Texts of unsorted lengths, one of which is longer than the model takes."""

pytestmark = pytest.mark.filterwarnings("ignore::inferox.TruncationWarning")


@pytest.fixture(scope="module")
def theirs(encoder_directory: Path) -> sentence_transformers.SentenceTransformer:
    return sentence_transformers.SentenceTransformer(str(encoder_directory), device="cpu")


@pytest.fixture(scope="module")
def ours(encoder_directory: Path) -> Iterator[SentenceTransformer]:
    with SentenceTransformer(str(encoder_directory), device="cpu", backend="torch") as model:
        yield model


def assert_same(actual: Any, expected: Any) -> None:
    """Checks for the same kind, shape, data type and numbers."""
    assert type(actual) is type(expected)
    if isinstance(expected, list):
        assert len(actual) == len(expected)
        for one, other in zip(actual, expected, strict=True):
            assert_same(one, other)
        return
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), atol=1e-5)


def assert_same_features(actual: dict[str, Any], expected: Any) -> None:
    """Checks for the same inputs of the model, and the same facts about them."""
    assert actual.keys() == expected.keys()
    for name, value in actual.items():
        if isinstance(value, str | int):
            assert value == expected[name]
        else:
            assert_same(value, expected[name])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize_embeddings": True, "batch_size": 2},
        {"convert_to_tensor": True},
        {"convert_to_tensor": True, "convert_to_numpy": False},
        {"convert_to_numpy": False},
        {"prompt_name": "code"},
        {"prompt": "about: "},
        {"prompt": ""},
        {"truncate_dim": 5, "normalize_embeddings": True},
        {"truncate_dim": 99},
        {"precision": "binary"},
        {"precision": "ubinary", "convert_to_tensor": True},
        {"output_value": "token_embeddings"},
        {"task": "query", "show_progress_bar": False},
    ],
    ids=str,
)
@pytest.mark.parametrize("texts", [TEXTS, tuple(TEXTS[:2]), np.array(TEXTS[:3]), "a single text", []], ids=type)
def test_encode_takes_the_same_and_gives_the_same(
    ours: SentenceTransformer, theirs: Any, texts: Any, options: dict[str, Any]
) -> None:
    assert_same(ours.encode(texts, **options), theirs.encode(texts, **options))


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_whole_numbers_are_at_most_one_step_apart(ours: SentenceTransformer, theirs: Any, precision: Any) -> None:
    with pytest.warns(InferoxWarning, match="ranges") as caught:
        found = ours.encode(TEXTS, precision=precision)
    assert {warning.filename for warning in caught if "ranges" in str(warning.message)} == {__file__}
    expected = theirs.encode(TEXTS, precision=precision)

    assert found.dtype == expected.dtype
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
    with pytest.raises(RequestError, match=f"{precision} needs the range of several vectors"):
        ours.encode("a single text", precision=precision)


def test_what_is_printed_of_a_model_says_what_was_loaded(ours: SentenceTransformer) -> None:
    artifact = ours.loaded.metadata.artifact
    assert artifact.startswith("torch/")
    assert repr(ours) == f"<SentenceTransformer {ours.loaded.name!r}: {artifact} on cpu>"


def test_queries_and_documents_have_their_prompts(ours: SentenceTransformer, theirs: Any) -> None:
    assert ours.prompts == theirs.prompts
    assert_same(ours.encode_query(TEXTS), theirs.encode_query(TEXTS))
    assert_same(ours.encode_document(TEXTS), theirs.encode_document(TEXTS))
    assert_same(ours.encode_query("q", prompt_name="code"), theirs.encode_query("q", prompt_name="code"))
    assert np.abs(ours.encode_query(TEXTS) - ours.encode_document(TEXTS)).max() > 1e-3


def test_everything_there_is_of_a_text(ours: SentenceTransformer, theirs: Any) -> None:
    found, expected = (model.encode(TEXTS[1:2], output_value=None)[0] for model in (ours, theirs))

    assert found.keys() == expected.keys() & found.keys() >= {"token_embeddings", "sentence_embedding", "input_ids"}
    for name, value in found.items():
        assert_same(value, expected[name])


@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean", "manhattan"])
def test_similarities(ours: SentenceTransformer, theirs: Any, name: Any) -> None:
    # PyTorch's own distances between more than 25 vectors are off by 0.002 if two are equal.
    first, second = np.random.default_rng(1).standard_normal((2, 20, 16)).astype(np.float32)
    first[3], second[5] = second[3], 0
    assert (ours.similarity_fn_name, theirs.similarity_fn_name) == ("dot", "dot")
    try:
        ours.similarity_fn_name = theirs.similarity_fn_name = name
        for a, b in [(first, second), (first, first), (first[0], second), (first.astype(np.float16), second)]:
            assert_same(ours.similarity(a, b), theirs.similarity(a, b))
        assert_same(ours.similarity(list(torch.from_numpy(first)), list(second)), theirs.similarity(first, second))
        assert_same(ours.similarity_pairwise(first, second), theirs.similarity_pairwise(first, second))
        assert_same(ours.similarity_pairwise(first[0], second[0]), theirs.similarity_pairwise(first[0], second[0]))
    finally:
        ours.similarity_fn_name = theirs.similarity_fn_name = "dot"


def test_what_cannot_be_compared_is_refused(ours: SentenceTransformer) -> None:
    vectors = ours.encode(TEXTS)
    with pytest.raises(RequestError, match="only floating-point vectors can be compared, not int8"):
        ours.similarity(vectors.astype(np.int8), vectors)
    with pytest.raises(RequestError, match="different dimensions"):
        ours.similarity(vectors, vectors[:, :3])
    with pytest.raises(RequestError, match="gradients"):
        ours.similarity(torch.ones(2, 16, requires_grad=True), vectors)
    with pytest.raises(RequestError, match="equally many vectors on both sides"):
        ours.similarity_pairwise(vectors[:3], vectors[:2])


def test_the_limit_of_tokens_can_be_set(ours: SentenceTransformer, theirs: Any) -> None:
    assert ours.max_seq_length == ours.get_max_seq_length() == theirs.max_seq_length == 24
    try:
        for limit in (8, 48):
            ours.max_seq_length = theirs.max_seq_length = limit
            assert_same(ours.encode(TEXTS), theirs.encode(TEXTS))
            assert ours.max_seq_length == limit
        for wrong in (2, 65, 1.5):
            with pytest.raises(ConfigError, match=f"must be a whole number from 3 to 64, .* not {wrong}"):
                ours.max_seq_length = wrong  # type: ignore[assignment]
    finally:
        ours.max_seq_length = theirs.max_seq_length = 24


def test_dimensions_are_shortened_for_a_while(ours: SentenceTransformer, theirs: Any) -> None:
    assert ours.get_sentence_embedding_dimension() == ours.get_embedding_dimension() == 16
    with ours.truncate_embeddings(4), theirs.truncate_embeddings(4):
        assert ours.get_embedding_dimension() == theirs.get_embedding_dimension() == 4
        assert_same(ours.encode(TEXTS), theirs.encode(TEXTS))
    assert ours.encode(TEXTS).shape == (len(TEXTS), 16)


def test_pools_are_taken_and_start_nothing(ours: SentenceTransformer) -> None:
    pool = ours.start_multi_process_pool(["cpu", "cpu"])
    expected = ours.encode(TEXTS)

    assert pool["processes"] == []
    np.testing.assert_array_equal(ours.encode(TEXTS, pool=pool, chunk_size=3), expected)
    np.testing.assert_array_equal(ours.encode(TEXTS, device=["cpu", "cpu"]), expected)
    np.testing.assert_array_equal(ours.encode_multi_process(TEXTS, pool), expected)
    ours.stop_multi_process_pool(pool)


@pytest.mark.parametrize("options", [{}, {"output_value": "token_embeddings"}])
def test_the_warning_about_a_cut_text_points_to_the_callers_line(
    ours: SentenceTransformer, options: dict[str, Any]
) -> None:
    with pytest.warns(TruncationWarning) as caught:
        ours.encode(TEXTS, **options)

    (warning,) = caught
    assert warning.filename == __file__
    assert (warning.message.cut, warning.message.total) == (1, len(TEXTS))  # type: ignore[union-attr]


@pytest.mark.parametrize("options", [{}, {"prompt": "about: "}, {"prompt": ""}, {"task": "query"}], ids=str)
def test_tokens(ours: SentenceTransformer, theirs: Any, options: dict[str, Any]) -> None:
    for found in (ours.preprocess(TEXTS, **options), ours.tokenize(TEXTS, **options)):
        assert_same_features(found, theirs.preprocess(TEXTS, **options))
    assert ours.preprocess([]) == theirs.preprocess([]) == {}
    assert ours.modalities == theirs.modalities
    for kind in ("text", "image", "message", ("image", "text")):
        assert ours.supports(kind) == theirs.supports(kind)


@pytest.mark.parametrize(
    "item",
    [
        Image.new("RGB", (2, 2)),
        np.zeros(8, np.float32),
        {"image": "a.png"},
        {"role": "user", "content": "a fox"},
        [{"role": "user", "content": "a fox"}],
        ("a fox", Image.new("RGB", (2, 2))),
        ("a fox", "a dog"),
        None,
    ],
    ids=["image", "array", "mapping", "message", "messages", "text and image", "pair", "nothing"],
)
def test_only_texts_are_tokenized(ours: SentenceTransformer, item: Any) -> None:
    with pytest.raises(RequestError, match="text 1 must be a string, but is") as caught:
        ours.preprocess(["a fox", item])
    assert caught.value.item == 1
    with pytest.raises(RequestError, match="expected a list of texts, but got a single one"):
        ours.preprocess("a fox")


def test_options_of_tokenizing_are_refused_by_name(ours: SentenceTransformer) -> None:
    assert ours.preprocess(["a fox"], processing_kwargs=None).keys() == ours.preprocess(["a fox"]).keys()
    options: dict[str, Any] = {"processing_kwargs": {"text": {"max_length": 4}}, "max_length": 4, "nope": 1}
    for name, value in options.items():
        with pytest.raises(UnsupportedError, match=f"SentenceTransformer does not support the option '{name}'"):
            ours.preprocess(["a fox"], **{name: value})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"batch_size": 0}, ConfigError, "batch_size must be a positive integer, but is 0"),
        ({"precision": "int4"}, ConfigError, "precision must be one of float32, int8"),
        ({"output_value": "tokens"}, ConfigError, "output_value must be one of sentence_embedding"),
        ({"output_value": "token_embeddings", "precision": "int8"}, ConfigError, "token vectors are float32"),
        ({"prompt_name": "nope"}, ConfigError, r"there is no prompt 'nope' \(the prompts are query"),
        ({"truncate_dim": 0}, ConfigError, "truncate_dim must be a positive integer, but is 0"),
        ({"device": "cuda"}, UnsupportedError, "the model is on cpu, and cannot be moved to cuda:0"),
        ({"processing_kwargs": {}}, UnsupportedError, "does not support the option 'processing_kwargs'"),
        ({"pool": {}}, ConfigError, "pool must be the result of start_multi_process_pool"),
    ],
)
def test_options_of_calls_that_are_refused(
    ours: SentenceTransformer, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ours.encode(TEXTS, **options)


@pytest.mark.parametrize("text", [3, None, {"text": "a"}, b"bytes"])
def test_what_is_no_text_is_refused(ours: SentenceTransformer, text: Any) -> None:
    with pytest.raises(RequestError, match="text 1 must be a string"):
        ours.encode(["a", text])
    if text is not None:
        with pytest.raises(RequestError, match="text 0 must be a string"):
            ours.encode(text)


def test_members_that_are_not_supported_say_so(ours: SentenceTransformer) -> None:
    for name in ("fit", "save_pretrained", "tokenizer", "half", "parameters"):
        assert not hasattr(ours, name)
        with pytest.raises(UnsupportedError, match=f"inferox.compat.SentenceTransformer does not support '{name}'"):
            getattr(ours, name)
    with pytest.raises(AttributeError, match="'SentenceTransformer' object has no attribute 'nope'"):
        _ = ours.nope
    assert ours.eval() is ours.to("cpu") is ours.cpu() is ours
    with pytest.raises(UnsupportedError, match="the model is on cpu, and cannot be moved"):
        ours.cuda()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modules": [1]}, "SentenceTransformer does not support the option 'modules' .save the model"),
        (
            {"model_kwargs": {"device_map": "auto"}},
            "^model_kwargs of inferox.compat.SentenceTransformer does not sup",
        ),
        ({"model_kwargs": {"dtype": torch.float64}}, "does not support the dtype float64"),
        ({"model_kwargs": {"dtype": np.dtype("int8")}}, "does not support the dtype int8"),
        ({"model_kwargs": {"attn_implementation": "flash_attention_2"}}, "attn_implementation='flash_attention_2'"),
        ({"model_kwargs": {"attn_implementation": 1}}, "does not support attn_implementation=1"),
        ({"model_kwargs": {"use_safetensors": False}}, "does not support use_safetensors=False"),
        ({"model_kwargs": {"low_cpu_mem_usage": "yes"}}, "does not support low_cpu_mem_usage='yes'"),
        ({"model_kwargs": 5}, "model_kwargs must map names to values, but is 5"),
        ({"precision": np.float64}, "there is no precision <class 'numpy.float64'>"),
        ({"nonsense": 1}, "does not support the option 'nonsense'"),
        ({"backend": "tensorrt"}, "backend must be one of auto, torch, onnx, openvino"),
        ({"default_prompt_name": "nope"}, "there is no prompt 'nope'"),
        ({"similarity_fn_name": "maxsim"}, "similarity_fn_name must be one of cosine"),
    ],
)
def test_options_of_models_that_are_refused(encoder_directory: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SentenceTransformer(str(encoder_directory), **{"backend": "torch", **options})


@pytest.mark.parametrize(
    "options",
    [
        {"precision": np.float32},
        {"precision": torch.float32},
        {"model_kwargs": {"dtype": np.dtype("float32")}},
        {"model_kwargs": {"torch_dtype": "float32", "attn_implementation": "eager", "low_cpu_mem_usage": True}},
        {"model_kwargs": {"dtype": "auto", "attn_implementation": "sdpa", "use_safetensors": True}},
    ],
)
def test_options_that_do_not_change_the_numbers_are_taken(
    encoder_directory: Path, ours: SentenceTransformer, options: dict[str, Any]
) -> None:
    with SentenceTransformer(str(encoder_directory), device="cpu", backend="torch", **options) as other:
        np.testing.assert_array_equal(other.encode(TEXTS), ours.encode(TEXTS))


def test_a_model_without_a_name_is_refused_and_unsupported_options_first() -> None:
    with pytest.raises(UnsupportedError, match="SentenceTransformer does not support the option 'modules'"):
        SentenceTransformer(modules=[torch.nn.Linear(2, 2)])
    for name in (None, ""):
        with pytest.raises(ConfigError, match="no model is named"):
            SentenceTransformer(name)


@pytest.mark.parametrize("ours_is", [compat.SentenceTransformer, compat.CrossEncoder])
def test_every_public_member_of_the_replaced_class_is_there_or_refused_by_name(ours_is: Any) -> None:
    theirs_is = getattr(sentence_transformers, ours_is.__name__)
    names = {
        name
        for base in theirs_is.__mro__
        if base is not object
        for name in (*vars(base), *inspect.get_annotations(base))
    }
    missing = {name for name in names if not name.startswith("_") and not hasattr(ours_is, name)}
    missing -= {"prompts", "default_prompt_name", "truncate_dim", "activation_fn"}  # attributes of its objects
    missing -= {"smart_apply"}  # which transformers adds to every module while it loads one
    assert len(missing) > 50
    for name in sorted(missing):
        error = unsupported_member(ours_is.__name__, name)
        assert str(error).startswith(f"inferox.compat.{ours_is.__name__} does not support {name!r} ("), name


OPERATORS: list[tuple[str, Callable[[Any], Any]]] = [
    (r"model\(…\)", lambda model: model({"input_ids": torch.ones(1, 2)})),
    ("'forward'", lambda model: model.forward({})),
    (r"model\[0\]", lambda model: model[0]),
    (r"model\[-1\] = …", lambda model: model.__setitem__(-1, 5)),
    (r"del model\[0\]", lambda model: model.__delitem__(0)),
    (r"len\(model\)", len),
    ("iteration over its modules", list),
    ("'_first_module'", lambda model: model._first_module()),
]


@pytest.mark.parametrize(("named", "use"), OPERATORS)
def test_operators_of_a_module_are_refused_by_name(
    ours: SentenceTransformer, named: str, use: Callable[[Any], Any]
) -> None:
    with pytest.raises(UnsupportedError, match=f"^inferox.compat.SentenceTransformer does not support {named} "):
        use(ours)
    assert ours


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalize_embeddings": "yes"}, "normalize must be True or False"),
        ({"precision": np.float16}, "precision must be one of float32, int8, uint8, binary, ubinary, but is <class"),
        ({"precision": np.array(["int8", "uint8"])}, "precision must be one of"),
        ({"precision": "uint8"}, "uint8 needs the range of several vectors"),
        ({"precision": np.int8}, "int8 needs the range of several vectors"),
        ({"prompt_name": "nope"}, "there is no prompt 'nope'"),
        ({"truncate_dim": 0}, "truncate_dim must be a positive integer"),
    ],
)
def test_options_are_refused_before_a_text_is_looked_at(
    ours: SentenceTransformer, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InferoxError, match=message):
        ours.encode([None], **options)


@pytest.mark.parametrize("options", [{"convert_to_tensor": True}, {"convert_to_numpy": False}])
def test_without_pytorch_its_tensors_are_refused_before_a_text_is_looked_at(
    ours: SentenceTransformer, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inferox.core.torch_tensor.find_spec", lambda _: None)
    with pytest.raises(BackendUnavailableError, match="PyTorch is not installed"):
        ours.encode([None], **options)


@pytest.mark.parametrize(
    ("dtype", "name"), [(np.uint8, "uint8"), (np.dtype("int8"), "int8"), (torch.float32, "float32")]
)
def test_data_types_of_numpy_and_pytorch_mean_their_precisions(
    ours: SentenceTransformer, dtype: Any, name: str
) -> None:
    texts = [str(number) for number in range(100)]
    np.testing.assert_array_equal(ours.encode(texts, precision=dtype), ours.encode(texts, precision=name))


def test_prompts_of_the_caller(encoder_directory: Path) -> None:
    options: dict[str, Any] = {"prompts": {"query": "ask: ", "new": "new: "}, "default_prompt_name": "new"}
    theirs = sentence_transformers.SentenceTransformer(str(encoder_directory), device="cpu", truncate_dim=7, **options)
    with SentenceTransformer(str(encoder_directory), backend="torch", truncate_dim=7, **options) as ours:
        assert ours.prompts == theirs.prompts
        assert_same(ours.encode(TEXTS), theirs.encode(TEXTS))
        assert_same(ours.encode_query(TEXTS), theirs.encode_query(TEXTS))
        assert_same(ours.encode_document(TEXTS), theirs.encode_document(TEXTS))
