"""One read of a signer's trades for all who ask meanwhile."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
import trio
import trio.testing
from attrs import define, field

from trio_copy_clob.sending.calling import Reply
from trio_copy_clob.sending.looking import TradesRead

Clock = trio.testing.MockClock
_NOW = 1_764_000_000


@define(eq=False)
class _Busy:
    """A signer of whom the venue has a page of trades for each hour, the newest first."""

    address: str = "0x" + "55" * 20
    reads: list[int] = field(factory=list)
    """Since when each of them was asked for."""

    async def ask(self, _method: str, _path: str, *, until: float, params: Sequence[tuple[str, str]]) -> Reply:
        await trio.sleep(0.01)
        wanted = dict(params)
        since, cursor = int(wanted["after"]), wanted["next_cursor"]
        page = 1 if cursor == "MA==" else int(cursor)
        if page == 1:
            self.reads.append(since)
        following = str(page + 1) if _NOW - page * 3600 > since else "LTE="
        return Reply(status=200, headers={}, body=b'{"data":[],"next_cursor":"%s"}' % following.encode())


@pytest.mark.parametrize(
    ("hours", "reads", "whole"),
    [
        ((0, 3, 1), 2, (True, True, True)),
        ((0, 48, 1, 2), 3, (True, False, True, True)),
        ((0, 1, 48, 2), 5, (True, True, False, True)),
    ],
    ids=["a few hours are one read", "two days are too much", "and too much for who is first"],
)
async def test_an_old_order_makes_no_others_trades_partial(
    autojump_clock: Clock, hours: tuple[int, ...], reads: int, whole: tuple[bool, ...]
) -> None:
    """Where not all of it is read, nothing is absent: that may be so of one that is open for days, and of no other."""
    signer, found = _Busy(), dict[int, bool]()
    trades = TradesRead(cast("Any", signer))

    async def ask(hour: int) -> None:
        _, found[hour] = await trades.since(_NOW - hour * 3600, trio.current_time() + 10)

    async with trio.open_nursery() as nursery:
        for hour in hours:
            nursery.start_soon(ask, hour)
            await trio.testing.wait_all_tasks_blocked()
    assert (tuple(found[hour] for hour in hours), len(signer.reads)) == (whole, reads)
