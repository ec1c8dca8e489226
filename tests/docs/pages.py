"""The blocks of code in the pages."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

DOCS = ROOT / "docs"

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w+)(?P<rest>[^\n]*)\n(?P<text>.*?)^(?P=indent)```$", re.DOTALL | re.MULTILINE
)

_TITLE = re.compile(r'title="([^"]*)"')


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: The page, as a path from the root of the repository.
        line: Its first line in the page, from 1.
        language: Its language.
        title: Its title, which for a file is the file's name; empty if it has none.
        text: The code.
    """

    page: str
    line: int
    language: str
    title: str
    text: str


def read_blocks(page: Path) -> list[Block]:
    """Reads the blocks of a page, in order.

    Args:
        page: A Markdown file.
    """
    text = page.read_text(encoding="utf-8")
    blocks = []
    for found in _FENCE.finditer(text):
        title = _TITLE.search(found["rest"])
        code = re.sub(rf"^{found['indent']}", "", found["text"], flags=re.MULTILINE)
        line = text.count("\n", 0, found.start("text")) + 1
        name = page.relative_to(ROOT).as_posix()
        blocks.append(Block(name, line, found["language"], title[1] if title else "", code))
    return blocks


def run_python(block: Block, names: dict[str, Any]) -> None:
    """Runs a block as a notebook would: ``await`` is allowed outside of functions.

    Args:
        block: The block. Tracebacks show its lines as those of its page.
        names: The names that earlier blocks have defined, to which this one adds.
    """
    code = "\n" * (block.line - 1) + block.text
    compiled = compile(code, str(ROOT / block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    if compiled.co_flags & inspect.CO_COROUTINE:
        asyncio.run(eval(compiled, names))  # noqa: S307 - our own page
    else:
        exec(compiled, names)  # noqa: S102 - our own page
