"""The texts on which runtimes are compared."""

from __future__ import annotations

from inferox.tasks.text_samples import sample_pairs, sample_texts

TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def test_they_contain_every_special_token_beside_a_text_that_has_none() -> None:
    *others, special = sample_texts(128, TOKENS)
    assert others == sample_texts(128)
    assert all(any(token in text for text in special) for token in TOKENS)
    assert any(not any(token in text for token in TOKENS) for text in special)


def test_one_text_is_mostly_masks() -> None:
    text = sample_texts(None, ("<s>", "</s>", "<mask>"))[-1][0]
    assert text.count("<mask>") > len(text.replace("<mask>", "").split())


def test_of_a_hundred_placeholders_some_stand_for_all() -> None:
    special = sample_texts(128, ("<pad>", *(f"<extra_id_{index}>" for index in range(100))))[-1]
    assert any("<extra_id_74>" in text for text in special)
    assert sum(text.count("<extra") for text in special) < 20


def test_pairs_have_them_on_both_sides() -> None:
    firsts, seconds = zip(*sample_pairs(128, TOKENS)[-1], strict=True)
    assert any("[MASK]" in text for text in firsts)
    assert any("[MASK]" in text for text in seconds)
