"""What a call of a contract does, as far as the guard knows contracts: what it does not know is never signed. Pure.

Read are approvals, splits, merges, redemptions, trades at a market maker and through a router, and money that is sent. Each of them is
read in the one layout that its contract's own encoder writes; see `calldata`.
"""

from collections.abc import Callable

from attrs import frozen

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address
from trio_copy.signing.calldata import WORD, Arguments, address_of, expect, selector_of, truth_of
from trio_copy.transactions.calls import Call

_SELECTOR = 4
_PIPS = 1_000_000


@frozen(kw_only=True)
class Approval:
    """Somebody may take so many units of a token (ERC-20), from now on and instead of what he might before."""

    token: Address
    spender: Address
    units: int


@frozen(kw_only=True)
class OperatorApproval:
    """Somebody may take all shares of a ledger (ERC-1155), or may no more."""

    ledger: Address
    operator: Address
    approved: bool


@frozen(kw_only=True)
class Split:
    """Collateral becomes shares of each outcome."""

    contract: Address
    collateral: Address | None
    """None where the contract knows only one."""
    units: int


@frozen(kw_only=True)
class Merge:
    """Shares of each outcome become collateral again."""

    contract: Address


@frozen(kw_only=True)
class Redemption:
    """Shares of a decided question become what they are worth."""

    contract: Address


@frozen(kw_only=True)
class MakerTrade:
    """A trade at a market maker whose shares have the decimals of its collateral. It names nobody: who calls, trades."""

    maker: Address
    side: Side
    cash: int
    """Units that a BUY spends, or that a SELL asks for."""
    shares: int
    """Units that a BUY brings at least, or that a SELL gives at most."""


@frozen(kw_only=True)
class RoutedTrade:
    """A token is exchanged for another at a pool of Uniswap's third version."""

    router: Address
    token_in: Address
    token_out: Address
    fee: int
    """Of the pool, in millionths of what is given."""
    recipient: Address
    given: int
    least: int
    """Units that have to come."""
    stop_at: int
    """The price at which the pool stops, 0 for any: the square root, times 2**96, of units of the second token for one of the first."""


@frozen(kw_only=True)
class Sent:
    """Money goes to somebody, and nothing comes for it."""

    token: Address | None
    """None for the chain's own coin."""
    to: Address
    units: int


Trade = MakerTrade | RoutedTrade
Effect = Approval | OperatorApproval | Split | Merge | Redemption | MakerTrade | RoutedTrade | Sent


def told(effect: Effect) -> str:
    """Say what a call does, in words for people."""
    match effect:
        case Approval():
            return f"an approval of {effect.units} units of {effect.token} for {effect.spender}"
        case OperatorApproval():
            return f"{'an' if effect.approved else 'the end of an'} approval of all of {effect.ledger} for {effect.operator}"
        case Split():
            return f"a split of {effect.units} units by {effect.contract}"
        case Merge():
            return f"a merge by {effect.contract}"
        case Redemption():
            return f"a redemption by {effect.contract}"
        case MakerTrade():
            return f"a {effect.side.value} of {effect.shares} units of shares for {effect.cash} of cash"
        case RoutedTrade():
            until = f", or a price of {effect.stop_at}" if effect.stop_at else ""
            return f"{effect.given} units of {effect.token_in} for {effect.least} of {effect.token_out} at least{until}"
        case Sent():
            return f"{effect.units} {'wei' if effect.token is None else f'units of {effect.token}'} for {effect.to}"


@frozen(kw_only=True)
class Read:
    """A call, and what it does."""

    effect: Effect
    bare: Call
    """Without the mark."""
    mark: bytes
    """The 32 bytes behind its arguments, or none."""


def read(call: Call) -> Read:
    """Read a call. Raises `ValueError` where the guard does not know what it does."""
    data = call.data
    if len(data) in (0, WORD):  # no function without arguments is known, so these can be nothing but a mark
        sent = Sent(token=None, to=call.to, units=call.value)
        return Read(effect=sent, bare=Call(to=call.to, value=call.value), mark=data)
    reader = _READERS.get(data[:_SELECTOR])
    if reader is None:
        raise ValueError(f"the function 0x{data[:_SELECTOR].hex()} of {call.to}, which the guard does not know")
    arguments = Arguments(data[_SELECTOR:])
    effect, end = reader(call.to, arguments)
    mark = arguments.rest(end)
    return Read(effect=effect, bare=Call(to=call.to, data=data[: _SELECTOR + end], value=call.value), mark=mark)


_Reader = Callable[[Address, Arguments], tuple[Effect, int]]
"""Returns what a call of a contract does, and where its arguments end."""


def _approve(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    spender, units = arguments.words(2)
    return Approval(token=to, spender=address_of(spender), units=units), 2 * WORD


def _approve_all(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    operator, approved = arguments.words(2)
    return OperatorApproval(ledger=to, operator=address_of(operator), approved=truth_of(approved)), 2 * WORD


def _transfer(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    receiver, units = arguments.words(2)
    return Sent(token=to, to=address_of(receiver), units=units), 2 * WORD


def _split(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    collateral, units, end = _positions(arguments)
    return Split(contract=to, collateral=collateral, units=units), end


def _merge(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    return Merge(contract=to), _positions(arguments)[2]


def _positions(arguments: Arguments) -> tuple[Address, int, int]:
    """Read (collateral, parent collection, condition, partition, units)."""
    collateral, parent, _, offset, units = arguments.words(5)
    expect(parent, 0, "parent collection")
    expect(offset, 5 * WORD, "place of the partition")
    _, end = arguments.numbers(offset)
    return address_of(collateral), units, end


def _redeem(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    collateral, parent, _, offset = arguments.words(4)
    address_of(collateral)
    expect(parent, 0, "parent collection")
    expect(offset, 4 * WORD, "place of the index sets")
    return Redemption(contract=to), arguments.numbers(offset)[1]


def _split_whole(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    condition, units = arguments.words(2)
    expect(condition & 0xFF, 0, "byte behind the condition")
    return Split(contract=to, collateral=None, units=units), 2 * WORD


def _merge_whole(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    expect(arguments.words(2)[0] & 0xFF, 0, "byte behind the condition")
    return Merge(contract=to), 2 * WORD


def _redeem_one(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    expect(arguments.words(3)[0] & 0xFF, 0, "byte behind the condition")
    return Redemption(contract=to), 3 * WORD


def _buy(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    cash, _, shares = arguments.words(3)
    return MakerTrade(maker=to, side=Side.BUY, cash=cash, shares=shares), 3 * WORD


def _sell(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    cash, _, shares = arguments.words(3)
    return MakerTrade(maker=to, side=Side.SELL, cash=cash, shares=shares), 3 * WORD


def _swap_until(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    head, tail = arguments.words(8)[:4], arguments.words(8)[5:]
    return _routed(to, head, tail), 8 * WORD


def _swap(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    words = arguments.words(7)
    return _routed(to, words[:4], words[4:]), 7 * WORD


def _routed(router: Address, head: list[int], tail: list[int]) -> RoutedTrade:
    token_in, token_out, fee, recipient = head
    given, least, stop_at = tail
    if fee >= _PIPS or stop_at >> 160:
        raise ValueError("expected a fee below a million, and a price of at most 160 bits")
    return RoutedTrade(
        router=router,
        token_in=address_of(token_in),
        token_out=address_of(token_out),
        fee=fee,
        recipient=address_of(recipient),
        given=given,
        least=least,
        stop_at=stop_at,
    )


def _multicall(to: Address, arguments: Arguments) -> tuple[Effect, int]:
    """Read (deadline, calls) of SwapRouter02: one trade, and nothing beside it."""
    _, *places = arguments.words(4)
    for word, wanted, what in zip(
        places, (2 * WORD, 1, WORD), ("place of calls", "calls", "place of the call"), strict=True
    ):
        expect(word, wanted, what)
    inner, end = arguments.text(4 * WORD)
    if inner[:_SELECTOR] != _SWAP:
        raise ValueError("expected one exactInputSingle within multicall")
    effect, read_to = _swap(to, Arguments(inner[_SELECTOR:]))
    expect(len(inner), _SELECTOR + read_to, "bytes of the call within multicall")
    return effect, end


_SWAP = selector_of("exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))")
_SWAP_UNTIL = selector_of("exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))")
_READERS: dict[bytes, _Reader] = {
    selector_of("approve(address,uint256)"): _approve,
    selector_of("setApprovalForAll(address,bool)"): _approve_all,
    selector_of("transfer(address,uint256)"): _transfer,
    selector_of("splitPosition(address,bytes32,bytes32,uint256[],uint256)"): _split,
    selector_of("mergePositions(address,bytes32,bytes32,uint256[],uint256)"): _merge,
    selector_of("redeemPositions(address,bytes32,bytes32,uint256[])"): _redeem,
    selector_of("split(bytes31,uint256)"): _split_whole,
    selector_of("merge(bytes31,uint256)"): _merge_whole,
    selector_of("redeem(bytes31,uint256,uint256)"): _redeem_one,
    selector_of("buy(uint256,uint256,uint256)"): _buy,
    selector_of("sell(uint256,uint256,uint256)"): _sell,
    _SWAP_UNTIL: _swap_until,
    _SWAP: _swap,
    selector_of("multicall(uint256,bytes[])"): _multicall,
}
