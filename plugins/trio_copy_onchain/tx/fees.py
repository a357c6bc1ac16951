"""What a transaction pays per gas: a tip as others paid it lately, room for the base fee to rise, and a cap over all. In wei.

A node's history is a proposal. What cannot be read of it is left out; whatever it says, nobody pays more than the cap, nor a
tip below what the chain's pools take.
"""

from contextlib import suppress
from statistics import median_low

import msgspec
from attrs import field, frozen

from trio_copy.transactions.tips import GWEI as GWEI
from trio_copy.transactions.tips import floor_of as floor_of
from trio_copy_onchain.tx.wire import MISREAD, Number, number_of

_BASE_FEES = 2
"""A block raises the base fee by an eighth at most: so much is enough for five full blocks in a row."""
_BUMP = 9, 8
"""Nodes replace a transaction by one that pays a tenth more in both fields; an eighth leaves room for their rounding."""
_MOST_BLOCKS = 1024


@frozen(kw_only=True)
class Fees:
    """Both fields of a transaction, per gas. Raises `ValueError` for a tip below 0, or above what is paid in all."""

    tip: int
    max_fee: int = field()

    @max_fee.validator
    def _check(self, attribute: object, max_fee: int) -> None:
        if not 0 <= self.tip <= max_fee:
            raise ValueError(f"expected a tip from 0 to {max_fee}, got {self.tip}")


@frozen(kw_only=True)
class FeeHistory:
    """What lately was paid."""

    base_fee: int
    """Of the next block."""
    tips: tuple[int, ...]
    """One of each block in which one was paid, at the percentile that was asked for."""


class _History(msgspec.Struct, rename="camel"):
    base_fee_per_gas: list[Number]
    reward: list[list[Number] | None] | None = None


def read_history(result: bytes | msgspec.Raw) -> FeeHistory:
    """Read the answer to `eth_feeHistory` with one percentile.

    Raises:
        ValueError: it tells no base fee of the next block, or tells of more blocks than anybody asks for.
    """
    try:
        told = msgspec.json.decode(result, type=_History)
        base_fees, rewards = told.base_fee_per_gas, told.reward or []
        if not base_fees or max(len(base_fees), len(rewards)) > _MOST_BLOCKS + 1:
            raise ValueError(f"expected 1 to {_MOST_BLOCKS} blocks, got {max(len(base_fees), len(rewards))}")
        base_fee = number_of(base_fees[-1])
    except MISREAD as error:
        raise ValueError(f"fee history: {error}") from None
    tips = []
    for row in rewards:
        if row:
            with suppress(ValueError):
                tips.append(number_of(row[0]))
    # In a block where nobody sent anything nothing was paid: that is no price.
    return FeeHistory(base_fee=base_fee, tips=tuple(tip for tip in tips if tip))


def cap_of_calls(cap: int) -> int:
    """Return the most for what does something: under the cap there has to be room for what takes its nonce when it is late."""
    more, of = _BUMP
    return cap * of // more


def fees_now(history: FeeHistory, *, floor: int, cap: int) -> Fees | None:
    """Say what to pay now; None where even the least that is taken is over the cap.

    The tip is the median of what blocks tell: one block that somebody paid dearly for, or that a node made up, moves it little.
    """
    room = cap - history.base_fee
    if room < floor:
        return None
    tip = min(max(median_low(history.tips) if history.tips else 0, floor), room)
    return Fees(tip=tip, max_fee=min(_BASE_FEES * history.base_fee + tip, cap))


def higher(fees: Fees, *, cap: int, least_tip: int = 0, now: Fees | None = None) -> Fees | None:
    """Return fees by which a transaction replaces another of its nonce; None where they would be over the cap.

    Both fields rise by an eighth at least, and the tip to what a node asks for. What would be paid now is paid as far as it is
    more, and the cap allows it.
    """
    tip = max(_raised(fees.tip), least_tip)
    max_fee = max(_raised(fees.max_fee), fees.max_fee + tip - fees.tip)
    if max_fee > cap:
        return None
    if now is not None:
        tip = max(tip, now.tip)
        max_fee = min(max(max_fee, fees.max_fee + tip - fees.tip, now.max_fee), cap)
    return Fees(tip=min(tip, max_fee), max_fee=max_fee)


def replaces(fees: Fees, before: Fees) -> bool:
    """Tell whether nodes take a transaction in place of another of its nonce, by what both pay."""
    return fees.tip >= _raised(before.tip) and fees.max_fee >= _raised(before.max_fee)


def _raised(amount: int) -> int:
    more, of = _BUMP
    return max(-(-amount * more // of), amount + 1)
