"""The commands on the pages: their options, extras and targets exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from inferox.cli.main import cli
from tests.docs.pages import DOCS, ROOT, Block, read_blocks

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_has_a_row_of_asterisks_that_is_shown_as_such(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "code", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.search(r"\*{3,}", text)


def find_lines(block: Block) -> Iterator[str]:
    """Returns the lines to type: all of them, or in a console those with a prompt."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    for line in joined.splitlines():
        if block.language == "console" and not line.startswith("$ "):
            continue
        yield line.removeprefix("$ ")


LINES = [
    pytest.param(line, id=f"{block.page}:{block.line}:{number}")
    for page in PAGES
    for block in read_blocks(page)
    if block.language in {"sh", "console"}
    for number, line in enumerate(find_lines(block))
]


def words_of(line: str) -> Iterator[list[str]]:
    """Splits the commands of a line into words, without redirections to files."""
    for part in re.split(r"\s(?:&&|\|)\s", line):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if ">" in words:
            words = words[: words.index(">")]
        if words:
            yield words


def check_command(words: list[str]) -> None:
    """Checks that the command line is understood; nothing is run."""
    group: click.Command = cli
    rest = words
    while isinstance(group, click.Group):
        assert rest, f"{words} names no command"
        assert rest[0] in group.commands, f"there is no command {rest[0]!r}"
        group, rest = group.commands[rest[0]], rest[1:]
    # The meaning of a value, such as a path, is only checked when the command runs.
    group.make_parser(click.Context(group)).parse_args(rest)


@pytest.mark.parametrize("line", LINES)
def test_a_line_can_be_typed(line: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for words in words_of(line):
        name = Path(words[0]).name
        if name == "inferox":
            check_command(words[1:])
        elif name == "pip":
            for listed in re.findall(r"(?:inferox|\.)\[([a-z0-9,-]+)\]", line):
                assert set(listed.split(",")) <= extras.keys() | {"dev"}
        elif name == "make":
            assert {word for word in words[1:] if "=" not in word} <= targets


def test_a_wrong_option_is_seen() -> None:
    with pytest.raises(click.NoSuchOption):
        check_command(["run", "minilm.mlpkg", "--colum", "text"])
