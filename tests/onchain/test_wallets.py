"""How wallets act, byte by byte: written as the contracts read it, and nothing else is read back."""

import json

import msgspec
import pytest
from eth_abi.abi import encode
from hypothesis import given
from hypothesis import strategies as st

from trio_copy.errors import ConnectionLost, RpcError
from trio_copy.model.ids import ZERO_ADDRESS, Address, FollowerId, IntentKey
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.transactions.calls import Call
from trio_copy_onchain.tx.answers import Before, Estimate
from trio_copy_onchain.wallets import multisend
from trio_copy_onchain.wallets.eoa import Eoa
from trio_copy_onchain.wallets.kinds import CONTRACTS, moved_by, of_wallet
from trio_copy_onchain.wallets.probing import probe, read_probe
from trio_copy_onchain.wallets.proxy import Proxy
from trio_copy_onchain.wallets.safe import Safe
from trio_copy_onchain.wallets.seam import WalletKind, key_of
from trio_copy_onchain.wallets.tracing import failed_call

KEY = IntentKey("5c" * 32)
OWNER = Address("0x1a642f0e3c3af545e7acbd38b07251b3990914f1")
PROXY_OF_OWNER = Address("0xc3ee34e6622e0c07ceba420e60e5218b599afd97")
"""As polymarket-client 0.14.0 derives it."""
SAFE, OTHER = Address("0x" + "5a" * 20), Address("0x" + "07" * 20)
ADDRESSES = st.binary(min_size=20, max_size=20).map(lambda raw: Address("0x" + raw.hex())).filter(lambda a: a != SAFE)
CALLS = st.lists(
    st.builds(Call, to=ADDRESSES, data=st.binary(max_size=100), value=st.integers(0, 2**256 - 1)),
    min_size=1,
    max_size=4,
)


def wallet(address: Address | None, kind: SignatureType = SignatureType.EOA) -> Wallet:
    return Wallet(follower=FollowerId("ann"), address=address, name="main", signature_type=kind)


def kind_of(address: Address, kind: SignatureType) -> WalletKind:
    return of_wallet(wallet(address, kind))


KINDS = (kind_of(SAFE, SignatureType.SAFE), kind_of(PROXY_OF_OWNER, SignatureType.PROXY))


@given(CALLS)
def test_calls_are_written_as_contracts_read_them(calls: list[Call]) -> None:
    """By the general encoder of the ABI, which knows nothing of these wallets."""
    safe, proxy = KINDS
    assert isinstance(safe, Safe)
    packed = b"".join(
        b"\0" + bytes.fromhex(call.to[2:]) + encode(["uint256", "uint256"], [call.value, len(call.data)]) + call.data
        for call in calls
    )
    together = bytes.fromhex("8d80ff0a") + encode(["bytes"], [packed])
    to, value, data = (
        (calls[0].to, calls[0].value, calls[0].data) if len(calls) == 1 else (safe.multi_send, 0, together)
    )
    types = ["address", "uint256", "bytes", "uint8", *["uint256"] * 3, *["address"] * 2, "bytes"]
    by_owner = bytes(12) + bytes.fromhex(OWNER[2:]) + bytes(32) + b"\1"
    rest = [int(len(calls) > 1), 0, 0, 0, ZERO_ADDRESS, ZERO_ADDRESS, by_owner]
    expected = bytes.fromhex("6a761202") + encode(types, [to, value, data, *rest])
    assert safe.outer(calls, OWNER) == Call(to=SAFE, data=expected)
    members = [(1, call.to, call.value, call.data) for call in calls]
    expected = bytes.fromhex("34ee9791") + encode(["(uint8,address,uint256,bytes)[]"], [members])
    assert proxy.outer(calls, OWNER) == Call(to=CONTRACTS.proxy_factory, data=expected)


@given(CALLS, st.data())
def test_what_was_written_is_read_back_and_nothing_that_differs_in_a_byte(
    calls: list[Call], data: st.DataObject
) -> None:
    for kind in KINDS:
        outer = kind.outer(calls, OWNER, KEY)
        assert outer.data[-32:] == bytes.fromhex(KEY)
        assert key_of(outer) == KEY
        assert kind.inner(outer) == tuple(calls)
        assert kind.inner(kind.outer(calls, OWNER), marked=False) == tuple(calls)
        at = data.draw(st.integers(0, len(outer.data) - 33))
        other = bytes((outer.data[at] ^ data.draw(st.integers(1, 255)),))
        changed = Call(to=outer.to, data=outer.data[:at] + other + outer.data[at + 1 :])
        try:
            read = kind.inner(changed)
        except ValueError:
            continue
        # Another call, or another owner: it is what would be written for that.
        assert read != tuple(calls) or isinstance(kind, Safe)
    with pytest.raises(ValueError, match="plain calls by MultiSend"):
        multisend.read(multisend.written(calls)[:-1])


@given(st.binary(max_size=700))
def test_what_is_foreign_is_refused_and_nothing_else_happens(data: bytes) -> None:
    for kind in KINDS:
        for to in (kind.address, CONTRACTS.proxy_factory):
            for selector in (b"", bytes.fromhex("6a761202"), bytes.fromhex("34ee9791")):
                with pytest.raises(ValueError, match="expected"):
                    kind.inner(Call(to=to, data=selector + data))


def test_foreign_code_is_never_read_as_a_call() -> None:
    """A MultiSend, or a proxy wallet, could run it as the wallet's own; a Safe too, if it is not MultiSend's."""
    safe, proxy = KINDS
    call = Call(to=OTHER, data=b"\1\2\3\4")
    packed = multisend.written([call, call])
    delegated = packed[:68] + b"\1" + packed[69:]
    with pytest.raises(ValueError, match="plain calls by MultiSend"):
        multisend.read(delegated)
    outer = safe.outer([call], OWNER)
    operation = 4 + 3 * 32 + 31
    with pytest.raises(ValueError, match="expected"):
        safe.inner(Call(to=SAFE, data=outer.data[:operation] + b"\1" + outer.data[operation + 1 :]), marked=False)
    outer = proxy.outer([call], OWNER)
    code = 4 + 3 * 32 + 31
    assert outer.data[code] == 1
    with pytest.raises(ValueError, match="plain calls by the factory"):
        proxy.inner(Call(to=outer.to, data=outer.data[:code] + b"\2" + outer.data[code + 1 :]), marked=False)


def test_a_key_acts_for_its_own_address_alone_and_makes_one_call() -> None:
    eoa, call = of_wallet(wallet(OWNER)), Call(to=OTHER, data=b"\1", value=5)
    assert isinstance(eoa, Eoa)
    assert eoa.outer([call], OWNER, KEY) == call.marked(KEY)
    assert eoa.inner(call.marked(KEY)) == (call,)
    assert eoa.inner(call, marked=False) == (call,)
    assert (eoa.reads(), eoa.check((), [OWNER]), eoa.gas_around([call])) == ((), (), 0)
    assert eoa.check((), [OWNER, OTHER]) == (f"operator: expected the wallet's own key of {OWNER}, got {OTHER}",)
    with pytest.raises(ValueError, match=f"operator: expected the wallet's own key of {OWNER}, got {OTHER}"):
        eoa.outer([call], OTHER)
    with pytest.raises(ValueError, match="expected one call of a wallet that is no contract, got 2"):
        eoa.outer([call, call], OWNER)
    with pytest.raises(ValueError, match="expected a key of 32 bytes, got calldata of 1"):
        key_of(call)


@pytest.mark.parametrize(
    ("address", "kind"), [(SAFE, SignatureType.SAFE), (PROXY_OF_OWNER, SignatureType.PROXY), (OWNER, SignatureType.EOA)]
)
def test_whom_a_transaction_moves_is_read_from_its_call(address: Address, kind: SignatureType) -> None:
    outer = kind_of(address, kind).outer([Call(to=OTHER, data=b"\1")], OWNER, KEY)
    assert moved_by(OWNER, outer.to, outer.data) == address


def test_what_calls_no_wallet_moves_the_operator_alone() -> None:
    """What fills a nonce; and a factory that is called for something else, or by the name of its function elsewhere."""
    written = KINDS[1].outer([Call(to=OTHER)], OWNER).data
    for to, data in ((OWNER, b""), (CONTRACTS.proxy_factory, b"\1\2\3\4"), (OTHER, written)):
        assert moved_by(OWNER, to, data) == OWNER


def test_a_proxy_wallet_is_its_owners_alone() -> None:
    """The factory would have another operator's own wallet make the calls."""
    _, proxy = KINDS
    assert isinstance(proxy, Proxy)
    assert (proxy.reads(), proxy.check((), [OWNER])) == ((), ())
    ((found),) = proxy.check((), [OTHER, OWNER])
    assert found.startswith(f"operator {OTHER}: expected the owner of the proxy wallet {PROXY_OF_OWNER}, but his is 0x")
    with pytest.raises(ValueError, match="expected the owner of the proxy wallet"):
        proxy.outer([Call(to=OTHER)], OTHER)
    assert proxy.gas_around([Call(to=OTHER)]) > 100_000


def test_a_wallet_makes_some_calls_and_a_safe_none_to_itself() -> None:
    for kind in KINDS:
        with pytest.raises(ValueError, match="expected a call at least"):
            kind.outer([], OWNER)
    with pytest.raises(ValueError, match="to itself"):
        KINDS[0].outer([Call(to=OTHER), Call(to=SAFE)], OWNER)


def test_wallets_that_cannot_send_say_so() -> None:
    with pytest.raises(ValueError, match="wallet main: expected an address, got one on paper"):
        of_wallet(wallet(None))
    with pytest.raises(ValueError, match="wallet main: a deposit wallet acts by its relayer alone"):
        kind_of(OTHER, SignatureType.DEPOSIT)


def test_what_a_safe_says_of_itself_is_bounded() -> None:
    safe = KINDS[0]
    assert isinstance(safe, Safe)
    owners, one = encode(["address[]"], [[OWNER]]), encode(["uint256"], [1])
    no_guard, taken = encode(["bytes"], [bytes(32)]), bytes.fromhex("f23a6e61") + bytes(28)
    assert safe.check((owners, one, no_guard, taken), [OWNER]) == ()
    for told in (b"", bytes(32), taken + bytes(32)):
        ((found),) = safe.check((owners, one, no_guard, told), [OWNER])
        assert found == f"fallback handler of the Safe {SAFE}: expected one that takes shares of an ERC-1155"
    for answers in (
        (b"", one, no_guard),
        (encode(["address[]"], [[]]), one, no_guard),
        (encode(["uint256[]"], [[1 << 200]]), one, no_guard),
        (encode(["uint256", "uint256"], [32, 10**30]), one, no_guard),
        (owners, b"", no_guard),
        (owners, one, b""),
        (owners, one, encode(["bytes"], [bytes(64)])[:96]),
    ):
        with pytest.raises(ValueError, match="expected"):
            safe.check((*answers, taken), [OWNER])


HIDDEN = Estimate(before=Before.REJECTED, words="GS013")


def test_a_probe_that_tells_nothing_leaves_what_the_wallet_said() -> None:
    """A node that takes no state override, one that is gone, one that forgets the reason of the refusal."""
    for told in (RpcError(-32602, "too many arguments, want at most 2"), ConnectionLost("gone")):
        assert read_probe(told, HIDDEN) == HIDDEN
    told = RpcError(3, "execution reverted", "0x")
    assert read_probe(told, HIDDEN).before is Before.REJECTED


def test_one_call_is_asked_as_the_wallet_makes_it() -> None:
    assert probe([Call(to=OTHER, data=b"\1")], SAFE) == ({"from": SAFE, "to": OTHER, "data": "0x01"}, "latest")
    assert probe([Call(to=OTHER, value=7)], SAFE, "0x10") == (
        {"from": SAFE, "to": OTHER, "data": "0x", "value": "0x7"},
        "0x10",
    )


def test_of_a_trace_the_wallets_own_call_is_found() -> None:
    refused = {"type": "CALL", "from": SAFE, "to": OTHER, "error": "execution reverted", "output": "0x01"}
    fine = {"type": "CALL", "from": SAFE, "to": OTHER}
    code = {"type": "DELEGATECALL", "from": SAFE, "error": "execution reverted", "calls": [fine, refused]}
    trace = json.dumps({"type": "CALL", "from": OWNER, "error": "execution reverted", "calls": [code]}).encode()
    found = failed_call(trace, SAFE)
    assert isinstance(found, msgspec.Raw)
    assert json.loads(bytes(found)) == refused
    for told in (b"null", b"garbage", b'{"calls":[1]}', json.dumps(fine).encode(), b"[" * 100_000):
        assert failed_call(told, SAFE) == told
    assert failed_call(None, SAFE) is None
    assert isinstance(failed_call(ConnectionLost("gone"), SAFE), ConnectionLost)
