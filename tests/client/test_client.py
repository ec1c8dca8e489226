"""The client returns what the package itself returns: results, and errors with their fields."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from inferox import AsyncClient, Client, TaskModel, load
from inferox.core import (
    ConfigError,
    DeadlineExceededError,
    EmbeddingSpaceError,
    InputTooLongError,
    ModelNotFoundError,
    RequestError,
    TruncationWarning,
    UnknownInputError,
)
from inferox.integrations.embedder import Embedder
from inferox.tasks import LabelScore, Span
from tests.server.running import RunningServer

TEXTS = ["A cat sits on the mat.", "Interest rates rose again. " * 3, "", "Ünïcödé 🎉 \u0000", "five", "six", "seven"]
PAIRS = [("which animal?", text) for text in TEXTS]
LONG = "word " * 2000

Load = Callable[[str], TaskModel]


@pytest.fixture(scope="module")
def opened(packages: dict[str, Path]) -> Any:
    """Loads the package of a task, from which the server was made."""
    models: dict[str, TaskModel] = {}

    def get(task: str) -> TaskModel:
        models[task] = models.get(task) or load(packages[task], threads=1, trust_code=True)
        return models[task]

    yield get
    for model in models.values():
        model.close()


def test_vectors_are_those_of_the_package(client: Client, opened: Load) -> None:
    expected = opened("embed").embed(TEXTS)
    found = client.embed(TEXTS, model="embed")
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(client.embed(iter(TEXTS)), expected, atol=1e-6)  # the only model of the task
    one = client.embed(TEXTS[0])
    np.testing.assert_allclose(one, expected[0], atol=1e-6)
    assert client.embed([]).shape == (0, expected.shape[1])
    assert client.embedding_space("embed")


def test_forms_of_vectors_are_those_of_the_package(client: Client, opened: Load) -> None:
    options: dict[str, Any] = {"truncate_dim": 16, "normalize": True, "dtype": "ubinary"}
    assert np.array_equal(client.embed(TEXTS, **options), opened("embed").embed(TEXTS, **options))
    with pytest.raises(ConfigError, match="dtype must be one of"):
        client.embed(TEXTS, dtype="int4")
    halves = client.embed(TEXTS, dtype=np.float16)
    np.testing.assert_array_equal(halves, client.embed(TEXTS, dtype="float16"))
    assert halves.dtype == np.float16


def test_a_vector_that_is_too_short_is_refused_before_texts_are_sent(client: Client) -> None:
    for _ in range(2):
        with pytest.raises(RequestError, match="truncate_dim is 999, but the vectors have"):
            client.embed(["word " * 2000], model="embed", truncate="error", truncate_dim=999)
    with pytest.raises(RequestError, match="'classify' is a model for the task classify"):
        client.embed(["a"], model="classify", truncate_dim=2)


def assert_alike(found: list[tuple[LabelScore, ...]], expected: list[tuple[LabelScore, ...]]) -> None:
    assert [[item.label for item in row] for row in found] == [[item.label for item in row] for row in expected]
    scores, others = ([[item.score for item in row] for row in rows] for rows in (found, expected))
    np.testing.assert_allclose(scores, others, atol=1e-6)


def test_labels_are_those_of_the_package(client: Client, opened: Load) -> None:
    expected = opened("classify").classify(TEXTS)
    assert_alike(client.classify(TEXTS), expected)
    assert_alike([client.classify(TEXTS[0])], expected[:1])
    assert_alike(client.classify(PAIRS), opened("classify").classify(PAIRS))


def test_spans_are_those_of_the_package(client: Client, opened: Load) -> None:
    expected = opened("token-classify").token_classify(TEXTS)
    found = client.token_classify(TEXTS)
    assert any(found)
    for spans, others in zip(found, expected, strict=True):
        assert all(isinstance(span, Span) for span in spans)
        told = [[(span.label, span.start, span.end, span.text) for span in some] for some in (spans, others)]
        assert told[0] == told[1]
        scores, wanted = ([span.score for span in some] for some in (spans, others))
        np.testing.assert_allclose(scores, wanted, atol=1e-6)
    assert [span.text for span in client.token_classify(TEXTS[0])] == [span.text for span in found[0]]


def test_ranks_and_scores_are_those_of_the_package(client: Client, opened: Load) -> None:
    expected = opened("rerank").rerank("which animal?", TEXTS)
    found = client.rerank("which animal?", TEXTS)
    assert [item.index for item in found] == [item.index for item in expected]
    np.testing.assert_allclose([item.score for item in found], [item.score for item in expected], atol=1e-6)
    assert client.rerank("which animal?", TEXTS, top_k=2) == found[:2]
    scores = client.score(PAIRS)
    assert scores.dtype == np.float32
    assert scores.tolist() == [item.score for item in sorted(found, key=lambda item: item.index)]


def make_png(seed: int) -> bytes:
    file = BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 24, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def test_images_are_labelled_as_by_the_package(client: Client, opened: Load, tmp_path: Path) -> None:
    images = [make_png(seed) for seed in range(4)]
    file = tmp_path / "image.png"
    file.write_bytes(images[0])
    expected = opened("image-classify").classify_images(images)
    assert_alike(client.classify_images([file, *images[1:]]), expected)
    with pytest.raises(RequestError, match=r"image 1 must be bytes or a pathlib\.Path, but is of str"):
        client.classify_images([images[0], "image.png"])  # type: ignore[list-item]


def test_named_tensors_are_computed(client: Client, opened: Load) -> None:
    model = opened("raw")
    (spec,) = model.signature.inputs
    array = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    answer = client.infer("raw", {spec.name: array}, parameters={"priority": 1})
    (expected,) = model.run([{spec.name: array}])
    assert set(answer.outputs) == set(expected)
    for name, output in answer.outputs.items():
        np.testing.assert_allclose(output, expected[name], atol=1e-5)
    halved = client.infer("raw", {spec.name: array}, parameters={"output_datatype": "BF16"})
    for name, output in halved.outputs.items():
        np.testing.assert_allclose(output, expected[name], rtol=2**-8, atol=1e-5)
    assert answer.model == "raw"
    assert answer.version
    assert answer.artifact
    assert answer.parity_class in {"exact", "close"}
    assert answer.request_id


def test_texts_are_tensors_too(client: Client) -> None:
    texts = np.array([TEXTS[:2]], object).reshape(2, 1)
    answer = client.infer("classify", {"text": texts}, outputs=["label"])
    assert list(answer.outputs) == ["label"]
    best = [row[0].decode() for row in answer.outputs["label"]]
    assert best == [labels[0].label for labels in client.classify(TEXTS[:2])]


def test_models_and_health(client: Client) -> None:
    assert [(state.name, state.is_ready) for state in client.models()] == [
        (name, True) for name in sorted(["embed", "classify", "token-classify", "rerank", "image-classify", "raw"])
    ]
    described = client.describe("classify")
    assert described.task == "classify"
    assert [(item.name, item.datatype) for item in described.inputs] == [("text", "BYTES"), ("text_pair", "BYTES")]
    assert (described.outputs[1].name, described.outputs[1].shape) == ("score", (-1, 5))
    assert client.is_live()
    assert client.is_ready()
    client.wait_until_ready(1)
    with Client("http://127.0.0.1:9", timeout_s=1) as nobody:
        assert not nobody.is_live()
        with pytest.raises(DeadlineExceededError, match=r"was not ready within 0\.1 s"):
            nobody.wait_until_ready(0.1)


def test_readiness_is_waited_for_as_long_as_was_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began_s = time.monotonic()
        with Client(url, timeout_s=600) as client, pytest.raises(DeadlineExceededError, match=r"within 0\.1 s"):
            client.wait_until_ready(0.1)
        assert time.monotonic() - began_s < 300


def test_an_error_is_the_one_that_the_server_raised(client: Client) -> None:
    with pytest.raises(InputTooLongError) as long:
        client.embed([*TEXTS, LONG], truncate="error")
    error = long.value
    # Counted within the call, not within its request of three rows.
    assert (error.item, error.subject, error.unit) == (7, "text 7", "tokens")
    assert error.length > error.limit > 0
    assert str(error) == f"text 7 has {error.length} tokens, but the model takes {error.limit} at most"
    with pytest.raises(ModelNotFoundError, match="there is no model 'nobody'") as absent:
        client.embed("a text", model="nobody")
    assert absent.value.hint
    with pytest.raises(UnknownInputError) as unknown:
        client.infer("embed", {"texts": ["a"]})
    assert (unknown.value.missing, unknown.value.unexpected) == (("text",), ("texts",))
    with pytest.raises(RequestError, match="there is no output 'vector'; the outputs are embedding") as field:
        client.infer("embed", {"text": ["a"]}, outputs=["vector"])
    assert vars(field.value)["field"] == "outputs"
    with pytest.raises(RequestError, match="'classify' is a model for the task classify, not for embed"):
        client.embed("a text", model="classify")
    with pytest.raises(RequestError, match="'embed' is a model for the task embed, not for rerank"):
        client.rerank("a query", ["a text"], model="embed")
    with pytest.raises(RequestError, match="prompt"):
        client.embed("a text", prompt="nothing")


def test_what_cannot_be_sent_is_refused_by_name(client: Client) -> None:
    with pytest.raises(RequestError, match="text 1"):
        client.embed(["a", 2])  # type: ignore[list-item]
    with pytest.raises(RequestError, match="text 1"):
        client.embed(["a", "\ud800"])
    with pytest.raises(RequestError, match="must be a pair"):
        client.score([("a", "b"), "c"])  # type: ignore[list-item]
    with pytest.raises(RequestError, match="which the protocol lacks"):
        client.infer("raw", {"x": np.zeros(2, np.complex64)})
    with pytest.raises(RequestError, match="must be JSON values"):
        client.infer("raw", {"x": np.zeros(2, np.float32)}, parameters={"priority": object()})
    for name in ("../raw", "raw/..", ".", "raw/", "/raw", "a//b"):  # which would lead to another path
        with pytest.raises(RequestError, match="model must be the name of a model"):
            client.infer(name, {"x": np.zeros(2, np.float32)})
        with pytest.raises(RequestError, match="model must be the name of a model"):
            client.describe(name)
    for version in (".", "..", ""):
        with pytest.raises(RequestError, match="version must be the version of a model"):
            client.infer("raw", {"x": np.zeros(2, np.float32)}, version=version)


def test_a_cut_is_told(client: Client, opened: Load) -> None:
    texts = ["short", LONG, "short", "short", LONG]
    expected = opened("embed").embed(texts, truncate="cut")
    with pytest.warns(TruncationWarning, match="2 of 5 texts were longer than the model takes, and cut") as caught:
        found = client.embed(texts)
    assert [warning.filename for warning in caught] == [__file__]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(client.embed(texts, truncate="cut"), expected, atol=1e-6)
    with pytest.raises(ConfigError, match="truncate must be one of"):
        client.embed(texts, truncate="maybe")


def test_cut_texts_are_reported(client: Client, opened: Load, server: RunningServer) -> None:
    texts = [*["short"] * 5, LONG, "short", LONG]
    flags = [False] * 5 + [True, False, True]
    with Client(server.url, request_rows=3, model="embed") as small:  # the cut texts are the second and the third
        _, truncated = small.embed(texts, truncate="cut", return_truncated=True)
        assert truncated.tolist() == flags
        assert small.embed(LONG, truncate="cut", return_truncated=True)[1] is True
        assert small.embed([], return_truncated=True)[1].tolist() == []
    for labels in (client.classify(texts, truncate="cut"), opened("classify").classify(texts, truncate="cut")):
        assert [each.truncated for each in labels] == flags
    for spans in (
        client.token_classify(texts, truncate="cut"),
        opened("token-classify").token_classify(texts, truncate="cut"),
    ):
        assert [each.truncated for each in spans] == flags
    for ranked in (client.rerank("q", texts, truncate="cut"), opened("rerank").rerank("q", texts, truncate="cut")):
        assert [each.truncated for each in sorted(ranked, key=lambda each: each.index)] == flags


def test_other_libraries_ask_a_server_by_its_address(server: RunningServer, opened: Load) -> None:
    with Embedder(server.url, load_options={"model": "embed"}) as embedder:
        assert embedder.name is None
        np.testing.assert_allclose(embedder.embed_query("a text"), opened("embed").embed("a text"), atol=1e-6)
        np.testing.assert_allclose(embedder.embed_documents(TEXTS), opened("embed").embed(TEXTS), atol=1e-6)


def test_a_space_may_be_pinned(client: Client, server: RunningServer) -> None:
    client.embed("a text", model="embed")
    space = client.embedding_space("embed")
    assert space is not None
    with Client(server.url, model="embed", embedding_spaces={"embed": space}) as pinned:
        pinned.embed("a text")
    with (
        Client(server.url, model="embed", embedding_spaces={"embed": "0123456789abcdef"}) as other,
        pytest.raises(EmbeddingSpaceError, match=f"space 0123456789abcdef, .* answered in {space}") as raised,
    ):
        other.embed("a text")
    assert (raised.value.model, raised.value.expected, raised.value.actual) == ("embed", "0123456789abcdef", space)


def test_threads_and_coroutines_share_a_client(client: Client, server: RunningServer, opened: Load) -> None:
    expected = opened("embed").embed(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(client.embed, [TEXTS] * 8):
            np.testing.assert_allclose(found, expected, atol=1e-6)

    async def ask() -> Any:
        np.testing.assert_allclose(client.embed(TEXTS), expected, atol=1e-6)  # inside a running event loop
        async with AsyncClient(server.url, model="embed") as other:
            return await asyncio.gather(*map(other.embed, TEXTS))

    np.testing.assert_allclose(np.stack(asyncio.run(ask())), expected, atol=1e-6)


def test_a_client_ends_where_it_is_closed_or_forked(server: RunningServer) -> None:
    client = Client(server.url)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            client.is_live()
        except ConfigError as error:
            code = 0 if "belongs to another process" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    client.close()
    client.close()
    with pytest.raises(ConfigError, match="this client is closed"):
        client.is_live()
