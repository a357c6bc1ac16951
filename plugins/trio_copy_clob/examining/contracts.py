"""The contracts that hold money and shares, which have to let an exchange take them; how they are asked, and answer."""

from attrs import frozen

from trio_copy.model.ids import Address, ChainId
from trio_copy.native import keccak
from trio_copy_clob.orders.exchanges import AMOY, EXCHANGES, POLYGON, exchange_of
from trio_copy_clob.orders.words import address_word

_CASH = Address("0xc011a7e12a19f7b1f670d46f03b03f3342e82dfb")
_POSITION_MANAGER = Address("0x006f54f7f9a22e0000cc2ab60031000000ae9fef")
_CONDITIONAL_TOKENS = {
    POLYGON: Address("0x4d97dcd97ec945f40cf65f87097ace5ea0476045"),
    AMOY: Address("0x69308fb512518e39f9b16112fa8d994f4e2bf8bb"),
}
UNLIMITED = 1 << 128
"""An allowance from here on is meant to have no end, and few tokens lower it."""
_WORD = 32


@frozen(kw_only=True)
class Traded:
    """What trading at one exchange takes."""

    exchange: str
    contract: Address
    """The exchange: it takes cash to buy, and shares to sell."""
    cash: Address
    shares: Address
    """The ledger of the tokens that it trades."""


def traded_on(chain_id: ChainId) -> tuple[Traded, ...]:
    """Return the exchanges of a chain with their ledgers; none on a chain where there are none."""
    tokens = _CONDITIONAL_TOKENS.get(int(chain_id))
    if tokens is None:
        return ()
    return tuple(
        Traded(
            exchange=name,
            contract=exchange_of(name, chain_id).contract,
            cash=_CASH,
            shares=_POSITION_MANAGER if name == "v3" else tokens,
        )
        for name in EXCHANGES
    )


def asking(function: str, *words: bytes | Address) -> bytes:
    """Write a call: a function as its contract declares it, and its arguments, each a word."""
    arguments = (word if isinstance(word, bytes) else address_word(word) for word in words)
    return keccak(function.encode())[:4] + b"".join(arguments)


def number_in(answer: bytes | None) -> int | None:
    """Read a number of an answer; None where the contract refused, or none is there."""
    return int.from_bytes(answer) if answer is not None and len(answer) == _WORD else None


def address_in(answer: bytes | None) -> Address | None:
    """Read an address of an answer; None where the contract refused, or told something else."""
    number = number_in(answer)
    return None if number is None or number >> 160 else Address(f"0x{number:040x}")
