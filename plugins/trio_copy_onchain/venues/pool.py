"""A pool of Uniswap's third version, of an outcome that is an ERC-20 against its collateral, by one of two routers.

The fee is taken out of what is given, so a limit that counts all of it lies further from the pool's own price.
"""

from collections.abc import Sequence
from math import isqrt

from attrs import Attribute, field, frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy.model.logs import RawLog
from trio_copy.model.units import MICRO, Price, Rounding
from trio_copy.ports import LogFilter
from trio_copy.transactions.calls import Call
from trio_copy_onchain.venues import abi
from trio_copy_onchain.venues.amounts import Decimals
from trio_copy_onchain.venues.seam import NOTHING, Exchanged, Swap

_PIPS = 1_000_000
"""The whole of which a pool's fee is counted."""
_Q192 = 1 << 192
_IN, _OUT = ("address", "address", "uint24", "address"), ("uint256", "uint256", "uint160")
_WITH_DEADLINE = abi.function("exactInputSingle", f"({','.join((*_IN, 'uint256', *_OUT))})")
_WITHOUT = abi.function("exactInputSingle", f"({','.join((*_IN, *_OUT))})")
_MULTICALL = abi.function("multicall", "uint256", "bytes[]")
_QUOTE = abi.function("quoteExactInputSingle", "(address,address,uint256,uint24,uint160)")
_SWAPPED = abi.topic("Swap(address,address,int256,int256,uint160,uint128,int24)")


def _fee(instance: object, attribute: "Attribute[int]", fee: int) -> None:
    if not 0 <= fee < _PIPS:
        raise ValueError(f"fee of a pool: expected 0 to {_PIPS - 1} millionths, got {fee}")


@frozen(kw_only=True)
class Router:
    address: Address
    takes_deadline: bool
    """Whether it reads the deadline among the arguments (SwapRouter), or around them (SwapRouter02)."""


@frozen(kw_only=True)
class Pool:
    """One outcome at one pool."""

    pool: Address
    router: Router
    quoter: Address
    """QuoterV2."""
    outcome: Address
    collateral: Address
    fee: int = field(validator=_fee)
    """In millionths of what is given."""
    decimals: Decimals
    words: frozenset[str] = frozenset({"too little received", "spl", "transaction too old"})

    def reads(self, swap: Swap) -> tuple[Call, ...]:
        token_in, token_out, given = self._given(swap)
        return (Call(to=self.quoter, data=_QUOTE((token_in, token_out, given, self.fee, 0))),)

    def quote(self, swap: Swap, answers: Sequence[bytes | None]) -> Exchanged | None:
        (told,) = answers
        if told is None:  # the quoter tries the swap, and a pool refuses one on a side that is empty
            return None
        got = abi.words(told, 4)[0]
        shares, cash = (got, swap.cash) if swap.side is Side.BUY else (swap.shares, got)
        return Exchanged(shares=shares, cash=cash, fee=self._fee_of(swap.side, cash)) if got else None

    def fee_share(self, answers: Sequence[bytes | None]) -> tuple[int, int]:
        return self.fee, _PIPS

    def sale_cash(self, swap: Swap, answers: Sequence[bytes | None], room_bps: int) -> int:
        return 0

    def call(self, swap: Swap) -> Call:
        token_in, token_out, given = self._given(swap)
        if swap.partial:
            # The price of each unit is what holds the limit: how much comes cannot be told. A fill of nothing is none.
            least, stop_at = 1, self.stop_at(swap.side, swap.limit)
        else:
            least, stop_at = self._least(swap), 0
        head, tail = (token_in, token_out, self.fee, swap.wallet), (given, least, stop_at)
        if self.router.takes_deadline:
            data = _WITH_DEADLINE((*head, swap.deadline, *tail))
        else:
            data = _MULTICALL(swap.deadline, [_WITHOUT((*head, *tail))])
        return Call(to=self.router.address, data=data)

    def trades_of(self, wallet: Address) -> LogFilter:
        return LogFilter(addresses=(self.pool,), topics=((_SWAPPED,), None, (abi.address_topic(wallet),)))

    def decode(self, wallet: Address, side: Side, logs: Sequence[RawLog]) -> Exchanged:
        log = abi.only_log(logs, self.pool, (_SWAPPED, None, abi.address_topic(wallet)))
        if log is None:
            return NOTHING
        amounts = [abi.signed(word) for word in abi.words(log.data, 5)[:2]]
        outcome, collateral = amounts if self._outcome_first else reversed(amounts)
        # The pool tells what it got, and less than nothing for what it gave.
        shares, cash = (-outcome, collateral) if side is Side.BUY else (outcome, -collateral)
        if shares < 0 or cash < 0:
            raise ValueError(f"expected a {side.value}, got one of the other side")
        return Exchanged(shares=shares, cash=cash, fee=self._fee_of(side, cash))

    def stop_at(self, side: Side, limit: Price) -> int:
        """Return the price at which the pool has to stop, rounded so that no unit is dearer than the limit.

        It is what a pool counts prices in: the square root, times 2**96, of units of its second token for one of its first.
        """
        kept = _PIPS - self.fee
        cash, shares = limit.micro * self.decimals.coin, MICRO * self.decimals.share
        # A buyer pays the pool's price and the fee on it; a seller gets the pool's price for what the fee leaves of his shares.
        cash, shares = (cash * kept, shares * _PIPS) if side is Side.BUY else (cash * _PIPS, shares * kept)
        second, first = (cash, shares) if self._outcome_first else (shares, cash)
        # Buying what comes first drives the price up, and so does selling what comes second.
        rises = (side is Side.BUY) is self._outcome_first
        return isqrt(second * _Q192 // first) if rises else isqrt(-(-second * _Q192 // first) - 1) + 1

    @property
    def _outcome_first(self) -> bool:
        """A pool has its tokens in the order of their addresses."""
        return self.outcome < self.collateral

    def _given(self, swap: Swap) -> tuple[Address, Address, int]:
        if swap.side is Side.BUY:
            return self.collateral, self.outcome, swap.cash
        return self.outcome, self.collateral, swap.shares

    def _least(self, swap: Swap) -> int:
        if swap.side is Side.BUY:
            return self.decimals.shares_at(swap.cash, swap.limit, Rounding.UP)
        return max(swap.cash, self.decimals.cash_at(swap.shares, swap.limit, Rounding.UP))

    def _fee_of(self, side: Side, cash: int) -> int:
        """Return the fee within some cash; of a sale it was taken in shares, and is what these would have brought.

        Exact where a swap stayed within one range of prices; each border that it crossed may have cost a unit more.
        """
        whole = _PIPS if side is Side.BUY else _PIPS - self.fee
        return -(-cash * self.fee // whole)
