"""A folder with everything that the pages assume."""

from __future__ import annotations

from pathlib import Path

import pytest

TEXTS = ["A cat sits on the mat.", "Interest rates rose again.", "Where is the kitten?"]


@pytest.fixture
def folder(tmp_path: Path, bert_package: Path, packages: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with packages and files under the names that the pages use."""
    places = {
        "all-MiniLM-L6-v2": bert_package.parent / "source",
        "minilm.mlpkg": bert_package,
        "classifier.mlpkg": packages["classify"],
        "ner.mlpkg": packages["token-classify"],
        "reranker.mlpkg": packages["rerank"],
        "vit.mlpkg": packages["image-classify"],
    }
    for name, place in places.items():
        (tmp_path / name).symlink_to(place)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    lines = [f'{{"id": {number}, "text": "{text}"}}' for number, text in enumerate(TEXTS)]
    (corpus / "part.jsonl").write_text("\n".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path
