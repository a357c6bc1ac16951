"""An engine is killed around a send, for real, and another one takes up what it has left: nothing is filled twice, and nothing lost."""

from tests.clob.kills import Case, Played, play_all

_SAMPLE = (
    Case(point="before the guard's journal", fault="request lost"),
    Case(point="before the first byte", fault="500, carried out", nth=5),
    Case(point="in the middle of its body", fault="425", store="redis"),
    Case(point="before the answer", fault="stalls, carried out"),
    Case(point="after the answer", fault="429"),
    Case(point="before it is booked", fault="settles late, told late"),
    Case(point="after it is booked", fault="undone", nth=5),
)
"""All of them: `python -m tests.clob.kills`."""


async def test_an_engine_that_is_killed_around_a_send_fills_nothing_twice_and_loses_nothing() -> None:
    """The books are what the venue wrote down, to the millionth, and every task has its end. They are played beside each other."""
    played = dict[str, Played]()
    await play_all(_SAMPLE, len(_SAMPLE), lambda case, one: played.update({str(case): one}))
    assert {name: one.problems for name, one in played.items() if one.problems} == {}
    assert [name for name, one in played.items() if not one.died] == []
    assert len(played) == len(_SAMPLE)
