"""When what a token pays is in the books: at once, or once the wallet has it. And how it is booked."""

from enum import Enum

from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.engine.plan import Plan
from trio_copy.engine.shards.shard import Shard
from trio_copy.model.follows import Follower


class Payout(Enum):
    """When a position of a question that is decided for good is booked at what it pays."""

    AT_ONCE = "on paper, and where somebody else than an executor redeems it, at the venue"
    REDEEMED = "once a transaction of the wallet has brought it; losers by what the chain says of them"
    LEFT = "winners once a person had them redeemed; losers at once, since they bring nothing either way"

    __hash__ = object.__hash__


def payout_of(plan: Plan, follower: Follower) -> Payout:
    """Return when what a follower holds is booked."""
    wallet = plan.settings.wallet.get(follower.wallet_name)
    own = next((one.plugin for one in plan.executors if one.name == follower.executor), None)
    if wallet is None or own is None or not own.moves_money:
        return Payout.AT_ONCE
    if wallet.redeem:
        return Payout.REDEEMED
    # Whose executor sends transactions of the wallet has books that are the chain's, to the unit.
    return Payout.LEFT if own.acts else Payout.AT_ONCE


def book(shard: Shard, command: c.Resolve) -> bool:
    """Book a position at what its token pays, and tell of it; returns whether anything was. Raises `LeaseLost`."""
    follower, _, token_id = command.position
    account = shard.accounts[follower]
    before, booked = account.performance.realised, False
    for event in shard.act(follower, command):
        if isinstance(event, e.Redeemed):
            entry, booked = event.entry, True
            worth = f"{entry.shares} of {shard.catalog.name_of(token_id)} paid {entry.notional}"
            shard.observer.on_step("redeemed", f"{follower}: {worth}, realised {account.performance.realised - before}")
    return booked
