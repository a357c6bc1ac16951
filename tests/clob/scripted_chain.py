"""The contracts that a doctor asks, as far as he asks them: written apart from the code that asks, selectors and all."""

from attrs import define, field, frozen

from trio_copy.errors import ConnectionLost
from trio_copy.native import keccak, signer_of

CASH = "0xc011a7e12a19f7b1f670d46f03b03f3342e82dfb"
TOKENS = "0x4d97dcd97ec945f40cf65f87097ace5ea0476045"
POSITIONS = "0x006f54f7f9a22e0000cc2ab60031000000ae9fef"
V2, NEG_RISK, V3 = (
    "0xe111180000d2663c0091e4f400237545b87b996b",
    "0xe2222d279d744050d28e00520010520000310f59",
    "0xe3333700ca9d93003f00f0f71f8515005f6c00aa",
)
USD = 1_000_000
UNLIMITED = 2**256 - 1
_YES, _NO = (1).to_bytes(32), bytes(32)


@frozen
class Deployed:
    """A wallet's contract."""

    owner: str
    tells: bool = True
    """Whether it says whose it is."""
    judges: bool = True
    """Whether it takes its owner's signature."""


@define(eq=False)
class ScriptedChain:
    """State, and the answers that follow from it. Addresses are lower case."""

    cash: dict[str, int] = field(factory=dict)
    allowed: dict[tuple[str, str], int] = field(factory=dict)
    """Of pUSD, by owner and spender."""
    approved: set[tuple[str, str, str]] = field(factory=set)
    """By ledger, owner and operator."""
    wallets: dict[str, Deployed] = field(factory=dict)
    known: set[str] = field(factory=lambda: {CASH, TOKENS, POSITIONS})
    """The ledgers that are there."""
    away: bool = False
    asked: int = 0

    def approve(self, owner: str, amount: int = 500 * USD) -> None:
        """Let every exchange take what it has to."""
        for spender in (V2, NEG_RISK, V3):
            self.allowed[owner, spender] = amount
            self.approved.add((POSITIONS if spender == V3 else TOKENS, owner, spender))

    async def code(self, address: str) -> bytes:
        self._ask()
        return self.code_at(address)

    async def call(self, to: str, data: bytes) -> bytes | None:
        self._ask()
        return self.answer(to, data)

    def _ask(self) -> None:
        self.asked += 1
        if self.away:
            raise ConnectionLost("no node can be asked")

    def code_at(self, address: str) -> bytes:
        return b"\x60\x80" if address in self.wallets or address in self.known else b""

    def answer(self, to: str, data: bytes) -> bytes | None:
        if not self.code_at(to):
            return b""
        selector, rest = data[:4].hex(), data[4:]
        words = [rest[at : at + 32] for at in range(0, len(rest), 32)]
        names = [f"0x{word[12:].hex()}" for word in words]
        match selector, self.wallets.get(to):
            case "70a08231", None:
                return self.cash.get(names[0], 0).to_bytes(32)
            case "dd62ed3e", None:
                return self.allowed.get((names[0], names[1]), 0).to_bytes(32)
            case "e985e9c5", None:
                return _YES if (to, names[0], names[1]) in self.approved else _NO
            case "2f54bf6e", Deployed() as wallet if wallet.tells:
                return _YES if wallet.owner == names[0] else _NO
            case "8da5cb5b", Deployed() as wallet if wallet.tells:
                return bytes.fromhex(wallet.owner[2:]).rjust(32, b"\0")
            case "1626ba7e", Deployed() as wallet:
                length = int.from_bytes(words[2])
                good = wallet.judges and _takes(wallet.owner, to, words[0], rest[96 : 96 + length])
                return bytes.fromhex("1626ba7e" if good else "ffffffff").ljust(32, b"\0")
            case _:
                return None


def _takes(owner: str, wallet: str, digest: bytes, signature: bytes) -> bool:
    """Judge a nested signature as ERC-7739 tells it, of whatever content."""
    length = int.from_bytes(signature[-2:])
    kind = signature[-2 - length : -2]
    inner, domain, contents = signature[:65], signature[65:97], signature[97:129]
    name = kind.partition(b"(")[0]
    envelope = b"TypedDataSign(" + name + b" contents,string name,string version,uint256 chainId,"
    envelope += b"address verifyingContract,bytes32 salt)" + kind
    words = [keccak(envelope), contents, keccak(b"DepositWallet"), keccak(b"1"), (137).to_bytes(32)]
    struct = keccak(b"".join([*words, bytes.fromhex(wallet[2:]).rjust(32, b"\0"), bytes(32)]))
    whole = keccak(b"\x19\x01" + domain + contents) == digest and len(signature) == 129 + length + 2
    return whole and signer_of(keccak(b"\x19\x01" + domain + struct), inner) == owner
