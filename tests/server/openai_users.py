"""A program that makes requests with libraries built on OpenAI's clients: it reads them from standard input.

It runs in an environment of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any


def make_langchain(url: str) -> Callable[..., Any]:
    """Makes requests with LangChain's ``OpenAIEmbeddings``."""
    import tiktoken
    import tiktoken.registry
    from langchain_openai import OpenAIEmbeddings

    # The files of OpenAI's vocabularies are fetched when they are first needed. This one has a token for each byte.
    tiktoken.registry.ENCODINGS = {
        "cl100k_base": tiktoken.Encoding(
            "cl100k_base",
            pat_str=r"[\s\S]",
            mergeable_ranks={bytes([number]): number for number in range(256)},
            special_tokens={},
        )
    }

    def ask(texts: list[str], way: str, **settings: Any) -> Any:
        client = OpenAIEmbeddings(model="minilm", base_url=f"{url}/v1", api_key="none", max_retries=0, **settings)
        if way == "query":
            return [client.embed_query(text) for text in texts]
        return asyncio.run(client.aembed_documents(texts)) if way == "async" else client.embed_documents(texts)

    return ask


def make_litellm(url: str) -> Callable[..., Any]:
    """Makes requests with litellm."""
    import litellm

    def ask(texts: list[str], way: str, **settings: Any) -> Any:
        told = {"model": "openai/minilm", "input": texts, "api_base": f"{url}/v1", "api_key": "none", "max_retries": 0}
        if way == "async":
            answer = asyncio.run(litellm.aembedding(**told, **settings))
        else:
            answer = litellm.embedding(**told, **settings)
        return [item["embedding"] for item in answer.data]

    return ask


def main(kind: str, url: str) -> None:
    """Makes all requests on standard input, and writes the answers."""
    ask = {"langchain": make_langchain, "litellm": make_litellm}[kind](url)
    answers = []
    for asked in json.load(sys.stdin):
        try:
            answers.append({"vectors": ask(**asked)})
        except Exception as error:  # noqa: BLE001 - told to the test
            answers.append({"error": f"{type(error).__name__}: {error}"})
    print(json.dumps(answers))  # noqa: T201 - a program


if __name__ == "__main__":
    main(*sys.argv[1:])
