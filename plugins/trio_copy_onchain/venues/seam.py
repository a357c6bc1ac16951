"""The shape of a venue on the chain. One small class is all that a further venue takes."""

from collections.abc import Sequence
from typing import Protocol

from attrs import Attribute, field, frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy.model.logs import RawLog
from trio_copy.model.units import ONE_USD_PER_SHARE, Price
from trio_copy.ports import LogFilter
from trio_copy.transactions.calls import Call

_MOST_UNITS = 1 << 128
"""More than there is of any money: the contracts multiply amounts with each other, and have 256 bits."""


def _amount(instance: object, attribute: "Attribute[int]", units: int) -> None:
    if not 0 <= units < _MOST_UNITS:
        raise ValueError(f"{attribute.name}: expected units from 0, below 2**128, got {units}")


def _between(instance: object, attribute: "Attribute[Price]", limit: Price) -> None:
    if not 0 < limit.micro < ONE_USD_PER_SHARE.micro:
        raise ValueError(f"limit: expected a price above 0 and below 1, got {limit}")


@frozen(kw_only=True)
class Swap:
    """What a wallet wants to exchange, in units.

    Raises:
        ValueError: nothing is given, or what no venue could reckon with.
    """

    wallet: Address
    """Gives, and gets."""
    side: Side
    cash: int = field(default=0, validator=_amount)
    """Of a BUY: spent. Of a SELL: asked for the shares; 0 asks for what the limit says. See `Fpmm` for what that does."""
    shares: int = field(default=0, validator=_amount)
    """Of a SELL: given, at most. Of a BUY, nothing: the limit says how many have to come."""
    limit: Price = field(validator=_between)
    """Cash per share, all fees included: the worst that may happen."""
    partial: bool = False
    """Whether a part may be filled, where the venue knows such a thing; else all or nothing."""
    deadline: int
    """Unix second after which it must not happen, where the venue is told such a thing."""

    def __attrs_post_init__(self) -> None:
        # A router takes zero for all that lies on it, which is somebody else's.
        if not (self.cash if self.side is Side.BUY else self.shares):
            raise ValueError(f"expected the {'cash' if self.side is Side.BUY else 'shares'} of a {self.side.value}")
        if self.side is Side.BUY and self.shares:
            raise ValueError("expected no shares of a BUY: what it brings at least follows from its limit")


@frozen(kw_only=True)
class Exchanged:
    """What a swap would exchange, or has exchanged, in units: what the wallet's balances show."""

    shares: int
    cash: int
    """Spent, the fee included; or come, after the fee."""
    fee: int
    """The venue's, in units of cash."""


NOTHING = Exchanged(shares=0, cash=0, fee=0)


class Venue(Protocol):
    """Where a wallet trades by calling a contract. Sync and pure: the caller asks the chain and sends."""

    @property
    def words(self) -> frozenset[str]:
        """Its reasons, in small letters, for what has become too dear or too late: KILLED. For any other: REJECTED."""
        ...

    def reads(self, swap: Swap) -> tuple[Call, ...]:
        """Return what has to be asked, all in one block, before a swap can be quoted."""
        ...

    def quote(self, swap: Swap, answers: Sequence[bytes | None]) -> Exchanged | None:
        """Return what the swap would exchange in that block, whatever its limit; None where it could not.

        An answer is None where the contract that was asked refused.

        Raises:
            ValueError: an answer to `reads` is none.
        """
        ...

    def fee_share(self, answers: Sequence[bytes | None]) -> tuple[int, int]:
        """Return which part of what is given the venue keeps, as a fraction; `answers` are those of a quote. Raises `ValueError`."""
        ...

    def sale_cash(self, swap: Swap, answers: Sequence[bytes | None], room_bps: int) -> int:
        """Return the cash that a sale should name (`Swap.cash`), where a venue wants that named; else 0.

        All that the shares bring by these answers, less the room, and never less than the limit asks for. Raises `ValueError`.
        """
        ...

    def call(self, swap: Swap) -> Call:
        """Return the call that makes the swap, or reverts where the limit does not allow it.

        Raises:
            ValueError: it is so little that nothing would come of it.
        """
        ...

    def trades_of(self, wallet: Address) -> LogFilter:
        """Return which logs tell of a wallet's trades here: one of each."""
        ...

    def decode(self, wallet: Address, side: Side, logs: Sequence[RawLog]) -> Exchanged:
        """Return what a call that was mined has exchanged, by all logs of its receipt; `NOTHING` where that is nothing.

        Raises:
            ValueError: the logs tell of something else, or cannot be read.
        """
        ...
