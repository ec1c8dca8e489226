"""LangChain, LlamaIndex and Haystack get the package's own vectors, through their own classes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import inferox
from inferox.core import ConfigError, PackageError, RequestError
from inferox.core.prompt_names import DOCUMENT_PROMPTS, QUERY_PROMPTS, find_prompt
from inferox.integrations.embedder import Embedder
from inferox.loading import TaskModel
from tests.docs.pages import DOCS, read_blocks, run_python
from tests.integrations.frameworks import let_import
from tests.packing.test_kinds import save_text_model
from tests.server.running import running
from tests.shared import SharedFolders

PROMPTS = {"query": "query: ", "passage": "passage: "}

TEXTS = ["Bread stays fresh in a paper bag.", "The bank left its rate where it was.", "Freeze sliced bread.", ""]

QUERY = "How do I keep bread fresh?"


@pytest.fixture(scope="module")
def package(shared_folders: SharedFolders, minilm_directory: Path) -> Path:
    """An encoder whose documents have a prompt that is not called ``document``."""

    def fill(folder: Path) -> None:
        save_text_model(folder / "source", minilm_directory, "bert", "Model")
        modules = [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ]
        settings = {"config_sentence_transformers": {"prompts": PROMPTS}, "modules": modules}
        (folder / "source" / "1_Pooling").mkdir()
        settings["1_Pooling/config"] = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
        for name, content in settings.items():
            (folder / "source" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        inferox.pack(folder / "source", folder / "prompted.mlpkg", task="embed")

    return shared_folders.get("prompted", fill) / "prompted.mlpkg"


@pytest.fixture(scope="module")
def model(package: Path) -> Iterator[TaskModel]:
    with inferox.load(package, threads=1) as model:
        yield model


def check(model: TaskModel, query: Any, documents: Any) -> None:
    """Checks that vectors are those with the package's prompts, as lists of Python's numbers."""
    assert type(query) is list
    assert type(query[0]) is float
    np.testing.assert_allclose(query, model.embed(QUERY, prompt="query"), atol=1e-6)
    np.testing.assert_allclose(documents, model.embed(TEXTS, prompt="passage"), atol=1e-6)


def test_queries_and_documents_have_their_prompts(model: TaskModel, package: Path) -> None:
    check(model, Embedder(model).embed_query(QUERY), Embedder(model).embed_documents(iter(TEXTS)))
    stated = Embedder(model, query_prompt="passage", document_prompt="document", embed_options={"normalize": True})
    np.testing.assert_allclose(
        stated.embed_query(QUERY), model.embed(QUERY, prompt="passage", normalize=True), atol=1e-6
    )
    expected = model.embed(TEXTS, prompt="document", normalize=True)
    np.testing.assert_allclose(stated.embed_documents(TEXTS), expected, atol=1e-6)
    with Embedder(str(package), load_options={"threads": 1}) as own:
        check(model, own.embed_query(QUERY), own.embed_documents(TEXTS))
        assert own.name == model.name
    with pytest.raises(inferox.InferoxError):
        own.embed_query(QUERY)  # it has closed what it loaded
    with Embedder(model):
        pass
    assert model.embed(QUERY).shape == (16,)  # and nothing else


def test_what_cannot_be_used_is_refused(model: TaskModel) -> None:
    with pytest.raises(RequestError, match="there is no prompt 'code'"):
        Embedder(model, query_prompt="code")
    with pytest.raises(ConfigError, match="load_options are given for a model that is already loaded"):
        Embedder(model, load_options={"threads": 1})
    with pytest.raises(ConfigError, match="prompt is given for queries and documents alike"):
        Embedder(model, embed_options={"prompt": "query"})
    with pytest.raises(ConfigError, match="but only vectors are returned"):
        Embedder(model, embed_options={"return_truncated": True})
    with pytest.raises(ConfigError, match=r"model must be a package, a server's address, .* but is None"):
        Embedder(None)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="embed_options has 'normalise', but takes prompt, truncate"):
        Embedder(model, embed_options={"normalise": True})
    with pytest.raises(ConfigError, match="load_options has 'thread', but takes backend, device"):
        Embedder("not-there.mlpkg", load_options={"thread": 1})
    with pytest.raises(RequestError, match="documents must be a list of texts, but are a single text, 'abc'"):
        Embedder(model).embed_documents("abc")
    for address in ("ftp://127.0.0.1", " http://127.0.0.1:99999", "HTTP://"):
        with pytest.raises(ConfigError, match="the address of a server must be"):
            Embedder(address)


def test_a_server_says_which_prompts_its_model_has(model: TaskModel, package: Path) -> None:
    with running(f"prompted={package}", "--threads", "1") as server:
        server.wait_until_ready()
        with Embedder(server.url) as embedder:
            check(model, embedder.embed_query(QUERY), embedder.embed_documents(TEXTS))
        with inferox.Client(server.url) as client:
            assert client.prompts() == {"query": "query: ", "document": "", "passage": "passage: "}
            stated = Embedder(client, query_prompt="passage", document_prompt="query")
            np.testing.assert_allclose(stated.embed_query(QUERY), model.embed(QUERY, prompt="passage"), atol=1e-6)
            np.testing.assert_allclose(stated.embed_documents(TEXTS), model.embed(TEXTS, prompt="query"), atol=1e-6)


@pytest.mark.parametrize(
    ("prompts", "names"),
    [
        ({}, (None, None)),
        ({"query": "", "document": ""}, ("query", "document")),
        ({"query": "", "document": "", "passage": "p: "}, ("query", "passage")),
        ({"document": "", "search_query": "q: ", "search_document": "d: "}, ("search_query", "search_document")),
        ({"passage": "", "corpus": ""}, (None, "passage")),
    ],
)
def test_the_prompt_is_the_first_that_has_a_text(prompts: dict[str, str], names: tuple[str | None, str | None]) -> None:
    assert (find_prompt(QUERY_PROMPTS, prompts), find_prompt(DOCUMENT_PROMPTS, prompts)) == names


def run_page(library: str, package: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Runs a page's code for a library; the package is where the page says."""
    (block,) = (block for block in read_blocks(DOCS / "integrations.md") if block.title == library)
    (folder / "minilm.mlpkg").symlink_to(package)
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    run_python(block, names)
    return names


def test_langchain(model: TaskModel, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_import("langchain_core", monkeypatch)
    from langchain_core.vectorstores import InMemoryVectorStore

    from inferox.integrations.langchain import InferoxEmbeddings

    embeddings = InferoxEmbeddings(model)
    check(model, embeddings.embed_query(QUERY), embeddings.embed_documents(TEXTS))
    check(model, asyncio.run(embeddings.aembed_query(QUERY)), asyncio.run(embeddings.aembed_documents(TEXTS)))
    found = InMemoryVectorStore.from_texts(TEXTS, embeddings).similarity_search(QUERY, k=4)
    similar = model.embed(TEXTS, prompt="passage", normalize=True) @ model.embed(QUERY, prompt="query", normalize=True)
    assert [document.page_content for document in found] == [TEXTS[index] for index in np.argsort(-similar)]
    run_page("LangChain", package, tmp_path, monkeypatch)["embeddings"].close()


@pytest.mark.slow
def test_llamaindex(model: TaskModel, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_import("llama_index.core", monkeypatch)
    from llama_index.core.schema import TextNode

    from inferox.integrations.llamaindex import InferoxEmbedding

    embedding = InferoxEmbedding(model, num_workers=1)
    assert (embedding.class_name(), embedding.model_name, embedding.embed_batch_size) == (
        "InferoxEmbedding",
        model.name,
        1024,
    )
    check(model, embedding.get_query_embedding(QUERY), embedding.get_text_embedding_batch(TEXTS))
    check(
        model,
        asyncio.run(embedding.aget_query_embedding(QUERY)),
        asyncio.run(embedding.aget_text_embedding_batch(TEXTS)),
    )
    np.testing.assert_allclose(
        embedding.get_text_embedding(TEXTS[0]), model.embed(TEXTS[0], prompt="passage"), atol=1e-6
    )
    nodes = embedding([TextNode(text=text) for text in TEXTS[:3]])
    np.testing.assert_allclose([node.embedding for node in nodes], model.embed(TEXTS[:3], prompt="passage"), atol=1e-6)
    own = InferoxEmbedding(str(package), load_options={"threads": 1}, model_name="mine")
    assert own.model_name == "mine"
    own.close()
    run_page("LlamaIndex", package, tmp_path, monkeypatch)["embedding"].close()


@pytest.mark.slow
def test_llamaindex_checks_its_fields_before_it_opens_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_import("llama_index.core", monkeypatch)
    from pydantic import ValidationError

    from inferox.integrations.llamaindex import InferoxEmbedding

    with pytest.raises(ValidationError, match="embed_batch_size"):
        InferoxEmbedding(tmp_path / "not-there.mlpkg", embed_batch_size=0)
    with pytest.raises(PackageError, match="not-there"):
        InferoxEmbedding(tmp_path / "not-there.mlpkg")
    server = InferoxEmbedding("http://127.0.0.1:1")
    assert server.model_name == "inferox"
    server.close()


@pytest.mark.slow
def test_haystack(model: TaskModel, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_import("haystack", monkeypatch)
    from haystack import Document, Pipeline

    from inferox.integrations.haystack import InferoxDocumentEmbedder, InferoxTextEmbedder

    options: dict[str, Any] = {"load_options": {"threads": 1}}
    pipeline = Pipeline()
    pipeline.add_component("query", InferoxTextEmbedder(str(package), **options))
    pipeline.add_component("documents", InferoxDocumentEmbedder(str(package), **options))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["inferox.integrations.haystack"])
    documents = [Document(content=text, id=str(number)) for number, text in enumerate(TEXTS)]
    found = again.run({"query": {"text": QUERY}, "documents": {"documents": documents}})
    check(model, found["query"]["embedding"], [document.embedding for document in found["documents"]["documents"]])
    assert [document.id for document in found["documents"]["documents"]] == ["0", "1", "2", "3"]

    lazy = InferoxTextEmbedder(str(package), **options)
    copied = deepcopy(lazy)
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: lazy._open(), range(4)))
    assert len(set(map(id, opened))) == 1  # concurrent threads open one model
    assert copied._embedder is None
    lazy.close()

    titled = InferoxDocumentEmbedder(str(package), meta_fields_to_embed=["title"], embedding_separator=": ", **options)
    document = Document(content="text", meta={"title": "A title", "other": "no"})
    (embedded,) = titled.run([document])["documents"]
    np.testing.assert_allclose(embedded.embedding, model.embed("A title: text", prompt="passage"), atol=1e-6)
    with pytest.raises(RequestError, match="the document empty has no text"):
        titled.run([Document(id="empty")])
    for each in (titled, again.get_component("query"), again.get_component("documents")):
        each.close()
    run_page("Haystack", package, tmp_path, monkeypatch)["search"].get_component("embedder").close()
