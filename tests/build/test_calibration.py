"""What a quantiser watches the model compute."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from inferox.build.calibration import choose_texts


@given(count=st.integers(1, 3000))
@example(count=512)
@example(count=513)
@example(count=1023)
def test_texts_are_taken_from_the_whole_of_a_file(count: int) -> None:
    texts = [str(number) for number in range(count)]
    chosen = [int(text) for text in choose_texts(texts)]
    assert len(chosen) == min(count, 512)
    steps = {later - earlier for earlier, later in pairwise([*chosen, count])}
    assert chosen[0] == 0
    assert steps <= {count // len(chosen), -(-count // len(chosen))}
