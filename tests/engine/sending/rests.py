"""Entries that rest at the venue, exits of the same position, and all that calls such an entry off."""

from collections.abc import Callable
from typing import Any

import trio
from attrs import evolve

from tests.builders import NOW, make_follow, usd
from tests.engine.rig import Rig, Venue, buy, sell
from trio_copy.accounts import commands as c
from trio_copy.accounts.budgets import day_of
from trio_copy.model.budgets import Performance
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.control import ENGINE, Mode, ModeChange, Modes, leader_scope
from trio_copy.model.decisions import Code, CopyTask, Reason
from trio_copy.model.follows import EVERYBODY, Follower, Followers
from trio_copy.model.orders import Order
from trio_copy.model.resolutions import Resolution
from trio_copy.model.units import Shares

REST_S = 400


def resting(number: int = 1, **changes: Any) -> CopyTask:
    """An entry whose order may rest for some minutes."""
    task = buy(number, **changes)
    return evolve(task, intent=evolve(task.intent, order_type="GTC", rest_until=int(NOW) + REST_S))


def leaving(number: int = 50, **changes: Any) -> CopyTask:
    task = sell(number, **{"deadline": NOW + 500, **changes})
    return evolve(task, intent=evolve(task.intent, sell="all", leader_shares=Shares.parse(100)))


def venue_of(rig: Rig) -> Venue:
    assert isinstance(rig.executor, Venue)
    return rig.executor


async def rests(rig: Rig, task: CopyTask, filled: str = "0") -> Order:
    """Let a task's order rest, with so many shares filled."""
    venue = venue_of(rig)
    venue.script.append("rest")
    await rig.take_in(task)
    with trio.fail_after(60):
        await trio.lowlevel.checkpoint()
        while task.key not in [order.key for order in venue.sent if order.order_id in venue.filled]:  # noqa: ASYNC110
            await trio.sleep(0.1)
    order = venue.sent[-1]
    if Shares.parse(filled):
        venue.grow(order, Shares.parse(filled))
    return order


def _person_pauses(rig: Rig, task: CopyTask) -> None:
    paused = ModeChange(mode=Mode.HALT_NEW, why="told to", at=NOW)
    rig.mode.modes = Modes(version=2, by_scope={leader_scope(task.signal.leader): paused})


def _engine(mode: Mode) -> Callable[[Rig, CopyTask], None]:
    def change(rig: Rig, task: CopyTask) -> None:
        rig.mode.modes = Modes(version=2, by_scope={ENGINE: ModeChange(mode=mode, why="told to", at=NOW)})

    return change


def _follower_halts(rig: Rig, task: CopyTask) -> None:
    rig.shard.act(task.follower, c.SetMode(mode=Mode.REDUCE_ONLY, why="lost", at=NOW))


def _follow_is_paused(rig: Rig, task: CopyTask) -> None:
    rig.book.put(make_follow(task.follower, task.signal.leader, status="paused"))


def follow_goes(rig: Rig, task: CopyTask) -> None:
    rig.book.remove(make_follow(task.follower, task.signal.leader))


def _reorg(rig: Rig, task: CopyTask) -> None:
    rig.shard.met.meet(task.signal, NOW, whole=True)
    assert rig.shard.met.retract(task.signal, NOW) == task.signal.signal_id


def _loses(rig: Rig, task: CopyTask) -> None:
    rig.book.put(make_follow(task.follower, task.signal.leader, max_day_loss_usd=usd("1")))
    lost = Performance().after(usd("0") - usd("2"), day_of(NOW))
    rig.account().performance = lost


def _is_decided(rig: Rig, task: CopyTask) -> None:
    token = task.intent.token_id
    rig.shard.catalog.put([TokenFacts(token_id=token, condition_id="0xc0")])
    rig.shard.resolved.note(Resolution(condition_id="0xc0", payouts=(0, 1), block_number=10))


def _trades_elsewhere(rig: Rig, task: CopyTask) -> None:
    followers = Followers({EVERYBODY: Follower(follower=EVERYBODY, executor="other")})
    rig.book.terms = evolve(rig.book.terms, followers=followers)


def goes_blind(rig: Rig, task: CopyTask) -> None:
    blind = Reason(code=Code.ENTRIES_HALTED, control="watchdog", value="red", limit="green")
    rig.mode.halted = lambda: blind


def _drains(rig: Rig, task: CopyTask) -> None:
    rig.reconciler.rules.draining = True


CALLED_OFF: dict[str, tuple[Callable[[Rig, CopyTask], None], Code, float]] = {
    "a person pauses the leader": (_person_pauses, Code.FOLLOW_PAUSED, 3),
    "no new entries": (_engine(Mode.HALT_NEW), Code.MODE_FORBIDS, 3),
    "reduce only": (_engine(Mode.REDUCE_ONLY), Code.MODE_FORBIDS, 3),
    "everything halts": (_engine(Mode.HALT_ALL), Code.MODE_FORBIDS, 3),
    "the follower is halted": (_follower_halts, Code.MODE_FORBIDS, 3),
    "the follow is paused": (_follow_is_paused, Code.FOLLOW_PAUSED, 3),
    "the follow is gone": (follow_goes, Code.NOT_FOLLOWED, 3),
    "a reorg takes the signal back": (_reorg, Code.RETRACTED, 3),
    "a loss cap is broken": (_loses, Code.LOSS_LIMIT, 3),
    "the chain is out of sight": (goes_blind, Code.ENTRIES_HALTED, 35),
    "its question is decided": (_is_decided, Code.QUESTION_DECIDED, 3),
    "the follower trades elsewhere": (_trades_elsewhere, Code.EXECUTOR_CHANGED, 3),
    "the engine drains": (_drains, Code.DRAINED, 3),
    "its time is over": (lambda rig, task: None, Code.NO_FILL, REST_S + 3),
}
