"""The venue itself, apart from any network: one state, whichever of its services is asked."""

from collections.abc import Callable, Mapping

import msgspec
from attrs import define, evolve, field

from trio_copy.model.ids import TokenId
from trio_copy.model.units import MICRO, Price, decimal_string
from trio_copy.testing.clob_venue.admission import Admission
from trio_copy.testing.clob_venue.agenda import Agenda
from trio_copy.testing.clob_venue.api_keys import ApiKey, ApiKeys
from trio_copy.testing.clob_venue.booking import Booking
from trio_copy.testing.clob_venue.books import TradedVenue
from trio_copy.testing.clob_venue.faults import ClobFaults, Mode
from trio_copy.testing.clob_venue.heartbeats import Heartbeats
from trio_copy.testing.clob_venue.limits import RateLimits
from trio_copy.testing.clob_venue.orders import Orders
from trio_copy.testing.clob_venue.record import VenueRecord
from trio_copy.testing.clob_venue.settling import Settlement, Trade
from trio_copy.testing.clob_venue.signatures import EXCHANGES, contract_of
from trio_copy.testing.clob_venue.trading import Trading
from trio_copy.testing.clob_venue.wallets import VenueWallet, Wallets

POLYGON = 137
_RESTART_S, _POST_ONLY_S = 90, 120


@define(eq=False, kw_only=True)
class ClobVenue:
    now: Callable[[], float]
    """Unix seconds, truly; the venue's own clock is off by a fault."""
    faults: ClobFaults = field(factory=ClobFaults)
    record: VenueRecord = field(factory=VenueRecord)
    chain_id: int = POLYGON
    market: TradedVenue = field(init=False)
    """Facts, books and decisions: `put`, `set_quote`, `follow`, `decide`."""
    agenda: Agenda = field(factory=Agenda)
    orders: Orders = field(init=False)
    wallets: Wallets = field(init=False)
    keys: ApiKeys = field(init=False)
    limits: RateLimits = field(init=False)
    settlement: Settlement = field(init=False)
    trading: Trading = field(init=False)
    heartbeats: Heartbeats = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.market = TradedVenue(self.now)
        self.orders = Orders(venue=self.market, record=self.record, now=self.now)
        contracts = [contract_of(name, self.chain_id) for name in EXCHANGES]
        self.wallets = Wallets(contracts=contracts, on_read=self.orders.cover)
        self.keys = ApiKeys(self.clock, self.chain_id)
        self.limits = RateLimits(self.faults)
        self.settlement = Settlement(
            agenda=self.agenda, faults=self.faults, record=self.record, now=self.now, clock=self.clock
        )
        self.trading = Trading(
            venue=self.market,
            orders=self.orders,
            admission=Admission(venue=self.market, wallets=self.wallets, faults=self.faults, chain_id=self.chain_id),
            booking=Booking(
                venue=self.market,
                orders=self.orders,
                settlement=self.settlement,
                record=self.record,
                chain_id=self.chain_id,
                clock=self.clock,
            ),
            agenda=self.agenda,
            faults=self.faults,
            record=self.record,
            now=self.clock,
        )
        self.heartbeats = Heartbeats(agenda=self.agenda, on_late=self.cancel_all)

    def clock(self) -> float:
        """Return Unix seconds, as the venue believes."""
        return self.now() + self.faults.clock_off_s

    def put_wallet(
        self,
        address: str,
        *,
        owner: str | None = None,
        signature_type: int = 0,
        usd: int = 0,
        shares: Mapping[TokenId, int] | None = None,
        approved: bool = True,
    ) -> VenueWallet:
        """Name a wallet with so many whole dollars, and whole shares, and every approval or none."""
        return self.wallets.put(
            address,
            owner=owner,
            signature_type=signature_type,
            cash=usd * MICRO,
            shares={token: count * MICRO for token, count in (shares or {}).items()},
            approved=approved,
        )

    def trade_against(self, order_id: str, shares: int | None = None, *, by_opposite: bool = False) -> Trade:
        """Let somebody outside take millionths of shares of a resting order; see `Trading.trade_against`."""
        return self.trading.trade_against(order_id, shares, by_opposite=by_opposite)

    def change_tick(self, condition_id: str, tick: Price) -> str:
        """Let prices of a question be multiples of something else, and return the event that tells of it."""
        rows = []
        for token in self.market.questions[condition_id]:
            before = self.market.facts[token]
            self.market.facts[token] = evolve(before, tick=tick)
            rows.append(
                {
                    "event_type": "tick_size_change",
                    "market": condition_id,
                    "asset_id": str(token),
                    "old_tick_size": str(before.tick),
                    "new_tick_size": decimal_string(tick.micro),
                    "timestamp": str(int(self.clock() * 1000)),
                }
            )
        return msgspec.json.encode(rows).decode()

    def restart(self, for_s: float = _RESTART_S, post_only_s: float = _POST_ONLY_S) -> None:
        """Be away for orders for a while, then take only what rests for another, then be open again."""
        self.faults.mode = Mode.RESTARTING

        def reopen() -> None:
            self.faults.mode = Mode.POST_ONLY
            self.agenda.after(post_only_s, open_again)

        def open_again() -> None:
            self.faults.mode = Mode.OPEN

        self.agenda.after(for_s, reopen)

    def cancel_all(self, key: ApiKey) -> dict[str, object]:
        """Cancel whatever a client has open."""
        return self.trading.cancel(key, [one.order_id for one in self.orders.open_of(key.address)])
