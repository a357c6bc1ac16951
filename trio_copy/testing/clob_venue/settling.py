"""How trades become final, or do not: what was matched is on the chain when it is mined, and gone again when it fails."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from attrs import define, field, frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.testing.clob_venue.agenda import Agenda
from trio_copy.testing.clob_venue.faults import ClobFaults, Settles
from trio_copy.testing.clob_venue.record import Settled, VenueRecord
from trio_copy.testing.clob_venue.wallets import UNLIMITED, Asset, VenueWallet

FINAL = ("CONFIRMED", "FAILED")
_MINED, _CONFIRMED = "mined_after_s", "confirmed_after_s"
_STEPS: Mapping[Settles, Sequence[tuple[str, str]]] = {
    Settles.PROMPTLY: ((_MINED, "MINED"), (_CONFIRMED, "CONFIRMED")),
    Settles.NEVER: (),
    Settles.RETRIED: ((_MINED, "RETRYING"), (_MINED, "MINED"), (_CONFIRMED, "CONFIRMED")),
    Settles.FAILED: ((_MINED, "RETRYING"), (_MINED, "FAILED")),
    Settles.UNDONE: ((_MINED, "MINED"), (_CONFIRMED, "RETRYING"), (_MINED, "FAILED")),
}
"""How long after the step before each happens, by the name of the fault that says so."""


@frozen(kw_only=True)
class Leg:
    """What one wallet gives and gets in a trade, in millionths."""

    wallet: VenueWallet
    contract: str
    gives: Asset
    given: int
    gets: Asset
    got: int


@frozen(kw_only=True)
class Maker:
    """What one resting order did in a trade; `owner` and `wallet` are of somebody unknown where it is from outside."""

    order_id: str
    owner: str
    signer: Address | None
    wallet: str
    token_id: TokenId
    side: Side
    price: int
    shares: int


@define(eq=False, kw_only=True)
class Trade:
    trade_id: str
    taker_order_id: str
    taker_owner: str
    taker_signer: Address | None
    taker_wallet: str
    token_id: TokenId
    side: Side
    shares: int
    cash: int
    makers: Sequence[Maker]
    legs: Sequence[Leg]
    at: float
    """When it was matched, in Unix seconds, truly."""
    matched_at: float
    """The same by the venue's clock, as the next."""
    updated_at: float
    told_at: float = 0.0
    """Until then nobody is told of it, whatever becomes of it; in Unix seconds, truly."""
    status: str = "MATCHED"
    tx_hash: str = ""
    on_chain: bool = False

    @property
    def signers(self) -> set[Address]:
        """The venue's clients in it."""
        found = {self.taker_signer, *(maker.signer for maker in self.makers)}
        return {signer for signer in found if signer is not None}

    def shares_of(self, order_id: str) -> int:
        """Return what it took of an order, in millionths."""
        if order_id == self.taker_order_id:
            return self.shares
        return sum(maker.shares for maker in self.makers if maker.order_id == order_id)

    def role_of(self, signer: Address) -> str:
        """Return what somebody in it was: TAKER or MAKER."""
        return "TAKER" if signer == self.taker_signer else "MAKER"


@define(eq=False, kw_only=True)
class Settlement:
    agenda: Agenda
    faults: ClobFaults
    record: VenueRecord
    now: Callable[[], float]
    """Unix seconds, truly."""
    clock: Callable[[], float]
    """Unix seconds, as the venue believes."""
    on_trade: list[Callable[[Trade], None]] = field(factory=list)
    """Hears of each trade, and of each of its steps."""
    trades: dict[str, Trade] = field(factory=dict)
    _of_signers: dict[Address, list[Trade]] = field(factory=dict)

    def trades_of(self, signer: Address) -> Sequence[Trade]:
        """Return the trades that somebody is in, the oldest first."""
        return self._of_signers.get(signer, ())

    def begin(self, trade: Trade) -> None:
        """Take a trade that was just matched; how it goes on is what the faults say at this moment."""
        self.trades[trade.trade_id] = trade
        for signer in trade.signers:
            self._of_signers.setdefault(signer, []).append(trade)
        for leg in trade.legs:
            leg.wallet.matched[leg.gives] += leg.given
        self._tell(trade)
        if trade.told_at > self.now():
            self.agenda.after(trade.told_at - self.now(), lambda: self._let_hear(trade))
        self._go_on(trade, list(_STEPS[self.faults.settles]))

    def advance(self, trade_id: str, status: str) -> None:
        """Let a trade have a status now; one that is final keeps its own."""
        trade = self.trades[trade_id]
        if trade.status in FINAL:
            return
        trade.status, trade.updated_at = status, self.clock()
        if status in ("MINED", "CONFIRMED"):
            trade.tx_hash = trade.tx_hash or "0x" + sha256(trade.trade_id.encode()).hexdigest()
            self._put_on_chain(trade)
        elif status in ("RETRYING", "FAILED"):
            trade.tx_hash = ""
            self._take_off_chain(trade)
        if status == "FAILED":
            for leg in trade.legs:
                leg.wallet.matched[leg.gives] -= leg.given
        self._tell(trade)

    def _go_on(self, trade: Trade, steps: list[tuple[str, str]]) -> None:
        if not steps:
            return
        (name, status), later = steps[0], steps[1:]

        def step() -> None:
            self.advance(trade.trade_id, status)
            self._go_on(trade, later)

        self.agenda.after(getattr(self.faults, name), step)

    def _put_on_chain(self, trade: Trade) -> None:
        if not trade.on_chain:
            trade.on_chain = True
            for leg in trade.legs:
                leg.wallet.matched[leg.gives] -= leg.given
                self._move(leg, 1)

    def _take_off_chain(self, trade: Trade) -> None:
        if trade.on_chain:
            trade.on_chain = False
            for leg in trade.legs:
                leg.wallet.matched[leg.gives] += leg.given
                self._move(leg, -1)

    def _move(self, leg: Leg, sign: int) -> None:
        wallet = leg.wallet
        wallet.has[leg.gives] -= sign * leg.given
        wallet.has[leg.gets] += sign * leg.got
        if leg.gives is None and wallet.allowed.get(leg.contract, 0) != UNLIMITED:
            wallet.allowed[leg.contract] = wallet.allowed.get(leg.contract, 0) - sign * leg.given
        if not self.faults.stale_cache:
            wallet.read_anew()

    def _tell(self, trade: Trade) -> None:
        self.record.add(Settled(at_ms=int(self.now() * 1000), trade_id=trade.trade_id, status=trade.status))
        if trade.told_at <= self.now():
            self._let_hear(trade)

    def _let_hear(self, trade: Trade) -> None:
        for hear in self.on_trade:
            hear(trade)
