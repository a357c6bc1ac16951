"""The addresses of the wallets that belong to a key: the venue's factories make them where CREATE2 says, once for each key.

A proxy and a Safe can trade nowhere else: the exchange itself derives their addresses from the signer's, and compares.
"""

from collections.abc import Mapping
from functools import lru_cache

from attrs import frozen

from trio_copy.model.ids import Address, ChainId
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.native import keccak
from trio_copy.ports import Finding, Health
from trio_copy_clob.orders.exchanges import POLYGON
from trio_copy_clob.orders.words import address_word, checksummed

_CHECK = "address"


@frozen
class _Factories:
    """Who makes wallets on a chain, and of which code."""

    proxy: str
    proxy_code_hash: str
    safe: str
    safe_code_hash: str
    deposit: str
    deposit_implementation: str
    deposit_beacon: str


_FACTORIES = {
    POLYGON: _Factories(
        proxy="ab45c5a4b0c941a2f231c04c3f49182e1a254052",
        proxy_code_hash="d21df8dc65880a8606f09fe0ce3df9b8869287ab0b058be05aa9e8af6330a00b",
        safe="aacfeea03eb1561c4e67d661e40682bd20e3541b",
        safe_code_hash="2bce2127ff07fb632d16c8347c4ebf501f4841168bed00d9e6ef715ddb6fcecf",
        deposit="00000000000fb5c9adea0298d729a0cb3823cc07",
        deposit_implementation="58ca52ebe0dadfdf531cde7062e76746de4db1eb",
        deposit_beacon="7a18edfe055488a3128f01f563e5b479d92ffc3a",
    )
}
# The code that makes a proxy of ERC-1967 with arguments, as solady's LibClone writes it: in front, how long the whole is.
_UUPS_LENGTH = 0x61003D3D8160233D3973
_UUPS_REST = bytes.fromhex(
    "60095155f3363d3d373d3d363d7f360894a13ba1a3210667c828492db98dca3e2076"
    "cc3735a920a3ca505d382bbc545af43d6000803e6038573d6000fd5b3d6000f3"
)
_BEACON_LENGTH = 0x6100523D8160233D3973
_BEACON_REST = bytes.fromhex(
    "60195155f3363d3d373d3d363d602036600436635c60da"
    "1b60e01b36527fa3f0ad74e5423aebfd80d3ef4346578335a9a72aeaee59ff6c"
    "b3582b35133d50545afa5036515af43d6000803e604d573d6000fd5b3d6000f3"
)
_KINDS = {
    SignatureType.EOA: "the account",
    SignatureType.PROXY: "the proxy",
    SignatureType.SAFE: "the Safe",
    SignatureType.DEPOSIT: "the deposit wallet",
}


@lru_cache(maxsize=1024)
def addresses_of(owner: Address, chain_id: ChainId) -> Mapping[SignatureType, tuple[Address, ...]]:
    """Return the addresses of a key's wallets by type; nothing on a chain whose factories nobody knows.

    Of deposit wallets there are two: those that take their code from a beacon, and older ones that name it.
    """
    made = _FACTORIES.get(int(chain_id))
    if made is None:
        return {}
    word = address_word(owner)
    # Each deposit wallet carries its factory and its owner along, as part of the code that makes it.
    told = bytes.fromhex(made.deposit).rjust(32, b"\0") + word
    beacon, uups = (
        (length + (len(told) << 56)).to_bytes(10) + bytes.fromhex(code) + rest + told
        for length, code, rest in (
            (_BEACON_LENGTH, made.deposit_beacon, _BEACON_REST),
            (_UUPS_LENGTH, made.deposit_implementation, _UUPS_REST),
        )
    )
    return {
        SignatureType.EOA: (owner,),
        SignatureType.PROXY: (_create2(made.proxy, keccak(word[12:]), bytes.fromhex(made.proxy_code_hash)),),
        SignatureType.SAFE: (_create2(made.safe, keccak(word), bytes.fromhex(made.safe_code_hash)),),
        SignatureType.DEPOSIT: tuple(_create2(made.deposit, keccak(told), keccak(code)) for code in (beacon, uups)),
    }


def examine_address(wallet: Wallet, owner: Address | None, chain_id: ChainId) -> Finding:
    """Say whether a wallet's address is that of a wallet of its key."""

    def found(health: Health, text: str, advice: str = "") -> Finding:
        return Finding(check=_CHECK, health=health, text=text, advice=advice, wallet=wallet.name)

    kind, address = _KINDS[wallet.signature_type], wallet.address
    if owner is None or address is None:
        return found(Health.UNKNOWN, "without its key nobody can tell what follows from it")
    derived = addresses_of(owner, chain_id) or {SignatureType.EOA: (owner,)}
    of_type = derived.get(wallet.signature_type)
    if of_type is None:
        return found(Health.UNKNOWN, f"on chain {chain_id} nobody knows who makes wallets; its owner says more")
    if address in of_type:
        return found(Health.GOOD, f"{kind} of its key")
    other = next((one for one, addresses in derived.items() if address in addresses), None)
    if other is not None:
        named = other.name.lower()
        return found(
            Health.BAD,
            f"not {kind} of its key, but {_KINDS[other]} of it",
            f'signature_type = "{named}" in [wallet.{wallet.name}]',
        )
    expected = " or ".join(map(checksummed, of_type))
    if wallet.signature_type is SignatureType.DEPOSIT:
        return found(
            Health.UNKNOWN, f"not {kind} that follows from its key, {expected}: its owner on the chain decides"
        )
    return found(
        Health.BAD,
        f"{checksummed(address)} is no wallet of the key of {checksummed(owner)}",
        f"address = {expected} in [wallet.{wallet.name}], or another signature_type, or the key of that address's owner",
    )


def _create2(factory: str, salt: bytes, code_hash: bytes) -> Address:
    return Address("0x" + keccak(b"\xff" + bytes.fromhex(factory) + salt + code_hash)[12:].hex())
