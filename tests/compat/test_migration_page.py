"""The script of the page on migration, with the new import and with the old one."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferox.compat import local_package
from inferox.core import Closing

PAGE = Path(__file__).parents[2] / "docs" / "migration.md"


def test_the_script_gives_the_same_with_both_imports(
    encoder_directory: Path,
    reranker_directory: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(local_package, "_RUNTIMES", {})  # the models are only packed for PyTorch, which is fast
    shutil.copytree(encoder_directory, "all-MiniLM-L6-v2")
    shutil.copytree(reranker_directory, "cross-encoder/ms-marco-MiniLM-L6-v2")
    script = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    line = "from inferox.compat import CrossEncoder, SentenceTransformer"
    assert script.count(line) == 1
    assert len(script.splitlines()) <= 40
    ours: dict[str, Any] = {}
    theirs: dict[str, Any] = {}
    exec(script, ours)  # noqa: S102 - our own page
    printed = capsys.readouterr().out
    exec(script.replace(line, "from sentence_transformers import CrossEncoder, SentenceTransformer"), theirs)  # noqa: S102

    assert printed == capsys.readouterr().out
    for name in ("query_vector", "vectors", "scores", "pairs", "short", "bits", "logits", "tokens"):
        assert type(ours[name]) is type(theirs[name])
        found, expected = ([*each] if isinstance(each, list) else [each] for each in (ours[name], theirs[name]))
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(np.asarray(one), np.asarray(other), atol=1e-5, err_msg=name)
    assert [hit["corpus_id"] for hit in ours["ranking"]] == [hit["corpus_id"] for hit in theirs["ranking"]]
    for value in ours.values():
        if isinstance(value, Closing):
            value.close()
