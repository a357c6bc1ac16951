"""Which venue trades a token, and what the chain says of it now."""

from collections.abc import Sequence

from attrs import define, evolve, field, frozen

from trio_copy.errors import ChainError, OrderNotSent
from trio_copy.model.books import Quote
from trio_copy.model.counts import counted
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.orders import Market
from trio_copy.model.units import BPS, MICRO, Price, Rounding, Shares
from trio_copy.transactions.calls import Call
from trio_copy_onchain.asking.chain import Chain
from trio_copy_onchain.holdings.conditional import Conditional
from trio_copy_onchain.settings import FpmmTable, OnchainSettings, PoolTable
from trio_copy_onchain.venues import abi
from trio_copy_onchain.venues.amounts import Decimals, decimals_call, read_decimals
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool, Router
from trio_copy_onchain.venues.seam import Exchanged, Swap, Venue

_FEE, _CONDITIONS = abi.function("fee"), abi.function("conditionIds", "uint256")
_NOWHERE = Address("0x" + "0" * 39 + "1")
"""Stands for a wallet where nothing depends on whose it is."""
_HALF = Price(MICRO // 2)


@frozen(kw_only=True)
class Terms:
    """What an order for a token is made of; see `Market.terms`."""

    venue: Fpmm | Pool
    decimals: Decimals
    collateral: Address
    answers: tuple[bytes | None, ...] = ()
    """What the venue said of a sale, None where it refused; nothing in what never changes."""


@define(eq=False)
class Markets:
    """Of the configured tokens. What never changes of a venue is read once."""

    chain: Chain
    settings: OnchainSettings
    _known: dict[TokenId, Terms] = field(factory=dict)

    async def terms(self, token_id: TokenId, until: float) -> Terms:
        """Return what never changes of a token's venue, whatever it trades at now. Raises `OrderNotSent` as `market`."""
        known = self._known.get(token_id)
        if known is None:
            try:
                known = self._known[token_id] = await self._learn(token_id, until)
            except ChainError as error:
                raise OrderNotSent(f"no node tells where token {token_id} is traded: {error}") from None
            except ValueError as error:
                raise OrderNotSent(f"what the venue of token {token_id} answers cannot be read: {error}") from None
        return known

    async def market(self, token_id: TokenId, until: float) -> Market:
        """Return what a venue says about a token now: a side on which it trades nothing has no price.

        Raises:
            OrderNotSent: no venue is configured for it, or no node answers.
        """
        known = await self.terms(token_id, until)
        venue, decimals = known.venue, known.decimals
        try:
            buy = Swap(wallet=_NOWHERE, side=Side.BUY, cash=decimals.coin, limit=_HALF, deadline=0)
            sell = Swap(wallet=_NOWHERE, side=Side.SELL, shares=decimals.share, limit=_HALF, deadline=0)
            # All in one block: what a purchase and a sale need to know may be the same.
            asked = tuple(dict.fromkeys((*venue.reads(buy), *venue.reads(sell))))
            told = dict(zip(asked, await self.chain.read_each(asked, until), strict=True))
            bought, sold = ([told[call] for call in venue.reads(swap)] for swap in (buy, sell))
            would_buy, would_sell = venue.quote(buy, bought), venue.quote(sell, sold)
        except ChainError as error:
            raise OrderNotSent(f"no node tells what token {token_id} costs: {error}") from None
        except ValueError as error:
            raise OrderNotSent(f"what the venue of token {token_id} answers cannot be read: {error}") from None
        return Market(
            token_id=token_id,
            tick=Price(1),
            minimum=Shares(1),
            fee_bps=_fee_bps(venue, bought),
            closed=None if would_buy or would_sell else "no liquidity",
            quote=Quote(bid=_price(decimals, Side.SELL, would_sell), ask=_price(decimals, Side.BUY, would_buy)),
            least_cost=self.settings.least_usd,
            terms=evolve(known, answers=tuple(sold)),
        )

    async def _learn(self, token_id: TokenId, until: float) -> Terms:
        for maker in self.settings.fpmm:
            if token_id in maker.tokens:
                return await self._fpmm(maker, token_id, until)
        for pool in self.settings.pools:
            if int(pool.outcome, 16) == token_id:
                return await self._pool(pool, until)
        raise OrderNotSent(f"no venue of [executor.onchain] trades token {token_id}")

    async def _constants(self, calls: Sequence[Call], until: float) -> Sequence[bytes]:
        """Ask what never changes, of all nodes: kept as long as the process lives, it must not be one node's mistake.

        Raises:
            ChainError: no node answers, or two contradict each other.
            ValueError: a contract refuses.
        """
        answers = [answer for answer in await self.chain.answers(calls, "latest", until) if answer is not None]
        if len(answers) < len(calls):
            raise ValueError(f"expected {counted(len(calls), 'answer')}, got {len(answers)}: it is no such contract")
        return answers

    async def _fpmm(self, table: FpmmTable, token_id: TokenId, until: float) -> Terms:
        asked = (
            decimals_call(table.collateral),
            Call(to=table.maker, data=_CONDITIONS(0)),
            Call(to=table.maker, data=_FEE()),
        )
        told, condition, fee = await self._constants(asked, until)
        _expect_order(table, condition)
        decimals = Decimals(shares=read_decimals(told), cash=read_decimals(told))
        venue = Fpmm(
            maker=table.maker,
            conditional_tokens=table.conditional_tokens,
            tokens=table.tokens,
            outcome=table.tokens.index(token_id),
            fee=abi.words(fee, 1)[0],
            decimals=decimals,
        )
        return Terms(venue=venue, decimals=decimals, collateral=table.collateral)

    async def _pool(self, table: PoolTable, until: float) -> Terms:
        asked = decimals_call(table.outcome), decimals_call(table.collateral), Call(to=table.pool, data=_FEE())
        of_shares, of_cash, fee = await self._constants(asked, until)
        decimals = Decimals(shares=read_decimals(of_shares), cash=read_decimals(of_cash))
        venue = Pool(
            pool=table.pool,
            router=Router(address=table.router, takes_deadline=table.takes_deadline),
            quoter=table.quoter,
            outcome=table.outcome,
            collateral=table.collateral,
            fee=abi.words(fee, 1)[0],
            decimals=decimals,
        )
        return Terms(venue=venue, decimals=decimals, collateral=table.collateral)


def _expect_order(table: FpmmTable, condition: bytes) -> None:
    """Refuse the right tokens in a wrong order: what is bought by its index would be another outcome. Raises `ValueError`."""
    (told,) = abi.words(condition, 1)
    tokens = Conditional(
        contract=table.conditional_tokens,
        collateral=table.collateral,
        condition=Hash32(f"0x{told:064x}"),
        outcomes=len(table.tokens),
    ).tokens
    # A maker over several conditions together has other tokens: nobody judges these.
    if tokens != table.tokens and sorted(tokens) == sorted(table.tokens):
        raise ValueError(f"expected its tokens in the order of its outcomes: {', '.join(map(str, tokens))}")


def _fee_bps(venue: Venue, answers: Sequence[bytes | None]) -> int:
    """Return the most that the fee takes of a notional, which is what is left of the cash after it."""
    part, whole = venue.fee_share(answers)
    return min(BPS, -(-part * BPS // (whole - part)) + 1)


def _price(decimals: Decimals, side: Side, exchanged: Exchanged | None) -> Price | None:
    """Return what a share costs, or brings, all included."""
    if exchanged is None:
        return None
    booked = decimals.booked(side, exchanged)
    cash = booked.notional + booked.fee if side is Side.BUY else booked.notional - booked.fee
    if not booked.shares or not cash:
        return None
    return cash.per(booked.shares, Rounding.UP if side is Side.BUY else Rounding.DOWN)
