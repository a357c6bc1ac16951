"""What a follower of each wallet in a recording could have earned, by arithmetic alone: no engine, no settings, one stake.

Each entry of a wallet is copied with the same stake, and each exit sells the same part of what was copied. A copy comes
`latency_s` after the block: at the wallet's price made worse by `slippage_bps`, or at the first price of the token that the
recording knows within ten seconds from then on, whichever is worse for us. What the wallet had before is none of it.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence

from attrs import define, field, frozen

from trio_copy.chain.feed import SCAN, SeenLog
from trio_copy.engine.recordings.judge import Judge
from trio_copy.engine.recordings.recorded_lines import Moment, Told
from trio_copy.engine.recordings.standing import Standing
from trio_copy.errors import UndecodableLog
from trio_copy.model.fills import Fill, Role, Side
from trio_copy.model.ids import ZERO_ADDRESS, Address, ChainId, FollowerId, SignalId, TaskId, TokenId
from trio_copy.model.logs import LogName
from trio_copy.model.past_trades import PastTrade
from trio_copy.model.positions import EMPTY, LedgerEntry, Position
from trio_copy.model.signals import fill_signal_id
from trio_copy.model.units import BPS, NO_USD, ONE_USD_PER_SHARE, Price, Ratio, Rounding, Shares, Usd
from trio_copy.ports import Decoder

_NEXT_S = 10.0
"""A price that is later than this after a copy says nothing about it."""
_LOGS_KEPT = 50_000
_NOBODY, _NO_CHAIN = FollowerId(""), ChainId(0)
_Spot = tuple[Address, TokenId]


@frozen(kw_only=True)
class Costs:
    """What stands between a wallet's trade and its copy."""

    stake: Usd
    latency_s: float
    slippage_bps: int
    fee_bps: int


@frozen(kw_only=True)
class Ranked:
    """What is known about one wallet."""

    wallet: Address
    trades: int
    copied: Standing
    """What a follower had of it."""
    own: int
    """What the same stakes earned at the wallet's own prices, without costs: what a copy can never have. Millionths of a USD."""
    tokens: int
    largest_bps: int | None
    """The part of its turnover that was in one token."""
    maker_bps: int | None
    """The part of its turnover in which its order rested."""


@frozen
class _Wanted:
    """A copy that is not made yet."""

    fill: Fill
    due: float
    part: tuple[int, int]
    """Of an exit, what the wallet sold and what it held, in millionths."""


@define(eq=False)
class _Turnover:
    trades: int = 0
    micro: int = 0
    maker: int = 0
    by_token: dict[TokenId, int] = field(factory=dict)


@define(eq=False)
class Ranking:
    costs: Costs
    decoders: Mapping[str, Decoder]
    """By topic0."""
    judge: Judge
    """Of the copies."""
    ideal: Judge
    """Of the same at the wallets' own prices."""
    unreadable: int = 0
    """Logs that no decoder reads."""
    _seen: OrderedDict[LogName, None] = field(factory=OrderedDict)
    _turnovers: dict[Address, _Turnover] = field(factory=dict)
    _holds: dict[_Spot, int] = field(factory=dict)
    _wanted: dict[TokenId, deque[_Wanted]] = field(factory=dict)
    _copied: dict[_Spot, Position] = field(factory=dict)
    _own: dict[_Spot, Position] = field(factory=dict)
    _booked: int = 0
    _number: int = 0
    """Of a trade that no log tells of."""

    @classmethod
    def over(cls, start: float, end: float, costs: Costs, decoders: Iterable[Decoder]) -> "Ranking":
        """Make one for a recording that begins and ends at these Unix seconds."""
        by_topic = {topic: decoder for decoder in decoders for topic in decoder.topics}
        return cls(costs, by_topic, Judge.over(start, end), Judge.over(start, end))

    def take(self, moment: Moment) -> None:
        """Take the next moment of a recording. Only what a scan has found counts: that is on the chain."""
        seen = moment.seen
        if isinstance(seen, Told):
            for judge in (self.judge, self.ideal):
                judge.note_moment(moment)
            return
        if not isinstance(seen, SeenLog) or seen.source != SCAN or seen.log.removed or seen.log.name in self._seen:
            return
        self._seen[seen.log.name] = None
        if len(self._seen) > _LOGS_KEPT:
            self._seen.popitem(last=False)
        decoder = self.decoders.get(seen.log.topics[0]) if seen.log.topics else None
        try:
            fills = () if decoder is None else decoder.decode(seen.log)
        except UndecodableLog:
            self.unreadable += 1
            return
        self.judge.at = self.ideal.at = moment.at
        for fill in fills if isinstance(fills, tuple) else ():
            if fill.price is not None and fill.price.micro:
                self._trade(fill, fill.price, moment.at)

    def trade(self, trade: PastTrade) -> None:
        """Take a trade that a venue tells of; they come in the order of their times."""
        if trade.price:
            self._number += 1
            self.judge.at = self.ideal.at = trade.at
            self._trade(_fill_of(trade, self._number), trade.price, trade.at)

    def decide(self, token_id: TokenId, payout: Price) -> None:
        """Let what is held of a token be worth what it pays."""
        for judge in (self.judge, self.ideal):
            judge.decide(token_id, payout)

    def finish(self) -> Sequence[Ranked]:
        """Make the copies that are still wanted, and rank the wallets, the best first."""
        for wanted in [one for waiting in self._wanted.values() for one in waiting]:
            self._make(wanted, None)
        self._wanted.clear()
        ranked = [self._ranked(wallet, turnover) for wallet, turnover in self._turnovers.items()]
        return sorted(ranked, key=lambda one: (-one.copied.equity, one.wallet))

    def _ranked(self, wallet: Address, turnover: _Turnover) -> Ranked:
        whole = turnover.micro
        return Ranked(
            wallet=wallet,
            trades=turnover.trades,
            copied=self.judge.of(wallet),
            own=self.ideal.of(wallet).equity,
            tokens=len(turnover.by_token),
            largest_bps=max(turnover.by_token.values()) * BPS // whole if whole else None,
            maker_bps=turnover.maker * BPS // whole if whole else None,
        )

    def _trade(self, fill: Fill, price: Price, at: float) -> None:
        waiting = self._wanted.setdefault(fill.token_id, deque())
        while waiting and waiting[0].due <= at:
            wanted = waiting.popleft()
            self._make(wanted, price if at <= wanted.due + _NEXT_S else None)
        for judge in (self.judge, self.ideal):
            judge.on_fill(fill, fill_signal_id(fill), SCAN)
        turnover = self._turnovers.setdefault(fill.owner, _Turnover())
        paid = 0 if fill.notional is None else fill.notional.micro
        turnover.trades += 1
        turnover.micro += paid
        turnover.maker += paid if fill.role is Role.MAKER else 0
        turnover.by_token[fill.token_id] = turnover.by_token.get(fill.token_id, 0) + paid
        spot, shares = (fill.owner, fill.token_id), fill.shares.micro
        holds = self._holds.get(spot, 0)
        sold = min(shares, holds) if fill.side is Side.SELL else 0
        self._holds[spot] = holds - sold if fill.side is Side.SELL else holds + shares
        if fill.side is Side.BUY or sold:
            waiting.append(_Wanted(fill, at + self.costs.latency_s, (sold, holds)))

    def _make(self, wanted: _Wanted, later: Price | None) -> None:
        """Copy a trade, at our price and at the wallet's own."""
        fill, costs = wanted.fill, self.costs
        price = fill.price
        assert price is not None  # the others are not wanted
        if fill.side is Side.BUY:
            ours = price.raised_bps(costs.slippage_bps, Rounding.UP)
            ours = min(ours if later is None else max(ours, later), ONE_USD_PER_SHARE)
        else:
            ours = price.lowered_bps(costs.slippage_bps, Rounding.DOWN)
            ours = ours if later is None else min(ours, later)
        self._book(self.judge, self._copied, wanted, ours, costs.fee_bps)
        self._book(self.ideal, self._own, wanted, price, 0)

    def _book(
        self, judge: Judge, positions: dict[_Spot, Position], wanted: _Wanted, price: Price, fee_bps: int
    ) -> None:
        fill, spot = wanted.fill, (wanted.fill.owner, wanted.fill.token_id)
        before, buys = positions.get(spot, EMPTY), fill.side is Side.BUY
        if buys:
            shares = self.costs.stake.shares_at(price, Rounding.DOWN)
        else:
            sold, held = wanted.part
            shares = before.shares.part(Shares(sold), Shares(held), Rounding.UP)
        if not shares or not price:
            return
        self._booked += 1
        notional = shares.at(price, Rounding.UP if buys else Rounding.DOWN)
        entry = LedgerEntry(
            key=str(self._booked),
            task_id=TaskId(""),
            signal_id=SignalId(""),
            follower=_NOBODY,
            leader=fill.owner,
            token_id=fill.token_id,
            side=fill.side,
            shares=shares,
            notional=notional,
            fee=notional.scaled(Ratio(fee_bps * 100), Rounding.UP) if fee_bps else NO_USD,
            booked_at=wanted.due,
            reference=fill.price or price,
        )
        after = before.after(entry)
        positions[spot] = after
        bought, sold_for = (notional.micro, 0) if buys else (0, notional.micro)
        gained = after.realised.micro - before.realised.micro
        judge.on_entry(entry, (1, bought, sold_for, entry.fee.micro, gained, 0))
        judge.of(fill.owner).copies += 1


def _fill_of(trade: PastTrade, number: int) -> Fill:
    """Make a fill of what a venue tells; what only the chain knows has no part in a ranking."""
    role = Role.UNKNOWN if trade.maker is None else Role.MAKER if trade.maker else Role.TAKER
    return Fill(
        chain_id=_NO_CHAIN,
        exchange=ZERO_ADDRESS,
        owner=trade.wallet,
        counterparty=ZERO_ADDRESS,
        role=role,
        side=trade.side,
        token_id=trade.token_id,
        shares=trade.shares,
        notional=trade.shares.at(trade.price, Rounding.NEAREST),
        fee=NO_USD,
        order_hash=None,
        tx_hash=trade.tx_hash,
        log_index=number,
        nth=number,
        block_number=0,
        block_hash=trade.tx_hash,
        block_time=int(trade.at),
    )
