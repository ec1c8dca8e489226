"""The code in the guide for authors of backends is that of the example."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "third_party_backend"
GUIDE = (ROOT / "docs" / "adding-a-backend.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", GUIDE, re.DOTALL)


def test_the_guide_has_blocks_of_known_kinds() -> None:
    assert len(BLOCKS) > 8
    assert {language for language, _ in BLOCKS} == {"toml", "python", "sh"}


@pytest.mark.parametrize("block", [text for language, text in BLOCKS if language != "sh"])
def test_a_block_is_a_part_of_the_example(block: str) -> None:
    files = [path for path in EXAMPLE.rglob("*") if path.suffix in {".py", ".toml"}]
    assert any(block in path.read_text(encoding="utf-8") for path in files), block


def test_the_files_that_the_guide_names_are_there() -> None:
    for target in re.findall(r"\]\((?!http)([^)]+)\)", GUIDE):
        assert (ROOT / "docs" / target).exists(), target
    assert (ROOT / "src/inferox/testing/numpy_backend.py").is_file()
