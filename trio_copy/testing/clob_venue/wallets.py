"""What wallets have: on the chain, by the venue's cache, and what orders and unsettled trades hold of it. Millionths."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import define, field

from trio_copy.model.ids import Address, TokenId
from trio_copy.testing.clob_venue.faults import Standing
from trio_copy.testing.clob_venue.refusals import Refused

UNLIMITED = 2**256 - 1
Asset = TokenId | None
"""Shares of a token, or None for cash."""


@define(eq=False, kw_only=True)
class VenueWallet:
    address: Address
    owner: Address
    """Whose key signs for it."""
    signature_type: int
    standing: Standing = Standing.OPEN
    deployed: bool = True
    """Whether there is code at its address, without which a wallet of type 3 cannot trade."""
    has: Counter[Asset] = field(factory=Counter)
    """On the chain."""
    allowed: dict[str, int] = field(factory=dict)
    """Cash that each contract may take."""
    approved: set[str] = field(factory=set)
    """Contracts that may take shares."""
    known: Counter[Asset] = field(factory=Counter)
    """What the venue believes that it has; so for the next two."""
    known_allowed: dict[str, int] = field(factory=dict)
    known_approved: set[str] = field(factory=set)
    held: Counter[Asset] = field(factory=Counter)
    """By orders that are open."""
    matched: Counter[Asset] = field(factory=Counter)
    """Given in trades that are not on the chain yet."""
    on_read: Callable[["VenueWallet"], None] = lambda wallet: None
    """Hears that the venue knows what it has."""

    def read_anew(self) -> None:
        """Let the venue know what it has; orders that it cannot pay any more end."""
        self.known = Counter(self.has)
        self.known_allowed = dict(self.allowed)
        self.known_approved = set(self.approved)
        self.on_read(self)

    def allowance(self, asset: Asset, contract: str) -> int:
        """Return what the venue believes that a contract may take."""
        if asset is None:
            return self.known_allowed.get(contract, 0)
        return UNLIMITED if contract in self.known_approved else 0

    def check(self, asset: Asset, amount: int, contract: str) -> None:
        """Refuse an order that would give more than there is, or than the contract may take."""
        allowance, active, matched = self.allowance(asset, contract), self.held[asset], self.matched[asset]
        sums = f"sum of active orders: {active}, sum of matched orders: {matched}, order amount (inc. fees): {amount}"
        text = "not enough balance / allowance"
        if self.known[asset] - active - matched < amount:
            raise Refused(400, f"{text}: the balance is not enough -> balance: {self.known[asset]}, {sums}")
        if allowance - active - matched < amount:
            told = f"spender: {contract}, allowance: {allowance}"
            raise Refused(400, f"{text}: the allowance is not enough -> {told}, {sums}")


@define(eq=False, kw_only=True)
class Wallets:
    contracts: Sequence[str]
    """The exchanges."""
    newcomers_have: int = 0
    """Cash of a wallet that nobody named before it asked for something, with every approval; 0 lets no such wallet in."""
    on_read: Callable[[VenueWallet], None] = lambda wallet: None
    """Hears whenever the venue looks what a wallet has."""
    _wallets: dict[Address, VenueWallet] = field(factory=dict)

    def __iter__(self) -> Iterator[VenueWallet]:
        return iter(list(self._wallets.values()))

    def put(
        self,
        address: str,
        *,
        owner: str | None = None,
        signature_type: int = 0,
        cash: int = 0,
        shares: Mapping[TokenId, int] | None = None,
        approved: bool = True,
    ) -> VenueWallet:
        """Name a wallet, whose owner is itself where nobody else is named; the venue knows what it has."""
        address = address.lower()
        wallet = VenueWallet(
            address=Address(address),
            owner=Address((owner or address).lower()),
            signature_type=signature_type,
            on_read=self.on_read,
        )
        wallet.has[None] = cash
        for token, amount in (shares or {}).items():
            wallet.has[token] = amount
        if approved:
            wallet.allowed = dict.fromkeys(self.contracts, UNLIMITED)
            wallet.approved = set(self.contracts)
        wallet.read_anew()
        self._wallets[wallet.address] = wallet
        return wallet

    def get(self, address: str) -> VenueWallet:
        """Return a wallet. Raises `KeyError` where there is none."""
        return self._wallets[Address(address.lower())]

    def of_order(self, maker: str, owner: Address, signature_type: int) -> VenueWallet | None:
        """Return the wallet that an order names, if its signer may name it so."""
        wallet = self._wallets.get(Address(maker.lower()))
        if wallet is None and self.newcomers_have and (signature_type or maker.lower() == owner):
            wallet = self.put(maker, owner=owner, signature_type=signature_type, cash=self.newcomers_have)
        if wallet is None or (wallet.owner, wallet.signature_type) != (owner, signature_type):
            return None
        return wallet

    def balance(self, owner: Address, signature_type: int, asset: Asset, *, anew: bool) -> dict[str, object]:
        """Write `/balance-allowance` of a signer's wallet of a type: nothing, where he has none."""
        wallet = next((one for one in self if (one.owner, one.signature_type) == (owner, signature_type)), None)
        if wallet is None:
            cash = self.newcomers_have if asset is None else 0
            allowed = UNLIMITED if self.newcomers_have else 0
            return {"balance": str(cash), "allowances": dict.fromkeys(self.contracts, str(allowed))}
        if anew:
            wallet.read_anew()
        allowances = {contract: str(wallet.allowance(asset, contract)) for contract in self.contracts}
        return {"balance": str(wallet.known[asset]), "allowances": allowances}
