"""Tokenizers that are made before they are needed."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from inferox.core import PackageError
from inferox.tasks.tokenizer_file import list_tokenizer_files, open_in_advance, open_tokenizer


def write(path: Path, vocabulary: list[str]) -> str:
    Tokenizer(BPE({word: index for index, word in enumerate(vocabulary)}, [])).save(str(path))
    return str(path)


def test_what_was_made_in_advance_is_given_away_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = write(tmp_path / "first.json", ["a"]), write(tmp_path / "second.json", ["a", "b"])
    open_in_advance([first, second, first, str(tmp_path / "missing.json")])
    monkeypatch.setattr("inferox.tasks.tokenizer_file.read_tokenizer", lambda _: pytest.fail("it was read"))
    made = [open_tokenizer(Path(path))[0] for path in (first, first, second)]
    assert [each.get_vocab_size() for each in made] == [1, 1, 2]
    assert made[0] is not made[1]  # each may be changed
    with pytest.raises(pytest.fail.Exception, match="it was read"):
        open_tokenizer(Path(first))


def test_a_file_that_has_changed_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "tokenizer.json", ["a"])
    open_in_advance([path])
    write(Path(path), ["a", "b"])
    assert open_tokenizer(Path(path))[0].get_vocab_size() == 2
    Path(path).write_text("{}")
    with pytest.raises(PackageError):
        open_tokenizer(Path(path))


def test_files_are_known_as_long_as_their_tokenizers_are_in_use(tmp_path: Path) -> None:
    path = write(tmp_path / "tokenizer.json", ["a"])
    first, second = open_tokenizer(Path(path)), open_tokenizer(Path(path))
    assert list_tokenizer_files().count(path) == 2
    del first
    gc.collect()
    assert list_tokenizer_files().count(path) == 1
    del second
    gc.collect()
    assert path not in list_tokenizer_files()
