"""An engine that dies around a send and comes back with its file: nothing is filled twice, and nothing is lost."""

import pytest

from tests.clob.deaths import Case, play

_SAMPLE = (
    Case(point="place: durable", nth=1, fault="good", gap=1.0),
    Case(point="wire: half sent", nth=1, fault="good", gap=30.0),
    Case(point="wire: waits", nth=4, fault="reply lost", gap=1.0),
    Case(point="wire: answered", nth=1, fault="live, matched later", gap=100.0),
    Case(point="send: answered", nth=1, fault="undone", gap=1.0),
    Case(point="sqlite: committed", nth=4, fault="no amounts, late trades", gap=30.0),
)
"""All of them: `python -m tests.clob.deaths`."""


@pytest.mark.parametrize("case", _SAMPLE, ids=str)
def test_a_death_around_a_send_fills_nothing_twice_and_loses_nothing(case: Case) -> None:
    """The books are the venue's record, to the millionth, and every task has its end."""
    problems, died = play(case)
    assert died
    assert problems == []
