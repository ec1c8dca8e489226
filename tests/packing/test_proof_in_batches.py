"""The proof from input covers faults that only show in batches, such as exchanged answers, and long prompted texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import inferox
from inferox.core import DisagreementError
from inferox.measuring import verify
from inferox.package import open_package
from inferox.tasks import EmbedTask
from inferox.tasks.pooled_vectors import PooledVectors


def exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives two texts of one batch each other's vectors."""
    decode = EmbedTask.decode
    monkeypatch.setattr(EmbedTask, "decode", lambda self, *arguments: decode(self, *arguments)[::-1])


def share_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pools every text of a batch like the first."""
    compute = PooledVectors.compute

    def compute_wrongly(self: Any, outputs: Any, **options: Any) -> Any:
        vectors = compute(self, outputs, **options)
        return vectors[[0] * len(vectors)]

    monkeypatch.setattr(PooledVectors, "compute", compute_wrongly)


@pytest.mark.parametrize("broken", [exchange, share_skip])
def test_packing_fails_where_a_batch_is_answered_otherwise(
    tmp_path: Path, encoder_package: Path, monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    broken(monkeypatch)
    with pytest.raises(DisagreementError, match="in the stage batch"):
        inferox.pack(encoder_package.parent / "source", tmp_path / "model")


@pytest.mark.parametrize("broken", [exchange, share_skip])
def test_verify_fails_where_a_batch_is_answered_otherwise(
    encoder_package: Path, monkeypatch: pytest.MonkeyPatch, broken: Any
) -> None:
    broken(monkeypatch)
    found = verify(encoder_package)
    assert not found.passed
    assert all("answer" in (item.difference or "") for item in found.repeated.values())


def test_each_prompt_has_a_text_beyond_the_limit(encoder_package: Path) -> None:
    cases = open_package(encoder_package).proof_cases() or ()
    for prompt in ("query", "passage"):
        assert any(len(case.tokens["input_ids"]) == 40 for case in cases if case.input.prompt == prompt)
    found = verify(encoder_package)
    assert found.passed
    assert all(str(item).startswith("within exact on") for item in found.repeated.values())
