"""The exchanges that trade tokens. An order is bound to one of them: it is worth nothing at another, or on another chain."""

from functools import lru_cache

from attrs import frozen

from trio_copy.model.ids import Address, ChainId, parse_address
from trio_copy.native import keccak
from trio_copy_clob.orders.words import address_word, word

POLYGON, AMOY = 137, 80002
_V2 = "0xE111180000d2663C0091e4f400237545B87B996B"
_V2_NEG_RISK = "0xe2222d279d744050d28e00520010520000310F59"
_CONTRACTS = {
    (POLYGON, "v2"): _V2,
    (POLYGON, "v2-neg-risk"): _V2_NEG_RISK,
    (POLYGON, "v3"): "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa",
    (AMOY, "v2"): _V2,
    (AMOY, "v2-neg-risk"): _V2_NEG_RISK,
    (AMOY, "v3"): "0x9fE6e61422AdB6F610d8597F9684b16912D50C3D",
}
EXCHANGES = ("v2", "v2-neg-risk", "v3")
CHAINS = (POLYGON, AMOY)
DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
_NAME = b"Polymarket CTF Exchange"


@frozen(kw_only=True)
class Exchange:
    """One exchange on one chain."""

    name: str
    """As `Market.exchange` has it."""
    chain_id: ChainId
    contract: Address
    separator: bytes
    """The hash of its domain, which every digest of an order begins with."""


@lru_cache(maxsize=len(_CONTRACTS))
def exchange_of(name: str, chain_id: int = POLYGON) -> Exchange:
    """Return an exchange. Its separator is reckoned once.

    Raises:
        ValueError: there is none of this name on that chain.
    """
    written = _CONTRACTS.get((chain_id, name))
    if written is None:
        chains, names = " or ".join(map(str, CHAINS)), ", ".join(EXCHANGES)
        raise ValueError(f'expected one of {names} on chain {chains}, got "{name[:40]}" on {chain_id}')
    contract = parse_address(written)
    # The generation of the contracts, and not that of the API, which calls them all 2.
    version = b"3" if name == "v3" else b"2"
    domain = (keccak(DOMAIN_TYPE), keccak(_NAME), keccak(version), word(chain_id), address_word(contract))
    return Exchange(name=name, chain_id=ChainId(chain_id), contract=contract, separator=keccak(b"".join(domain)))
