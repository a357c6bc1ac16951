"""Calls that a relayer carries to the chain for a wallet: what the wallet's key signs in place of a transaction.

A relayer pays for the gas and chooses the moment; what happens is in what was signed. Of one nonce of a wallet one body at
most can happen, however many were signed.
"""

from collections.abc import Sequence

from attrs import frozen

from trio_copy.model.ids import ZERO_ADDRESS, Address, ChainId, Hash32
from trio_copy.model.orders import SignatureType
from trio_copy.native import keccak
from trio_copy.transactions.calls import Call

_WORD = 32
_CALL, _DELEGATE_CALL = 0, 1
_ORDINARY_CALL = 1
"""As the factory of proxy wallets counts."""
_SAFE_V = 4
"""A Safe takes a signature of a personal message by its last byte: 31 and 32 in place of 27 and 28."""
_PERSONAL = b"\x19Ethereum Signed Message:\n32"
_MULTI_SEND = keccak(b"multiSend(bytes)")[:4]
_PROXY = keccak(b"proxy((uint8,address,uint256,bytes)[])")[:4]
_SAFE_DOMAIN = keccak(b"EIP712Domain(uint256 chainId,address verifyingContract)")
_SAFE_TX = keccak(
    b"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,uint256 gasPrice,"
    b"address gasToken,address refundReceiver,uint256 nonce)"
)
_DEPOSIT_DOMAIN = keccak(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
_DEPOSIT_NAME, _DEPOSIT_VERSION = keccak(b"DepositWallet"), keccak(b"1")
_CALL_TYPE = b"Call(address target,uint256 value,bytes data)"
_BATCH = keccak(b"Batch(address wallet,uint256 nonce,uint256 deadline,Call[] calls)" + _CALL_TYPE)
_BATCH_CALL = keccak(_CALL_TYPE)
_MULTI_SEND_AT = Address("0xa238cbeb142c10ef7ad8442c6d1f9e89e07e7761")
_PROXY_FACTORY_AT = Address("0xab45c5a4b0c941a2f231c04c3f49182e1a254052")
_RELAY_HUB_AT = Address("0xd216153c06e857cd7f72665e0af1d7d82172f494")
_DEPOSIT_FACTORY_AT = Address("0x00000000000fb5c9adea0298d729a0cb3823cc07")


@frozen(kw_only=True)
class RelayContracts:
    """The contracts through which wallets are moved; by default those of Polymarket."""

    multi_send: Address = _MULTI_SEND_AT
    """Called by a Safe in its own name, so that several calls are one: whoever is written here can do anything to the Safe."""
    proxy_factory: Address = _PROXY_FACTORY_AT
    relay_hub: Address = _RELAY_HUB_AT
    """Counts the nonces of proxy wallets."""
    deposit_factory: Address = _DEPOSIT_FACTORY_AT


POLYMARKET = RelayContracts()


@frozen(kw_only=True)
class Outer:
    """The one call that stands for all of them in a request to a relayer."""

    to: Address
    data: bytes
    value: int = 0
    operation: int = _CALL
    """Of a Safe: 0 for a call, 1 for a call in the Safe's own name."""


@frozen(kw_only=True)
class Relayed:
    """What is signed; the kind of the wallet says how it is hashed. Numbers are below 2**256."""

    chain_id: ChainId
    wallet: Address
    kind: SignatureType
    """PROXY, SAFE or DEPOSIT."""
    calls: tuple[Call, ...]
    nonce: int
    """The wallet's, of a proxy wallet the hub's for its owner."""
    owner: Address = ZERO_ADDRESS
    """Whose key signs: it stands in what a proxy wallet's owner signs."""
    deadline: int = 0
    """Unix seconds; of a deposit wallet. What is signed for the others is good until its nonce is used."""
    relay: Address | None = None
    """Of a proxy wallet: who carries it; nobody else can."""
    gas_limit: int = 0
    """Of a proxy wallet; so are the price and the fee, in wei, which the relayer does without."""
    gas_price: int = 0
    fee: int = 0
    contracts: RelayContracts = POLYMARKET

    @property
    def digest(self) -> bytes:
        """Return the 32 bytes that are signed. Raises `ValueError` where the kind of wallet has nothing to be signed so."""
        statement = self.statement
        return statement if self.kind is SignatureType.DEPOSIT else keccak(_PERSONAL + statement)

    @property
    def statement(self) -> bytes:
        """Return the hash of what is to happen: of a Safe the one by which the Safe itself tells in its logs what it did.

        Raises:
            ValueError: as `digest`.
        """
        match self.kind:
            case SignatureType.SAFE:
                return self._of_safe()
            case SignatureType.PROXY:
                return self._of_proxy()
            case SignatureType.DEPOSIT:
                return self._of_deposit_wallet()
            case SignatureType.EOA:
                raise ValueError("expected a wallet that is a contract, got a key's own address")

    @property
    def outer(self) -> Outer:
        """Return what a request names as target and calldata. Raises `ValueError` where there is no call, or the wallet is none."""
        if not self.calls:
            raise ValueError("expected at least one call, got none")
        match self.kind:
            case SignatureType.SAFE if len(self.calls) == 1:
                (call,) = self.calls
                return Outer(to=call.to, data=call.data, value=call.value)
            case SignatureType.SAFE:
                return Outer(to=self.contracts.multi_send, data=multi_send(self.calls), operation=_DELEGATE_CALL)
            case SignatureType.PROXY:
                return Outer(to=self.contracts.proxy_factory, data=proxied(self.calls))
            case SignatureType.DEPOSIT:
                return Outer(to=self.contracts.deposit_factory, data=b"")
            case SignatureType.EOA:
                raise ValueError("expected a wallet that is a contract, got a key's own address")

    def written(self, signature: bytes) -> bytes:
        """Return a signature of the digest, 65 bytes that end with 27 or 28, as the wallet's contract takes it."""
        if self.kind is not SignatureType.SAFE:
            return signature
        return signature[:64] + bytes((signature[64] + _SAFE_V,))

    def _of_safe(self) -> bytes:
        outer, nothing = self.outer, bytes(_WORD)
        gas = nothing * 5  # gas, its price and who is paid for it: the relayer asks for nothing
        body = (_SAFE_TX, _left(outer.to), _word(outer.value), keccak(outer.data), _word(outer.operation), gas)
        domain = keccak(_SAFE_DOMAIN + _word(self.chain_id) + _left(self.wallet))
        return keccak(b"\x19\x01" + domain + keccak(b"".join((*body, _word(self.nonce)))))

    def _of_proxy(self) -> bytes:
        if self.relay is None or self.owner == ZERO_ADDRESS:
            raise ValueError("expected the owner of the proxy wallet, and who carries its calls")
        outer = self.outer
        numbers = (self.fee, self.gas_price, self.gas_limit, self.nonce)
        who = (self.owner, outer.to)
        parts = (
            *map(_bytes, who),
            outer.data,
            *map(_word, numbers),
            *map(_bytes, (self.contracts.relay_hub, self.relay)),
        )
        return keccak(b"rlx:" + b"".join(parts))

    def _of_deposit_wallet(self) -> bytes:
        if not self.calls or not self.deadline:
            raise ValueError("expected at least one call, and until when")
        calls = [keccak(_BATCH_CALL + _left(call.to) + _word(call.value) + keccak(call.data)) for call in self.calls]
        body = (_BATCH, _left(self.wallet), _word(self.nonce), _word(self.deadline), keccak(b"".join(calls)))
        domain = keccak(_DEPOSIT_DOMAIN + _DEPOSIT_NAME + _DEPOSIT_VERSION + _word(self.chain_id) + _left(self.wallet))
        return keccak(b"\x19\x01" + domain + keccak(b"".join(body)))


def hash_text(digest: bytes) -> Hash32:
    """Write 32 bytes as logs and journals do."""
    return Hash32("0x" + digest.hex())


def multi_send(calls: Sequence[Call]) -> bytes:
    """Return the calldata with which MultiSend makes several ordinary calls, all of them or none."""
    packed = b"".join(
        bytes((_CALL,)) + _bytes(call.to) + _word(call.value) + _word(len(call.data)) + call.data for call in calls
    )
    return _MULTI_SEND + _word(_WORD) + _tail(packed)


def proxied(calls: Sequence[Call]) -> bytes:
    """Return the calldata with which the factory of proxy wallets has the sender's wallet make calls."""
    members = [
        _word(_ORDINARY_CALL) + _left(call.to) + _word(call.value) + _word(4 * _WORD) + _tail(call.data)
        for call in calls
    ]
    at, offsets = len(members) * _WORD, []
    for member in members:
        offsets.append(_word(at))
        at += len(member)
    return _PROXY + _word(_WORD) + _word(len(members)) + b"".join((*offsets, *members))


def _tail(data: bytes) -> bytes:
    return _word(len(data)) + data + bytes(-len(data) % _WORD)


def _word(number: int) -> bytes:
    try:
        return number.to_bytes(_WORD)
    except OverflowError:
        raise ValueError(f"expected a number from 0, below 2**256, got {number}") from None


def _bytes(address: Address) -> bytes:
    return bytes.fromhex(address[2:])


def _left(address: Address) -> bytes:
    return _bytes(address).rjust(_WORD, b"\0")
