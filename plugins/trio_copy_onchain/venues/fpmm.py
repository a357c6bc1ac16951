"""Gnosis' fixed-product market maker over Conditional Tokens: the product of its balances of all outcomes stays the same.

It takes a fee out of the cash either way. Its shares have the decimals of its collateral. There is no part of a trade.
"""

from collections.abc import Sequence

from attrs import Attribute, field, frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.logs import RawLog
from trio_copy.model.units import BPS, Rounding
from trio_copy.ports import LogFilter
from trio_copy.transactions.calls import Call
from trio_copy_onchain.venues import abi
from trio_copy_onchain.venues.amounts import Decimals
from trio_copy_onchain.venues.seam import NOTHING, Exchanged, Swap

_ONE = 10**18
_UINTS = ("uint256",) * 3
_BUY, _SELL = abi.function("buy", *_UINTS), abi.function("sell", *_UINTS)
_BALANCES = abi.function("balanceOfBatch", "address[]", "uint256[]")
_BOUGHT = abi.topic("FPMMBuy(address,uint256,uint256,uint256,uint256)")
_SOLD = abi.topic("FPMMSell(address,uint256,uint256,uint256,uint256)")


def _part(instance: object, attribute: "Attribute[int]", fee: int) -> None:
    if not 0 <= fee < _ONE:
        raise ValueError(f"expected a fee from 0, below {_ONE}, got {fee}")


@frozen
class FpmmState:
    """What a market maker holds of each outcome, and its fee of `_ONE`. The formulas are the contract's, to the unit."""

    balances: tuple[int, ...]
    fee: int

    def bought_for(self, cash: int, outcome: int) -> int | None:
        """Return the shares that so much cash buys: `calcBuyAmount`. None where the contract reverts."""
        if not all(self.balances):
            return None
        invested = cash - cash * self.fee // _ONE
        ours = self.balances[outcome]
        ending = ours * _ONE
        for balance in self._others(outcome):
            ending = -(-ending * balance // (balance + invested))
        return ours + invested - -(-ending // _ONE)

    def sold_for(self, cash: int, outcome: int) -> int | None:
        """Return the shares that it takes to get so much cash: `calcSellAmount`. None where the contract reverts."""
        returned = cash * _ONE // (_ONE - self.fee)
        ours = self.balances[outcome]
        # What it pays with are full sets, and of each other outcome something has to stay.
        if not ours or any(balance <= returned for balance in self._others(outcome)):
            return None
        ending = ours * _ONE
        for balance in self._others(outcome):
            ending = -(-ending * balance // (balance - returned))
        return returned + -(-ending // _ONE) - ours

    def cash_for(self, shares: int, outcome: int) -> int:
        """Return the most cash that can be got for at most so many shares; 0 for nothing."""
        low, high = 0, shares
        # More cash never takes fewer shares, and no share brings more than one of cash.
        while low < high:
            middle = (low + high + 1) // 2
            taken = self.sold_for(middle, outcome)
            low, high = (low, middle - 1) if taken is None or taken > shares else (middle, high)
        return low

    def _others(self, outcome: int) -> Sequence[int]:
        return self.balances[:outcome] + self.balances[outcome + 1 :]


@frozen(kw_only=True)
class Fpmm:
    """One outcome at one market maker.

    A sale names the cash that has to come, and the limit how many shares may leave for it. Asked for all that `quote` says,
    every share is sold, and the least change of the price reverts it; asked for what the limit says, the price has all the
    room that the limit gives, and what it was better than that is left in shares.
    """

    maker: Address
    conditional_tokens: Address
    tokens: tuple[TokenId, ...]
    """Of all its outcomes, in their order."""
    outcome: int
    """The index of the one that is traded."""
    fee: int = field(validator=_part)
    """Of `_ONE`, what a trade costs. The contract is made with it, and has nothing that changes it."""
    decimals: Decimals
    words: frozenset[str] = frozenset({"minimum buy amount not reached", "maximum sell amount exceeded"})

    def reads(self, swap: Swap) -> tuple[Call, ...]:
        balances = _BALANCES([self.maker] * len(self.tokens), self.tokens)
        return (Call(to=self.conditional_tokens, data=balances),)

    def quote(self, swap: Swap, answers: Sequence[bytes | None]) -> Exchanged | None:
        state = self.state(answers)
        if swap.side is Side.BUY:
            shares = state.bought_for(swap.cash, self.outcome)
            fee = swap.cash * state.fee // _ONE
            return Exchanged(shares=shares, cash=swap.cash, fee=fee) if shares else None
        cash = state.cash_for(swap.shares, self.outcome)
        taken = state.sold_for(cash, self.outcome)
        fee = cash * state.fee // (_ONE - state.fee)
        return Exchanged(shares=taken, cash=cash, fee=fee) if cash and taken else None

    def state(self, answers: Sequence[bytes | None]) -> FpmmState:
        """Read the answers to `reads`. Raises `ValueError`."""
        (balances,) = answers
        if balances is None:
            raise ValueError(
                f"{self.conditional_tokens} refuses to tell balances: it is no Conditional Tokens contract"
            )
        return FpmmState(tuple(abi.array(balances, len(self.tokens))), self.fee)

    def fee_share(self, answers: Sequence[bytes | None]) -> tuple[int, int]:
        return self.fee, _ONE

    def sale_cash(self, swap: Swap, answers: Sequence[bytes | None], room_bps: int) -> int:
        brings = self.state(answers).cash_for(swap.shares, self.outcome) * (BPS - room_bps) // BPS
        return max(brings, self.decimals.cash_at(swap.shares, swap.limit, Rounding.DOWN))

    def call(self, swap: Swap) -> Call:
        if swap.side is Side.BUY:
            least = self.decimals.shares_at(swap.cash, swap.limit, Rounding.UP)
            return Call(to=self.maker, data=_BUY(swap.cash, self.outcome, least))
        cash = swap.cash or self.decimals.cash_at(swap.shares, swap.limit, Rounding.DOWN)
        if not cash:
            raise ValueError(f"expected shares that are worth something at {swap.limit}, got {swap.shares} units")
        most = min(swap.shares, self.decimals.shares_at(cash, swap.limit, Rounding.DOWN))
        return Call(to=self.maker, data=_SELL(cash, self.outcome, most))

    def trades_of(self, wallet: Address) -> LogFilter:
        topics = ((_BOUGHT, _SOLD), (abi.address_topic(wallet),), (Hash32(f"0x{self.outcome:064x}"),))
        return LogFilter(addresses=(self.maker,), topics=topics)

    def decode(self, wallet: Address, side: Side, logs: Sequence[RawLog]) -> Exchanged:
        event = _BOUGHT if side is Side.BUY else _SOLD
        topics = (event, abi.address_topic(wallet), Hash32(f"0x{self.outcome:064x}"))
        log = abi.only_log(logs, self.maker, topics)
        if log is None:
            return NOTHING
        cash, fee, shares = abi.words(log.data, 3)
        return Exchanged(shares=shares, cash=cash, fee=fee)
