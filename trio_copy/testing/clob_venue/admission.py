"""Whether an order is taken: who sends it, for whom, for what, and whether he has it. In the order in which the venue looks."""

from attrs import define

from trio_copy.model.catalog import TokenFacts
from trio_copy.testing.clob_venue.api_keys import ApiKey
from trio_copy.testing.clob_venue.books import Offer, TradedVenue
from trio_copy.testing.clob_venue.faults import ClobFaults, Mode, Standing
from trio_copy.testing.clob_venue.matching import crosses, fee_of, match
from trio_copy.testing.clob_venue.placed import Placed
from trio_copy.testing.clob_venue.posted import Posted
from trio_copy.testing.clob_venue.refusals import (
    CANCEL_ONLY,
    CROSSES,
    DEPOSIT_WALLET_FLOW,
    DISABLED,
    NO_BOOK,
    NOT_OWNER,
    NOT_READY,
    NOT_SIGNER,
    POST_ONLY,
    Refused,
    invalid,
)
from trio_copy.testing.clob_venue.rules import check_order, check_purchase
from trio_copy.testing.clob_venue.signatures import EXCHANGES, contract_of, read_signature
from trio_copy.testing.clob_venue.wallets import VenueWallet, Wallets

_POST_ONLY_FOR_S = 60


def check_mode(mode: Mode, *, post_only: bool | None = None) -> None:
    """Refuse what the venue does not do at the moment; `post_only` is None for what is no new order."""
    match mode:
        case Mode.RESTARTING:
            raise Refused(425, NOT_READY)
        case Mode.DISABLED:
            raise Refused(503, DISABLED)
        case Mode.CANCEL_ONLY if post_only is not None:
            raise Refused(503, CANCEL_ONLY)
        case Mode.POST_ONLY if post_only is False:
            raise Refused(503, POST_ONLY, code="post_only_mode", retry_after_seconds=_POST_ONLY_FOR_S)
        case _:
            pass


def exchange_of(fact: TokenFacts) -> str:
    """Return the exchange that trades a token."""
    if fact.exchange == 3:
        return "v3"
    return "v2-neg-risk" if fact.neg_risk else "v2"


@define(eq=False, kw_only=True)
class Admission:
    venue: TradedVenue
    wallets: Wallets
    faults: ClobFaults
    chain_id: int

    def admit(self, order: Posted, key: ApiKey, known: dict[str, Placed], now_s: float) -> Placed:
        """Return an order as it is taken, or refuse it."""
        if order.owner != key.key:
            raise Refused(400, NOT_OWNER)
        wallet = self._wallet(order, key)
        self._check_standing(order, wallet)
        fact = self.venue.facts.get(order.token_id)
        if fact is None or fact.condition_id in self.venue.closed:
            raise Refused(404, NO_BOOK)
        exchange = exchange_of(fact)
        order_id = self._signed_id(order, key, exchange)
        if order_id in known:
            raise invalid(order_id, "Duplicated.")
        limit = check_order(order, order_id, fact, now_s)
        self._check_funds(order, wallet, fact, exchange)
        return Placed(
            order_id=order_id,
            posted=order,
            wallet=wallet,
            key=key,
            exchange=exchange,
            limit=limit,
            created_at=int(now_s),
        )

    def offers(self, order: Posted, wallet: VenueWallet, known: dict[str, Placed]) -> list[Offer]:
        """Return what an order meets; nobody trades with himself."""
        found = self.venue.offers(order.token_id, order.side)
        return [one for one in found if one.resting is None or known[one.resting.order_id].wallet is not wallet]

    def _wallet(self, order: Posted, key: ApiKey) -> VenueWallet:
        signs = order.maker if order.signature_type == 3 else key.address
        if order.signer.lower() != signs.lower():
            raise Refused(400, NOT_SIGNER)
        wallet = self.wallets.of_order(order.maker, key.address, order.signature_type)
        if wallet is None:
            raise Refused(400, NOT_SIGNER if order.signature_type == 3 else DEPOSIT_WALLET_FLOW)
        if not wallet.deployed:
            raise Refused(400, NOT_SIGNER)
        return wallet

    def _check_standing(self, order: Posted, wallet: VenueWallet) -> None:
        for standing in (wallet.standing, self.faults.standing):
            if standing is Standing.BANNED:
                raise Refused(400, f"'{wallet.address}' address banned")
            if standing is Standing.CLOSED_ONLY and order.buys:
                raise Refused(400, f"'{wallet.address}' address in closed only mode")
            if standing is Standing.DEPOSIT_ONLY and order.signature_type != 3:
                raise Refused(400, DEPOSIT_WALLET_FLOW)

    def _signed_id(self, order: Posted, key: ApiKey, exchange: str) -> str:
        order_id, signer = read_signature(order.fields, order.signature, exchange, self.chain_id)
        if signer == key.address:
            return order_id
        others = [name for name, (_, version) in EXCHANGES.items() if version != EXCHANGES[exchange][1]]
        read = (read_signature(order.fields, order.signature, name, self.chain_id) for name in others)
        if any(signer == key.address for _, signer in read):
            raise Refused(400, "order_version_mismatch")
        raise Refused(400, "invalid signature")

    def _check_funds(self, order: Posted, wallet: VenueWallet, fact: TokenFacts, exchange: str) -> None:
        offers = self.venue.offers(order.token_id, order.side)
        meets = bool(offers) and crosses(order, offers[0].price)
        if meets and order.post_only:
            raise Refused(400, CROSSES)
        contract = contract_of(exchange, self.chain_id)
        if order.buys:
            if meets or order.instant:
                check_purchase(order.cash)
            found = match(order, offers)
            fee = fee_of(found.shares, found.cash, fact.fee_rate, fact.fee_exponent)
            wallet.check(None, order.cash + fee, contract)
        else:
            wallet.check(order.token_id, order.shares, contract)
