"""The digest of a statement that moves nothing: of a domain that names no contract, which no exchange takes for its own."""

from collections.abc import Mapping
from typing import NoReturn

from attrs import define, field, frozen

from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.orders import Wallet
from trio_copy.native import SecretKey, keccak
from trio_copy.ports.signing import Access, Purpose, Spending
from trio_copy.transactions.relayed import Relayed
from trio_copy.transactions.transaction import Transaction

_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId)")
_NO_ORDERS = Reason(code=Code.GUARD_REFUSED, control="wallet", value="an order", limit="who asks, and nothing else")


def digest_of(access: Access) -> bytes:
    """Return what is signed. Raises `ValueError` where the statement is no hash."""
    if len(access.statement) != 32:
        raise ValueError(f"expected a statement of 32 bytes, got a length of {len(access.statement)}")
    parts = (_DOMAIN, keccak(access.name.encode()), keccak(access.version.encode()), access.chain_id.to_bytes(32))
    return keccak(b"\x19\x01" + keccak(b"".join(parts)) + access.statement)


@define(eq=False, repr=False)
class AccessSigner:
    """Signs who asks, and no order whatever: for those who only look. See `ports.signing.Signer`."""

    _key: SecretKey

    @property
    def address(self) -> Address:
        return self._key.address

    @property
    def armed_at(self) -> float:
        return 0.0

    def sign(self, wanted: Spending, digest: bytes) -> Reason:
        return _NO_ORDERS

    def sign_access(self, access: Access) -> bytes | Reason:
        try:
            return self._key.sign(digest_of(access))
        except ValueError as error:
            return Reason(code=Code.GUARD_REFUSED, control="statement", value=str(error), limit="32 bytes")

    def sign_transaction(self, transaction: Transaction, purpose: Purpose) -> Reason:
        return _NO_ORDERS

    def sender_of(self, key: IntentKey) -> None:
        return None

    def sign_relayed(self, relayed: Relayed, purpose: Purpose) -> Reason:
        return _NO_ORDERS

    async def wait_counted(self) -> NoReturn:
        raise OrderNotSent(_NO_ORDERS.because, _NO_ORDERS)

    async def release(self, wanted: Spending, digest: bytes) -> NoReturn:
        raise OrderNotSent(_NO_ORDERS.because, _NO_ORDERS)


@frozen
class AccessSigners:
    """The signers of those wallets whose keys are at hand; see `ports.signing.Signers`."""

    keys: Mapping[str, SecretKey]
    """By the name of the wallet; of one with a fleet, the first operator's."""
    fleets: Mapping[str, tuple[SecretKey, ...]] = field(factory=dict)
    """Of wallets with a fleet, those of all its operators."""

    def of(self, wallet: Wallet) -> AccessSigner | None:
        key = self.keys.get(wallet.name)
        return None if key is None else AccessSigner(key)

    def operators(self, wallet: Wallet) -> tuple[AccessSigner, ...]:
        signer = self.of(wallet)
        if signer is None:
            return ()
        return tuple(map(AccessSigner, self.fleets.get(wallet.name, ()))) or (signer,)
