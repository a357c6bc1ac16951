"""What a guard lets be signed of transactions, and of calls that a relayer carries: what their bytes do, and nothing that is said of them.

Pure as the guard is: `judge_transaction` and `judge_relayed` decide, and remember only what may be signed.
"""

from collections.abc import Sequence

from trio_copy.model.coins import Coins
from trio_copy.model.counts import counted
from trio_copy.model.decisions import Reason
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey
from trio_copy.model.orders import SignatureType
from trio_copy.native import keccak
from trio_copy.ports.acting import Act, Deed
from trio_copy.ports.signing import NOT_LET_GO, Nothing, Purpose, Spending
from trio_copy.signing.acts import trouble_of_act
from trio_copy.signing.effects import Read, Sent, read, told
from trio_copy.signing.gas import Gas, Nonce
from trio_copy.signing.guard import HOUR_S, Guard
from trio_copy.signing.trading import Trouble, trouble_of_trade
from trio_copy.signing.wrapping import PROXY_FACTORIES, Unwrapped, unwrap
from trio_copy.transactions.calls import Call, call_digest
from trio_copy.transactions.relayed import Relayed
from trio_copy.transactions.transaction import Transaction

_RELAYED = (SignatureType.PROXY, SignatureType.SAFE, SignatureType.DEPOSIT)


def judge_transaction(
    guard: Guard, transaction: Transaction, sender: Address, purpose: Purpose, now: float
) -> Reason | None:
    """Return why an operator's transaction must not be signed; None where it may, and then it is remembered."""
    if transaction.chain_id != guard.chain_id:
        return guard.refusal("chain.chain_id", str(transaction.chain_id), str(guard.chain_id))
    nonce = Nonce(sender, transaction.nonce)
    gas = Gas(
        maker=guard.maker,
        nonce=nonce,
        wei=transaction.gas * transaction.max_fee,
        is_exit=isinstance(purpose, Nothing) or (isinstance(purpose, Spending) and purpose.side is Side.SELL),
        at=now,
    )
    # Before what remembers: what is refused for its gas pins no nonce.
    refusal = _refusal_of_gas(guard, gas, purpose) or _judge_bytes(guard, transaction, sender, purpose, nonce, now)
    if refusal is None:
        guard.count_gas(gas)
    return refusal


def _refusal_of_gas(guard: Guard, gas: Gas, purpose: Purpose) -> Reason | None:
    most, most_a_day = guard.policy.max_gas, guard.policy.max_day_gas
    if gas.wei > most.wei:
        return guard.limit("max_gas", str(Coins(gas.wei)), str(most))
    added = guard.gas.added_by(gas)
    if not added or (isinstance(purpose, Nothing) and guard.gas.knows(gas.nonce)):
        # A late transaction that nobody may cancel would be mined late; the limit has held for its nonce already.
        return None
    total = guard.gas.total(exits=gas.is_exit, now=gas.at) + added
    if total <= most_a_day.wei:
        return None
    what = "of exits and of what fills gaps" if gas.is_exit else "of entries and acts; exits go on"
    if guard.refuels is not None:
        return guard.refusal("refuel", f"gas for {Coins(total)}", f"at most {most_a_day}, the fleet's max_day")
    return guard.limit(
        "max_day_gas",
        str(Coins(total)),
        f"{most_a_day} in 24 hours, {what}. Wait, or raise it, start anew, and `trio-copy arm {guard.name}`",
    )


def _judge_bytes(
    guard: Guard, transaction: Transaction, sender: Address, purpose: Purpose, nonce: Nonce, now: float
) -> Reason | None:
    call = Call(to=transaction.to, data=transaction.data, value=transaction.value)
    if isinstance(purpose, Nothing):
        return refusal_of_nothing(guard, call, sender)
    try:
        unwrapped = unwrap(transaction, sender, guard.maker, guard.kind, guard.policy.multisend)
        reads = _read(unwrapped, purpose.key)
    except ValueError as error:
        return guard.refusal("transaction", str(error), "what the guard can read")
    whole = call_digest(guard.chain_id, sender, call)
    return _judge(guard, reads, sender, purpose, nonce, whole, now)


def refusal_of_nothing(guard: Guard, call: Call, sender: Address) -> Reason | None:
    """Return that a sender's call does something; None where it does nothing."""
    if call == Call(to=sender):
        return None
    return guard.refusal("transaction", _shown(call), "nothing for the sender itself, which does nothing")


def judge_relayed(guard: Guard, relayed: Relayed, signer: Address, purpose: Purpose, now: float) -> Reason | None:
    """Return why calls that a relayer carries must not be signed; None where they may, and then they are remembered."""
    if relayed.chain_id != guard.chain_id:
        return guard.refusal("chain.chain_id", str(relayed.chain_id), str(guard.chain_id))
    if (relayed.wallet, relayed.kind) != (guard.maker, guard.kind) or relayed.kind not in _RELAYED:
        asked = f"{relayed.kind.name.lower()} {relayed.wallet}"
        return guard.refusal(f"wallet.{guard.name}.address", asked, f"{guard.kind.name.lower()} {guard.maker}")
    if (trouble := _trouble_of_carrying(guard, relayed, signer)) is not None:
        return _reason(guard, trouble)
    if relayed.deadline > now + HOUR_S:
        return guard.refusal("deadline", f"in {relayed.deadline - now:.0f} s", f"within {HOUR_S:.0f} s")
    if isinstance(purpose, Nothing):
        return guard.refusal("transaction", "nothing", "an order, or an act: a relayer's nonce needs no filling")
    try:
        reads = _read(Unwrapped(calls=relayed.calls), purpose.key)
    except ValueError as error:
        return guard.refusal("transaction", str(error), "what the guard can read")
    return _judge(guard, reads, signer, purpose, Nonce(relayed.wallet, relayed.nonce), None, now)


def _trouble_of_carrying(guard: Guard, relayed: Relayed, signer: Address) -> Trouble | None:
    """Say why a relayer must not carry it so: what stands around the calls is signed with them."""
    contracts, multisends = relayed.contracts, guard.policy.multisend
    match relayed.kind:
        case SignatureType.SAFE if len(relayed.calls) > 1 and contracts.multi_send not in multisends:
            return Trouble("multisend", contracts.multi_send, ", ".join(multisends) or "none", of_policy=True)
        case SignatureType.PROXY if contracts.proxy_factory != (factory := PROXY_FACTORIES.get(relayed.chain_id)):
            return Trouble("proxy factory", contracts.proxy_factory, str(factory))
        case SignatureType.PROXY if relayed.owner != signer or relayed.fee or relayed.gas_price:
            return Trouble("relayer", f"{relayed.fee} wei for what {relayed.owner} signs", f"nothing, of {signer}")
        case _:
            return None


def _judge(
    guard: Guard,
    reads: Sequence[Read],
    sender: Address,
    purpose: Spending | Act,
    nonce: Nonce,
    whole: bytes | None,
    now: float,
) -> Reason | None:
    if isinstance(purpose, Spending):
        return _judge_trade(guard, reads, purpose, nonce, whole, now)
    return _judge_act(guard, reads, sender, purpose, nonce, now)


def _judge_trade(
    guard: Guard, reads: Sequence[Read], wanted: Spending, nonce: Nonce, whole: bytes | None, now: float
) -> Reason | None:
    left = guard.left(wanted.key)
    if left is None:
        return refusal_of_nonce(guard, wanted.key, nonce)
    trade = reads[-1].bare if reads else Call(to=guard.maker)
    bodies = {whole, *(call_digest(guard.chain_id, guard.maker, one) for one in (trade, trade.marked(wanted.key)))}
    if left.digest not in bodies:
        return guard.refusal("call", "another one", f"the one that was let go, {left.digest.hex()[:16]}..")
    if left.side is not wanted.side:
        return guard.refusal("side", wanted.side.value, f"{left.side.value}, as it was let go")
    refusal = guard.judge(wanted, left.digest, now)
    if refusal is not None:
        return refusal
    trouble = _with_coin(reads) or trouble_of_trade(
        guard.policy, wanted, min(wanted.max_cost, left.max_cost), [one.effect for one in reads]
    )
    if trouble is not None:
        return _reason(guard, trouble)
    # Last: where it is let go once more for that, nothing else is wrong with it.
    refusal = refusal_of_nonce(guard, wanted.key, nonce)
    if refusal is None:
        guard.pin_nonce(left, nonce, now)
    return refusal


def refusal_of_nonce(guard: Guard, key: IntentKey, nonce: Nonce) -> Reason | None:
    """Return why a trade must not be signed under a nonce: it was not let go for it, or is another operator's."""
    if guard.left(key) is None:
        return guard.refusal(NOT_LET_GO, "a trade that was not let go", "`release` before its transaction is signed")
    had = guard.nonces(key)
    other = next((one.account for one in had if one.account != nonce.account), None)
    if other is not None:
        return guard.refusal("sender", nonce.account, f"{other}, who has it already")
    if nonce in had or guard.may_sign(key):
        return None
    return guard.refusal(NOT_LET_GO, f"nonce {nonce.number}", "`release` first, for each nonce: it counts each time")


def _judge_act(
    guard: Guard, reads: Sequence[Read], sender: Address, act: Act, nonce: Nonce, now: float
) -> Reason | None:
    if act.wallet.address != guard.maker:
        return guard.refusal(f"wallet.{guard.name}.address", str(act.wallet.address), guard.maker)
    if now >= act.until:
        return guard.refusal("until", f"{now - act.until:.0f} s late", "in time")
    if tuple(one.bare for one in reads) != tuple(map(_bare, act.calls)):
        return guard.refusal("transaction", "other calls", "those of the act")
    if (act.deed is Deed.REFUEL) is not (guard.refuels is not None):
        return guard.refusal("deed", act.deed.value, "refuel, of a funding wallet alone, and of that nothing else")
    body = keccak(b"".join(call_digest(guard.chain_id, sender, one.bare) for one in reads))
    refusal = guard.other_body(act.key, body)
    if refusal is not None:
        return refusal
    if act.deed is Deed.REFUEL:
        refusal = _judge_refuel(guard, reads, act.key, nonce, now)
    elif (
        trouble := _with_coin(reads) or trouble_of_act(guard.policy, act.deed, [one.effect for one in reads])
    ) is not None:
        refusal = _reason(guard, trouble)
    if refusal is None:
        guard.pin_act(act.key, body, nonce, now, sum(one.bare.value for one in reads))
    return refusal


def _judge_refuel(guard: Guard, reads: Sequence[Read], key: IntentKey, nonce: Nonce, now: float) -> Reason | None:
    refuels, total = guard.refuels, 0
    assert refuels is not None
    for one in reads:
        if not isinstance(one.effect, Sent) or one.effect.token is not None or one.effect.to not in refuels.operators:
            return guard.refusal("refuel", told(one.effect), "coin for an operator of the fleet")
        total += one.effect.units
    if not 0 < total <= refuels.most_wei:
        return guard.refusal("refuel", str(Coins(total)), f"above 0, at most {Coins(refuels.most_wei)} at a time")
    day = guard.refuelled(now) + (0 if nonce in guard.nonces(key) else total)
    if day > refuels.max_day_wei:
        return guard.refusal("refuel", str(Coins(day)), f"at most {Coins(refuels.max_day_wei)} a day")
    return None


def _with_coin(reads: Sequence[Read]) -> Trouble | None:
    sent = next((one.bare for one in reads if one.bare.value), None)
    return None if sent is None else Trouble("value", f"{sent.value} wei to {sent.to}", "no coin beside the gas")


def _read(unwrapped: Unwrapped, key: IntentKey) -> list[Read]:
    """Read calls. Raises `ValueError` where one is unknown, or bears another mark than the key."""
    reads = [read(call) for call in unwrapped.calls]
    for mark in (unwrapped.mark, *(one.mark for one in reads)):
        if mark and mark.hex() != key:
            raise ValueError(f"expected the key of its intent behind the arguments, got {mark.hex()[:16]}..")
    return reads


def _bare(call: Call) -> Call | None:
    try:
        return read(call).bare
    except ValueError:
        return None


def _reason(guard: Guard, trouble: Trouble) -> Reason:
    if trouble.of_policy:
        return guard.limit(trouble.control, trouble.value, trouble.limit)
    return guard.refusal(trouble.control, trouble.value, trouble.limit)


def _shown(call: Call) -> str:
    return f"{call.value} wei and {counted(len(call.data), 'byte')} to {call.to}"
