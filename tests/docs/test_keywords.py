"""The table of keywords in the quickstart against the methods of a model."""

from __future__ import annotations

import ast
import inspect
import re
from typing import Any

from inferox.loading import TaskModel
from tests.docs.pages import DOCS

_ROW = re.compile(r"^\| `(\w+)` \| `([^`]+)` \| ([^|]+) \|", re.MULTILINE)
_METHODS = ("embed", "embed_iter", "classify", "token_classify", "rerank")
_OF = {
    "all but images": _METHODS,
    "embed": ("embed", "embed_iter"),
    "`embed_iter`": ("embed_iter",),
    "rerank": ("rerank",),
}


def test_the_table_lists_every_keyword_with_its_default() -> None:
    rows = _ROW.findall((DOCS / "quickstart.md").read_text(encoding="utf-8"))
    told = {(method, name): ast.literal_eval(default) for name, default, of in rows for method in _OF[of.strip()]}
    assert told == {(method, name): default for method in _METHODS for name, default in _keywords(method).items()}


def _keywords(method: str) -> dict[str, Any]:
    parameters = inspect.signature(getattr(TaskModel, method)).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}
