"""Transactions of a wallet as executors make them, written by a general encoder: not by what reads them."""

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from eth_abi.abi import encode

from tests.builders import ALICE, NOW, POLYGON
from tests.signing.test_guard import POLICY
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey, TokenId
from trio_copy.model.orders import SignatureType, Wallet
from trio_copy.model.units import NO_USD, Price, Usd
from trio_copy.native import SecretKey, keccak
from trio_copy.ports import Act, Deed, Spending
from trio_copy.signing.guard import Guard, Signed
from trio_copy.transactions.calls import Call, call_digest
from trio_copy.transactions.transaction import Transaction

OWNER = SecretKey(b"\x5a" * 32)
SENDER = OWNER.address
SAFE = Address("0x" + "5a" * 20)
SPENDER = Address("0x" + "77" * 20)
"""Nobody's contract that is known."""
MAKER_CONTRACT = Address("0x" + "f1" * 20)
ROUTER = Address("0x" + "f2" * 20)
OUTCOME, CASH = Address("0x" + "0c" * 20), Address("0xc011a7e12a19f7b1f670d46f03b03f3342e82dfb")
CTF = Address("0x4d97dcd97ec945f40cf65f87097ace5ea0476045")
ADAPTER = Address("0xada100db00ca00073811820692005400218fce1f")
V2_ROUTER = Address("0x12121212006e4cd160d18e3f00711da5c3372600")
MULTISEND = Address("0xa238cbeb142c10ef7ad8442c6d1f9e89e07e7761")
FACTORY = Address("0xab45c5a4b0c941a2f231c04c3f49182e1a254052")
KEY = IntentKey("ab" * 32)
TRADING = evolve(POLICY, contracts=(MAKER_CONTRACT, ROUTER))
COIN, SHARE = 10**6, 10**18
_EXECUTE = (*("address", "uint256", "bytes", "uint8", "uint256", "uint256", "uint256", "address", "address", "bytes"),)
_SWAP = ("address", "address", "uint24", "address", "uint256", "uint256", "uint160")
_SWAP_UNTIL = ("address", "address", "uint24", "address", "uint256", "uint256", "uint256", "uint160")


def calldata(name: str, types: Sequence[str], *values: object) -> bytes:
    return keccak(f"{name}({','.join(types)})".encode())[:4] + encode(list(types), values)


def approve(token: Address, spender: Address, units: int) -> Call:
    return Call(to=token, data=calldata("approve", ("address", "uint256"), spender, units))


def approve_all(ledger: Address, operator: Address, approved: bool = True) -> Call:
    return Call(to=ledger, data=calldata("setApprovalForAll", ("address", "bool"), operator, approved))


def buy(cash: int, shares: int, to: Address = MAKER_CONTRACT) -> Call:
    return Call(to=to, data=calldata("buy", ("uint256",) * 3, cash, 0, shares))


def sell(cash: int, shares: int, to: Address = MAKER_CONTRACT) -> Call:
    return Call(to=to, data=calldata("sell", ("uint256",) * 3, cash, 0, shares))


def swap(
    given: int, least: int, stop_at: int = 0, *, buys: bool = True, recipient: Address = SENDER, **changes: Any
) -> Call:
    """Write a trade by SwapRouter, or within `multicall` by SwapRouter02 (`late=True`), or by that alone (`bare=True`)."""
    tokens = (CASH, OUTCOME) if buys else (OUTCOME, CASH)
    token_in, token_out = changes.get("tokens", tokens)
    head, tail = (token_in, token_out, changes.get("fee", 3000), recipient), (given, least, stop_at)
    alone = calldata("exactInputSingle", (f"({','.join(_SWAP)})",), (*head, *tail))
    if changes.get("bare"):
        data = alone
    elif changes.get("late"):
        data = calldata("multicall", ("uint256", "bytes[]"), int(NOW) + 60, [alone] * changes.get("times", 1))
    else:
        data = calldata("exactInputSingle", (f"({','.join(_SWAP_UNTIL)})",), (*head, int(NOW) + 60, *tail))
    return Call(to=changes.get("to", ROUTER), data=data)


def split(contract: Address, units: int, collateral: Address = CASH, parent: bytes = bytes(32)) -> Call:
    types = ("address", "bytes32", "bytes32", "uint256[]", "uint256")
    return Call(to=contract, data=calldata("splitPosition", types, collateral, parent, b"\x07" * 32, [1, 2], units))


def merge(contract: Address, units: int) -> Call:
    types = ("address", "bytes32", "bytes32", "uint256[]", "uint256")
    return Call(to=contract, data=calldata("mergePositions", types, CASH, bytes(32), b"\x07" * 32, [1, 2], units))


def redeem(contract: Address) -> Call:
    types = ("address", "bytes32", "bytes32", "uint256[]")
    return Call(to=contract, data=calldata("redeemPositions", types, CASH, bytes(32), b"\x07" * 32, [1, 2]))


def multi_send(calls: Sequence[Call], operation: int = 0) -> bytes:
    packed = b"".join(
        bytes((operation,))
        + bytes.fromhex(call.to[2:])
        + call.value.to_bytes(32)
        + len(call.data).to_bytes(32)
        + call.data
        for call in calls
    )
    return calldata("multiSend", ("bytes",), packed)


def by_safe(*calls: Call, **changes: Any) -> Call:
    """Write what an owner sends so that a Safe makes calls."""
    one = len(calls) == 1
    call = (
        calls[0]
        if one
        else Call(to=changes.get("multisend", MULTISEND), data=multi_send(calls, changes.get("inner", 0)))
    )
    signature = bytes(12) + bytes.fromhex(changes.get("owner", SENDER)[2:]) + bytes(32) + bytes((changes.get("v", 1),))
    refund = changes.get("refund", (0, 0, 0, "0x" + "0" * 40, "0x" + "0" * 40))
    operation = changes.get("operation", 0 if one else 1)
    values = (call.to, call.value, call.data, operation, *refund, signature)
    return Call(
        to=changes.get("safe", SAFE), data=calldata("execTransaction", _EXECUTE, *values), value=changes.get("value", 0)
    )


def by_proxy(*calls: Call, kind: int = 1, factory: Address = FACTORY) -> Call:
    members = [(kind, call.to, call.value, call.data) for call in calls]
    return Call(to=factory, data=calldata("proxy", ("(uint8,address,uint256,bytes)[]",), members))


def transaction(call: Call, **changes: Any) -> Transaction:
    plain = Transaction(
        chain_id=POLYGON,
        nonce=7,
        tip=30 * 10**9,
        max_fee=200 * 10**9,
        gas=500_000,
        to=call.to,
        value=call.value,
        data=call.data,
    )
    return evolve(plain, **changes)


def spending(**changes: Any) -> Spending:
    """A BUY of at most 10 USD at 0.5."""
    plain = Spending(
        key=KEY,
        side=Side.BUY,
        token_id=TokenId(int(OUTCOME, 16)),
        limit_price=Price.parse("0.5"),
        max_cost=Usd.parse(10),
        chain_id=POLYGON,
        contract=MAKER_CONTRACT,
        maker=SENDER,
        at=NOW,
    )
    if changes.get("side") is Side.SELL:
        plain = evolve(plain, max_cost=NO_USD)
    return evolve(plain, **changes)


def act(deed: Deed, *calls: Call, maker: Address = SENDER, until: float = NOW + 60, **changes: Any) -> Act:
    wallet = Wallet(follower=ALICE, address=maker, name="hot")
    return evolve(Act(key=KEY, wallet=wallet, deed=deed, calls=calls, until=until), **changes)


def guard_of(kind: SignatureType = SignatureType.EOA, **changes: Any) -> Guard:
    facts: dict[str, Any] = {
        "name": "hot",
        "maker": SENDER if kind is SignatureType.EOA else SAFE,
        "chain_id": POLYGON,
        "policy": TRADING,
        "kind": kind,
        "armed_until": NOW + 9e9,
    }
    return Guard(**{**facts, **changes})


def let_go(guard: Guard, wanted: Spending, call: Call, sender: Address = SENDER) -> Signed:
    """Let a guard remember that a call was released; returns what is written down."""
    signed = guard.let_go(wanted, call_digest(guard.chain_id, sender, call), NOW, by_transaction=True)
    assert signed is not None
    guard.end_release(wanted.key)
    return signed
