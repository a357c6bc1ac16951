"""A wallet's nonces: whatever is lost, dropped, replaced, reorged or killed, no key is done twice and no gap stays for ever."""

import random
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.onchain.history import History
from tests.onchain.wallet import FEES, PATIENCE_S, Wallet
from trio_copy.errors import InvariantBroken
from trio_copy.model.ids import Address, ChainId, Hash32, IntentKey
from trio_copy.native import SecretKey
from trio_copy.transactions.transaction import Transaction
from trio_copy_onchain.tx import commands as c
from trio_copy_onchain.tx import events as e
from trio_copy_onchain.tx.due import Due, Next
from trio_copy_onchain.tx.fees import Fees
from trio_copy_onchain.tx.nonces import Nonces
from trio_copy_onchain.tx.receipts import Receipt
from trio_copy_onchain.tx.sendings import (
    Binding,
    End,
    Fate,
    Inclusion,
    Sending,
    binding_of,
    doing_nothing,
    plain_binding,
)
from trio_copy_onchain.tx.texts import Proves

A, B, C = (IntentKey(letter * 64) for letter in "abc")


@pytest.mark.parametrize("liars", [False, True])
def test_no_history_does_a_key_twice_or_loses_one(liars: bool) -> None:
    """One nonce a key, one key a nonce, nothing late, all durable before it leaves; in the end each key was told the truth.

    Also among nodes that keep what they said they refused: what was given up is followed all the same.
    """
    for seed in range(120):
        History(random.Random(seed).randbytes(90), liars=liars).play()


@settings(max_examples=30, deadline=None)
@given(st.binary(min_size=30, max_size=90), st.booleans())
def test_no_other_history_does_so_either(told: bytes, liars: bool) -> None:
    """The same, of histories that nobody has seen before; a bad one is cut down to what matters."""
    History(told, liars=liars).play()


def _sent(wallet: Wallet, key: IntentKey, proves: Proves = Proves.TAKEN, for_s: float = 300.0) -> int:
    """Bind a key and send it; return its nonce."""
    binding = wallet.bind(key, for_s)
    assert binding is not None
    sending = wallet.leave(binding.nonce)
    assert sending is not None
    wallet.hear(sending, taken=proves is Proves.TAKEN, proves=proves)
    return binding.nonce


def _looked_at() -> Wallet:
    wallet = Wallet()
    wallet.see()
    return wallet


def test_many_are_in_flight_in_the_order_of_their_nonces() -> None:
    """Each key gets the next nonce, and keeps it however often it is asked for."""
    wallet = _looked_at()
    assert [_sent(wallet, key) for key in (A, B, C)] == [0, 1, 2]
    assert [wallet.bind(key, 300.0) for key in (B, C)] == [wallet.nonces.of(B), wallet.nonces.of(C)]
    assert wallet.nonces.next == 3


def test_whose_gas_is_not_counted_yet_is_known_without_looking_through_all_that_ended() -> None:
    """Thousands have ended, and each look asks. What others have used our nonce for is none of our gas; a restart knows it too."""
    wallet = _looked_at()
    for key in (A, B):
        _sent(wallet, key)
        wallet.chain.mine(wallet.chain.candidates()[0])
    _sent(wallet, C)
    wallet.chain.mine(None)
    wallet.chain.final = 3
    wallet.see()
    assert set(wallet.nonces.ended) == {A, B, C}
    assert set(wallet.nonces.unpaid) == {A, B}
    wallet.do(c.Pay(key=A, wei=1))
    wallet.write()
    wallet.crash()
    assert set(wallet.nonces.unpaid) == {B}
    wallet.do(c.Forget(keys=(A, B, C)))
    assert not wallet.nonces.unpaid


def test_a_nonce_that_was_certainly_not_sent_is_used_by_the_next() -> None:
    """Every node refused it, or nothing has left yet; of what one may have, nothing is freed."""
    wallet = _looked_at()
    for key, proves, freed in ((A, Proves.NOT_TAKEN, True), (B, Proves.NOTHING, False), (C, Proves.TAKEN, False)):
        nonce = _sent(wallet, key, proves)
        assert bool(wallet.do(c.GiveUp(nonce=nonce))) is freed
        wallet.write()
    assert (wallet.nonces.of(B), wallet.nonces.of(C)) == (wallet.nonces.bindings[0], wallet.nonces.bindings[1])
    never_left = wallet.bind(IntentKey("d"), 300.0)
    assert never_left is not None
    assert wallet.do(c.GiveUp(nonce=never_left.nonce))


def test_a_key_that_was_given_up_gets_its_own_nonce_again_or_none() -> None:
    """Another one only when something else has used the first for good."""
    wallet = _looked_at()
    wallet.do(c.GiveUp(nonce=_sent(wallet, A, Proves.NOT_TAKEN)))
    again = wallet.bind(A, 300.0)
    assert again is not None
    assert (again.nonce, len(again.sendings)) == (0, 1)
    wallet.do(c.GiveUp(nonce=0))
    assert _sent(wallet, B) == 0
    assert wallet.bind(A, 300.0) is None
    wallet.chain.mine(wallet.chain.candidates()[0])
    wallet.see()
    assert wallet.bind(A, 300.0) is None
    wallet.chain.final = 1
    wallet.see()
    assert [one.end.fate for one in wallet.fates[A]] == [Fate.DISPLACED]
    bound = wallet.bind(A, 300.0)
    assert bound is not None
    assert bound.nonce == 1


def test_what_was_given_up_and_is_mined_all_the_same_is_told() -> None:
    """A node lied: the key has landed, and a person has to look."""
    wallet = _looked_at()
    nonce = _sent(wallet, A, Proves.NOT_TAKEN)
    tx_hash = wallet.nonces.bindings[nonce].newest.hash
    wallet.do(c.GiveUp(nonce=nonce))
    wallet.chain.mine(tx_hash)
    wallet.chain.final = 1
    wallet.see()
    assert wallet.fates[A] == [e.Ended(nonce=0, key=A, end=End(fate=Fate.LANDED, hash=tx_hash, was_unsent=True))]


def test_what_was_given_up_is_followed_by_its_receipt_and_by_its_nonce() -> None:
    """Also where nobody has looked through the blocks, and, once its nonce is used for good, until somebody has."""
    wallet = _looked_at()
    tx_hash = wallet.nonces.bindings[_sent(wallet, A, Proves.NOT_TAKEN)].newest.hash
    wallet.do(c.GiveUp(nonce=0))
    assert list(wallet.nonces.hashes_mined(1, ())) == [tx_hash]
    wallet.chain.mine(tx_hash)
    wallet.chain.final = 1
    wallet.see(untold=frozenset({tx_hash}), whole=False)
    assert list(wallet.nonces.unexplained) == [0]
    assert A not in wallet.fates
    wallet.see(whole=False)
    assert [one.end for one in wallet.fates[A]] == [End(fate=Fate.LANDED, hash=tx_hash, was_unsent=True)]


def test_a_nonce_that_was_given_up_and_used_by_others_is_not_bound_again() -> None:
    """Nothing of the key could be mined with it, and another one it gets only once that is for good."""
    wallet = _looked_at()
    wallet.do(c.GiveUp(nonce=_sent(wallet, A, Proves.NOT_TAKEN)))
    wallet.chain.mine(None)
    wallet.see()
    assert wallet.bind(A, 300.0) is None
    wallet.chain.final = 1
    wallet.see()
    again = wallet.bind(A, 300.0)
    assert again is not None
    assert again.nonce == 1


@pytest.mark.parametrize("cancels", [False, True])
def test_what_is_mined_is_not_replaced(cancels: bool) -> None:
    """Nothing else is signed for its nonce while a block has it: only a reorg makes it one that waits."""
    wallet = _looked_at()
    nonce = _sent(wallet, A)
    (tx_hash,) = wallet.chain.candidates()
    wallet.chain.mine(tx_hash)
    wallet.see()
    wallet.replace(nonce, cancels=cancels)
    assert [one.hash for one in wallet.nonces.bindings[nonce].sendings] == [tx_hash]


def test_after_a_restart_nothing_is_certain() -> None:
    """What was refused, or had not left, may have left for all that this process knows."""
    wallet = _looked_at()
    nonce = _sent(wallet, A, Proves.NOT_TAKEN)
    wallet.crash()
    assert not wallet.do(c.GiveUp(nonce=nonce))


def test_nothing_leaves_before_it_is_written_down() -> None:
    """Neither the first bytes of a nonce nor those that replace them."""
    wallet = _looked_at()
    wallet.bind(A, 300.0)
    send = c.Send(nonce=0, at=wallet.now)
    with pytest.raises(InvariantBroken, match="before it was written down"):
        wallet.do(send)
    wallet.write()
    assert wallet.do(send)
    wallet.replace(0, cancels=False)
    with pytest.raises(InvariantBroken, match="before it was written down"):
        wallet.do(send)


def test_bytes_are_on_their_way_once_at_a_time() -> None:
    """Two answers to the same bytes would be taken for one."""
    wallet = _looked_at()
    wallet.bind(A, 300.0)
    assert wallet.leave(0) is not None
    assert wallet.leave(0) is None
    assert not wallet.do(c.GiveUp(nonce=0))


def test_no_nonce_is_bound_before_anybody_has_looked() -> None:
    """Nor is a gap found."""
    wallet = Wallet()
    with pytest.raises(InvariantBroken, match="before the chain was looked at"):
        wallet.bind(A, 300.0)
    assert not wallet.nonces.gaps


@pytest.mark.parametrize(
    "latest, foremost, pending, final, expected",
    [
        (5, 5, 5, 5, 5),
        (5, 5, 7, 5, 7),  # two of somebody else wait
        (5, 5, 4, 5, 5),
        (3, 3, 3, 5, 5),  # a node that is behind what is final
        (5, 5, 10**9, 5, 5),  # what nobody has that many of
        (5, 5, 5 + 64, 5, 69),
        (5, 8, 5, 5, 8),  # a node that is behind another one
        (5, 10**9, 5, 5, 21),
    ],
)
def test_the_first_nonce_that_nothing_has(latest: int, foremost: int, pending: int, final: int, expected: int) -> None:
    """Where nothing is known, behind what is used as any node says, and what others have waiting, as far as that can be."""
    wallet = Wallet()
    wallet.do(c.See(latest=latest, foremost=foremost, pending=pending, final=final, final_block=0))
    assert wallet.nonces.next == expected
    wallet.do(c.See(latest=0, pending=0, final=0, final_block=0))
    assert wallet.nonces.next == max(final, min(foremost, latest + 16))


def _mined_although_it_was_cancelled() -> tuple[Wallet, int, Sending]:
    wallet = _looked_at()
    nonce = _sent(wallet, A, for_s=5.0)
    call = wallet.nonces.bindings[nonce].newest
    wallet.now += 10.0
    wallet.replace(nonce, cancels=True)
    wallet.chain.mine(call.hash)
    wallet.see()
    return wallet, nonce, call


def test_a_call_that_a_reorg_took_back_goes_out_again_late_or_not() -> None:
    """The very bytes, also where they were to be cancelled meanwhile; and it may be mined again."""
    wallet, nonce, call = _mined_although_it_was_cancelled()
    assert wallet.nonces.bindings[nonce].mined is not None
    assert wallet.leave(nonce) is None
    wallet.see(untold=frozenset({call.hash}))
    assert wallet.nonces.bindings[nonce].mined is not None  # written down late: the nonce is used all the same
    wallet.chain.mined.clear()
    wallet.chain.known.clear()
    wallet.see()
    assert wallet.nonces.bindings[nonce].mined is None
    assert wallet.due == [Due(0, Next.SEND)]
    assert wallet.leave(nonce) == call
    wallet.chain.mine(call.hash)
    wallet.chain.final = 1
    wallet.see(whole=False)
    assert [one.end.fate for one in wallet.fates[A]] == [Fate.LANDED]


def test_a_call_that_had_happened_is_made_dearer_although_it_was_cancelled_meanwhile() -> None:
    """A reorg took it back, and the base fee has risen: the line behind it must not wait for a price of before."""
    wallet, nonce, call = _mined_although_it_was_cancelled()
    wallet.chain.mined.clear()
    wallet.chain.known.clear()
    wallet.see()
    wallet.now += PATIENCE_S
    assert wallet.due == [Due(nonce, Next.BUMP)]
    dearer = wallet.tend(wallet.due[0])
    assert dearer is not None
    assert not dearer.cancels
    assert dearer.fees.max_fee > call.fees.max_fee
    assert wallet.left[-1] == (A, nonce, False)


def test_what_is_late_is_cancelled_and_nothing_of_it_leaves_again() -> None:
    """Another call is refused then, as it is once something cancels; the chain says which of them came first."""
    wallet = _looked_at()
    nonce = _sent(wallet, A, for_s=5.0)
    call = wallet.nonces.bindings[nonce].newest
    wallet.now += 5.0
    assert wallet.leave(nonce) is None
    wallet.replace(nonce, cancels=False)
    assert wallet.nonces.bindings[nonce].newest == call
    assert wallet.due == [Due(nonce, Next.CANCEL)]
    cancel = wallet.tend(wallet.due[0])
    assert cancel is not None
    assert (cancel.cancels, cancel.nonce) == (True, nonce)
    wallet.hear(cancel, taken=True, proves=Proves.TAKEN)
    wallet.chain.mine(cancel.hash)
    wallet.chain.final = 1
    wallet.see()
    assert [one.end.fate for one in wallet.fates[A]] == [Fate.CANCELLED]


@pytest.mark.parametrize(("final", "final_block"), [(0, 5), (1, 4)])
def test_a_receipt_ends_a_key_where_nonce_and_block_are_final(final: int, final_block: int) -> None:
    """Nodes count apart: a nonce that is not final by the count, or a receipt of a later block, may still be taken back."""
    wallet = _looked_at()
    nonce = _sent(wallet, A)
    sending = wallet.nonces.bindings[nonce].newest
    block = Hash32(f"0x{5:064x}")
    mined = Receipt(tx_hash=sending.hash, block_number=5, block_hash=block, succeeded=True, gas_used=1, price=1)
    seen = c.See(latest=1, pending=1, final=final, final_block=final_block, receipts={sending.hash: mined})
    wallet.do(seen)
    assert not wallet.fates
    wallet.do(evolve(seen, final=1, final_block=5))
    assert [one.end.fate for one in wallet.fates[A]] == [Fate.LANDED]


def test_what_is_late_gets_no_nonce() -> None:
    """One that is bound would have to be cancelled at once, and pay for that."""
    wallet = _looked_at()
    assert wallet.bind(A, 0.0) is None
    assert wallet.nonces.bindings == {}
    assert wallet.bind(A, 0.1) is not None


def test_what_one_node_alone_calls_used_is_filled_once_somebody_has_waited_for_it() -> None:
    """It may know better for a moment; if it does not, everything would wait behind a gap for ever."""
    wallet = Wallet()
    see = c.See(latest=0, foremost=2, pending=0, final=0, final_block=0)
    wallet.do(see)
    assert wallet.bind(A, 600.0) is not None
    assert wallet.nonces.of(A) == wallet.nonces.bindings[2]
    sent = wallet.leave(2)
    assert sent is not None
    wallet.hear(sent, taken=True, proves=Proves.TAKEN)
    assert wallet.due == []
    wallet.now += PATIENCE_S
    wallet.do(see)
    assert wallet.due == [Due(0, Next.FILL), Due(1, Next.FILL)]


def test_what_a_journal_has_ended_is_used_whatever_a_node_counts() -> None:
    wallet = _looked_at()
    nonce = _sent(wallet, A, for_s=60.0)
    wallet.chain.mine(wallet.nonces.bindings[nonce].newest.hash)
    wallet.chain.final = 1
    wallet.see()
    restored = Nonces.restored(wallet.stored.values())
    restored.apply(restored.decide(c.See(latest=nonce, foremost=nonce, pending=nonce, final=nonce, final_block=0)))
    assert restored.next == nonce + 1


def test_only_who_has_used_a_nonce_for_good_proves_who_has_not() -> None:
    """A receipt that is missing does not; nor does a nonce that is used at the head."""
    wallet = _looked_at()
    nonce = _sent(wallet, A)
    wallet.chain.mine(None)
    wallet.see()
    assert wallet.due == []
    wallet.chain.final = 1
    wallet.see(whole=False)
    assert (wallet.fates, wallet.nonces.unexplained) == ({}, [nonce])
    wallet.see()
    assert [one.end.fate for one in wallet.fates[A]] == [Fate.DISPLACED]


def test_what_is_due_is_told_in_the_order_of_nonces() -> None:
    """Gaps are filled, what nobody has is sent again, the first that waits too long pays more, what is late is called off."""
    wallet = _looked_at()
    for key, for_s in ((A, 300.0), (B, 300.0), (C, 5.0), (IntentKey("d"), 5.0), (IntentKey("e"), 300.0)):
        _sent(wallet, key, Proves.NOT_TAKEN if key in (B, "d") else Proves.TAKEN, for_s)
    wallet.do(c.GiveUp(nonce=1))
    wallet.now += 10.0
    wallet.chain.known.discard(wallet.nonces.bindings[4].newest.hash)
    wallet.see()
    assert wallet.due == [Due(1, Next.FILL), Due(2, Next.CANCEL), Due(3, Next.GIVE_UP), Due(4, Next.SEND)]
    wallet.now += PATIENCE_S
    assert wallet.due[0] == Due(0, Next.BUMP)
    sending = wallet.tend(wallet.due[0])
    assert sending is not None
    assert (sending.fees.tip, sending.cancels) == (-(-FEES.tip * 9 // 8), False)
    filled = wallet.tend(Due(1, Next.FILL))
    assert filled is not None
    assert (filled.nonce, filled.cancels, wallet.nonces.bindings[1].key) == (1, True, None)


def test_a_signature_for_something_else_is_our_own_mistake() -> None:
    """Another nonce, fees that replace nothing, a call that is nobody's."""
    wallet = _looked_at()
    _sent(wallet, A)
    _sent(wallet, B, Proves.NOT_TAKEN)
    _sent(wallet, C)
    call = wallet.sign(A, FEES, cancels=False)
    for command in (
        c.Bind(key=IntentKey("d"), until=1e9, sign=lambda nonce: call(nonce + 1), at=wallet.now),
        c.Replace(nonce=0, sign=call, at=wallet.now),
        c.Replace(
            nonce=0, sign=wallet.sign(A, Fees(tip=FEES.tip * 2, max_fee=FEES.max_fee), cancels=True), at=wallet.now
        ),
    ):
        with pytest.raises(InvariantBroken):
            wallet.do(command)
    wallet.do(c.GiveUp(nonce=1))
    wallet.see()
    assert wallet.nonces.gaps == [1]
    with pytest.raises(InvariantBroken, match="nobody's"):
        wallet.do(c.Fill(nonce=1, sign=call, at=wallet.now))


POLYGON, KEY = ChainId(137), SecretKey(b"\x22" * 32)


def _bound(**changes: Any) -> Binding:
    call = Transaction(
        chain_id=POLYGON, nonce=7, tip=FEES.tip, max_fee=FEES.max_fee, gas=240_000, to=Address("0x" + "ab" * 20), data=b"\1"
    )  # fmt: skip
    dearer = Fees(tip=2 * FEES.tip, max_fee=2 * FEES.max_fee)
    nothing = doing_nothing(POLYGON, KEY.address, 7, dearer)
    sendings = (Sending.of(call, KEY.sign, at=5.5), Sending.of(nothing, KEY.sign, at=9.0, cancels=True))
    return evolve(Binding(nonce=7, key=A, until=8.25, sendings=sendings, doubtful=True), **changes)


_INCLUSION = Inclusion(hash=Hash32("0x" + "cd" * 32), block_number=5, block_hash=Hash32("0x" + "b1" * 32))


@pytest.mark.parametrize(
    "changes",
    [
        {}, {"key": None}, {"mined": _INCLUSION}, {"was_mined": _INCLUSION.hash}, {"unsent": True},
        {"end": End(fate=Fate.LANDED, hash=_INCLUSION.hash), "paid_wei": 5},
        {"end": End(fate=Fate.DISPLACED, hash=_INCLUSION.hash, was_unsent=True)},
    ],
)  # fmt: skip
def test_a_binding_comes_back_from_its_document(changes: dict[str, Any]) -> None:
    """With nonces, fees and hashes read from the signed bytes; and whether a node has it, nobody knows any more."""
    binding = _bound(**changes)
    assert binding_of(plain_binding(binding), POLYGON, KEY.address) == binding
    sure = evolve(binding, doubtful=False, leaving=frozenset({_INCLUSION.hash}))
    assert binding_of(plain_binding(sure), POLYGON, KEY.address) == binding


def test_given_up_bindings_come_back_as_such() -> None:
    """So that their nonce is free, and theirs again only if nothing has it."""
    other = evolve(_bound(), key=B, unsent=True)
    nonces = Nonces.restored([_bound(), other])
    assert (nonces.bindings, nonces.freed) == ({7: _bound()}, {B: other})


_BODY = plain_binding(_bound())
_NEXT = Sending.of(doing_nothing(POLYGON, KEY.address, 8, FEES), KEY.sign, at=0.0)


@pytest.mark.parametrize(
    "body",
    [
        [], None, 5, [2, *_BODY[1:]], _BODY[:-1], [*_BODY, 0],
        [*_BODY[:3], [], *_BODY[4:]],
        [*_BODY[:3], [["zz", 0, 0.0]], *_BODY[4:]],
        [*_BODY[:3], [[_BODY[3][0][0][:-2], 0, 0.0]], *_BODY[4:]],
        [*_BODY[:3], [["02", 0, 0.0]], *_BODY[4:]],
        [*_BODY[:3], [_BODY[3][0], [_NEXT.raw.hex(), 1, 0.0]], *_BODY[4:]],
        [*_BODY[:4], ["0x"], *_BODY[5:]],
    ],
)  # fmt: skip
def test_a_document_that_is_none_is_refused(body: Any) -> None:
    """Cut, of another version, of two nonces, or not signed by the wallet."""
    with pytest.raises(ValueError, match="expected a binding of"):
        binding_of(body, POLYGON, KEY.address)


def test_a_document_of_another_wallet_or_chain_is_refused() -> None:
    """Its bytes say whose they are."""
    for chain_id, wallet in ((ChainId(1), KEY.address), (POLYGON, Address("0x" + "ab" * 20))):
        with pytest.raises(ValueError, match="transaction of 0x"):
            binding_of(_BODY, chain_id, wallet)
