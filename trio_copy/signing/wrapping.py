"""Which calls a wallet makes by a transaction of an operator: an account itself, a Safe, a proxy wallet. Pure."""

from collections.abc import Collection

from attrs import frozen

from trio_copy.model.ids import Address, ChainId
from trio_copy.model.orders import SignatureType
from trio_copy.signing.calldata import WORD, Arguments, address_of, expect, selector_of
from trio_copy.transactions.calls import Call
from trio_copy.transactions.transaction import Transaction

_SELECTOR = 4
_EXECUTE = selector_of("execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)")
_EXECUTE_WORDS = 10
_MULTISEND = selector_of("multiSend(bytes)")
_PROXY = selector_of("proxy((uint8,address,uint256,bytes)[])")
_CALL, _DELEGATE = 0, 1
_PROXY_CALL = 1
_APPROVED_BY_SENDER = 1
"""In place of a recovery: the owner whose address is r has sent the transaction himself."""
PROXY_FACTORIES = {
    ChainId(137): Address("0xab45c5a4b0c941a2f231c04c3f49182e1a254052"),
    ChainId(80002): Address("0xeca1c266193f03d28517a500007738adfb7754d8"),
}
"""Of proxy wallets; the wallet that obeys follows from who calls."""


@frozen(kw_only=True)
class Unwrapped:
    calls: tuple[Call, ...]
    """Of the wallet, in their order; all happen, or none."""
    mark: bytes = b""
    """The 32 bytes behind the operator's own call, where that is another one than the wallet's; or none."""


def unwrap(
    transaction: Transaction, sender: Address, maker: Address, kind: SignatureType, multisends: Collection[Address]
) -> Unwrapped:
    """Return what a wallet does by a transaction of a sender.

    Raises:
        ValueError: it does something else, could be understood in two ways, or a wallet of that kind does not act by transactions.
    """
    call = Call(to=transaction.to, data=transaction.data, value=transaction.value)
    match kind:
        case SignatureType.EOA:
            if sender != maker:
                raise ValueError(f"expected {maker} to send what it does itself, got {sender}")
            return Unwrapped(calls=(call,))
        case SignatureType.SAFE:
            if call.to != maker or call.value:
                raise ValueError(f"expected a call of the Safe {maker} without coin, got {call.value} wei to {call.to}")
            return _of_safe(call, sender, multisends)
        case SignatureType.PROXY:
            factory = PROXY_FACTORIES.get(transaction.chain_id)
            if call.to != factory:
                raise ValueError(f"expected a call of the proxy factory {factory}, got one of {call.to}")
            return _of_proxy(call)
        case _:
            raise ValueError("a deposit wallet, which acts through its relayer only")


def _of_safe(call: Call, sender: Address, multisends: Collection[Address]) -> Unwrapped:
    arguments = _arguments(call, _EXECUTE, "execTransaction")
    to, value, data_at, operation, *refund, signatures_at = arguments.words(_EXECUTE_WORDS)
    if any(refund):
        raise ValueError("expected a Safe that pays nobody back for gas")
    expect(data_at, _EXECUTE_WORDS * WORD, "place of the Safe's calldata")
    data, data_end = arguments.text(data_at)
    expect(signatures_at, data_end, "place of the signatures")
    signatures, end = arguments.text(data_end)
    if signatures != bytes.fromhex(sender[2:]).rjust(WORD, b"\0") + bytes(WORD) + bytes((_APPROVED_BY_SENDER,)):
        raise ValueError(f"expected {sender} to sign by sending it himself (v = 1)")
    inner = Call(to=address_of(to), data=data, value=value)
    if operation == _CALL:
        return Unwrapped(calls=(inner,), mark=arguments.rest(end))
    expect(operation, _DELEGATE, "operation")
    if inner.to not in multisends or value:
        raise ValueError(f"expected code of {' or '.join(multisends) or 'nobody'} to run in the Safe, got {inner.to}")
    return Unwrapped(calls=_of_multisend(inner), mark=arguments.rest(end))


def _of_multisend(call: Call) -> tuple[Call, ...]:
    arguments = _arguments(call, _MULTISEND, "multiSend")
    expect(arguments.word(0), WORD, "place of the calls")
    packed, end = arguments.text(WORD)
    if arguments.rest(end):
        raise ValueError("expected nothing behind the arguments of multiSend")
    calls, at = [], 0
    while at < len(packed):
        head = packed[at : at + 1 + 20 + 2 * WORD]
        if len(head) != 1 + 20 + 2 * WORD:
            raise ValueError("expected whole calls within multiSend")
        expect(head[0], _CALL, "operation within multiSend")
        length = int.from_bytes(head[21 + WORD :])
        at += len(head)
        data = packed[at : at + length]
        if len(data) != length:
            raise ValueError("expected whole calls within multiSend")
        at += length
        calls.append(Call(to=Address("0x" + head[1:21].hex()), data=data, value=int.from_bytes(head[21 : 21 + WORD])))
    return tuple(calls)


def _of_proxy(call: Call) -> Unwrapped:
    if call.value:
        raise ValueError("expected a proxy wallet's factory to be sent no coin")
    arguments = _arguments(call, _PROXY, "proxy")
    expect(arguments.word(0), WORD, "place of the calls")
    places, end = arguments.numbers(WORD)
    calls = []
    for place in places:
        expect(2 * WORD + place, end, "place of a call")
        kind, to, value, data_at = (arguments.word(end + index * WORD) for index in range(4))
        expect(kind, _PROXY_CALL, "kind of a call")
        expect(data_at, 4 * WORD, "place of a call's data")
        data, end = arguments.text(end + data_at)
        calls.append(Call(to=address_of(to), data=data, value=value))
    return Unwrapped(calls=tuple(calls), mark=arguments.rest(end))


def _arguments(call: Call, selector: bytes, name: str) -> Arguments:
    if call.data[:_SELECTOR] != selector:
        raise ValueError(f"expected a call of {name}, got 0x{call.data[:_SELECTOR].hex() or 'nothing'}")
    return Arguments(call.data[_SELECTOR:])
