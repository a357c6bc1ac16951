"""Counts in words."""

import pytest

from trio_copy.model.counts import counted


@pytest.mark.parametrize(
    ("count", "words", "says"),
    [(0, ("follow",), "0 follows"), (1, ("follow",), "1 follow"), (2, ("copy waits", "copies wait"), "2 copies wait")],
)
def test_a_count_is_written_with_its_noun(count: int, words: tuple[str, ...], says: str) -> None:
    """One of them, or several."""
    assert counted(count, *words) == says
