"""What an exit sells, and what it calls off of the entries that are not bought yet."""

from collections.abc import Sequence

from attrs import evolve

from trio_copy.model.decisions import Code, CopyTask, OrderIntent, Reason, leader_left
from trio_copy.model.fills import Kind, Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.positions import Position
from trio_copy.model.units import NO_SHARES, Rounding, Shares


def portion(intent: OrderIntent, position: Position, free: Shares) -> OrderIntent | Reason:
    """Say how many shares an exit sells: never more than `free`, what is held and not in doubt."""
    if intent.called_off.micro:
        rest = intent.shares if intent.sell == "sized" else intent.leader_shares
        # Who sells everything does so however little his leader has sold of what was bought already.
        if not position.shares.micro or (intent.sell != "all" and not rest.micro):
            return leader_left(intent)
    if not free.micro:
        return Reason(code=Code.NOTHING_TO_SELL, control="ledger.position", value="0", limit="above 0")
    match intent.sell:
        case "sized":
            shares = intent.shares
        case "proportional" if intent.leader_shares.micro < position.leader_shares.micro:
            # Rounded up: what is left over at the end would be dust that nobody can sell.
            shares = position.shares.part(intent.leader_shares, position.leader_shares, Rounding.UP)
        case _:
            shares = free
    if not shares.micro:  # or it would wait, in vain, until something of it has settled
        return Reason(code=Code.NOTHING_TO_SELL, control="leaving.sell", value=f"{intent.sell}: 0", limit="above 0")
    shares = shares if shares.micro < free.micro else free
    return intent if shares.micro == intent.shares.micro else intent.resized(shares)


def call_off(
    intent: OrderIntent, position: Position, waiting: Sequence[OrderIntent]
) -> tuple[OrderIntent, tuple[OrderIntent, ...]]:
    """Divide an exit between what is held and the entries that still wait, oldest first.

    The outcome is as if they had been bought already: the leader's shares that he sold are a part of all that he has
    bought, and of each entry this part is called off, rounded up. An exit that is sized like an entry takes what waits
    first, because that costs nothing. Returns the exit, as far as it concerns what is held, and what is left to buy.
    """
    ours = sum((entry.leader_shares for entry in waiting), NO_SHARES)
    whole = position.leader_shares + ours
    sold = min(intent.leader_shares, whole)
    left, entries, called_off = intent.shares, [], NO_SHARES
    for entry in waiting:
        if intent.sell == "sized":
            off = min(left, entry.shares)
            left -= off
            leader_off = entry.leader_shares.part(off, entry.shares, Rounding.UP) if off else NO_SHARES
        else:
            off = entry.shares if intent.sell == "all" or not whole else entry.shares.part(sold, whole, Rounding.UP)
            leader_off = entry.leader_shares.part(sold, whole, Rounding.UP) if whole else NO_SHARES
        called_off += leader_off
        shares = entry.shares - off
        entries.append(
            evolve(
                entry,
                shares=shares,
                leader_shares=entry.leader_shares - leader_off,
                max_cost=shares.at(entry.limit_price, Rounding.UP),
            )
        )
    return (
        evolve(
            intent,
            shares=left,
            leader_shares=intent.leader_shares - min(called_off, intent.leader_shares),
            called_off=called_off,
        ),
        tuple(entries),
    )


def leaves_entry(task: CopyTask, entry: CopyTask) -> bool:
    """Tell whether a task is an exit by which the leader of an earlier entry sold again, wholly or in part."""
    return (
        (task.intent.side, entry.intent.side) == (Side.SELL, Side.BUY)
        and task.signal.kind is not Kind.EXIT
        and task.signal.leader == entry.signal.leader
        and task.decided_at > entry.decided_at
        and task.signal.block_number >= entry.signal.block_number
    )


def spot_of(task: CopyTask) -> tuple[Address, TokenId]:
    """Return whose trades of which token a task copies."""
    return (task.signal.leader, task.intent.token_id)
