"""Whatever the relayer does, an action of a wallet happens once or never, and what is said of it is so."""

import pytest
import trio
from attrs import evolve

from tests.builders import NOW
from tests.onchain.relayer_world import CALLS, USDC, WALLET, RelayedSigner, intent, open_world
from trio_copy.errors import OrderNotSent
from trio_copy.model.decisions import Code, Reason
from trio_copy.model.orders import SignatureType
from trio_copy.ports import Done
from trio_copy.testing.relayer import Settles
from trio_copy.transactions.calls import Call

Clock = trio.testing.MockClock
KINDS = [SignatureType.SAFE, SignatureType.PROXY, SignatureType.DEPOSIT]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_action_is_carried_once_and_told_when_it_is_final(autojump_clock: Clock, kind: SignatureType) -> None:
    async with open_world(kind) as world:
        report = await world.carry()
        assert report.done is Done.LANDED
        (mined,) = world.chain.mined
        assert (report.transaction, mined.block <= world.chain.final) == (mined.tx_hash, True)
        assert [(call.to, call.data) for call in world.chain.done[0].calls] == [(call.to, call.data) for call in CALLS]
        again = await world.carry()
        assert (again.done, again.transaction, world.submits()) == (Done.LANDED, mined.tx_hash, [200])


@pytest.mark.parametrize("kind", KINDS)
async def test_actions_of_a_wallet_follow_one_another(autojump_clock: Clock, kind: SignatureType) -> None:
    async with open_world(kind) as world:
        done: list[Done] = []

        async def one(number: int) -> None:
            done.append((await world.carry(number)).done)

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(one, number)
        assert done == [Done.LANDED] * 3
        assert [one.nonce for one in world.chain.done] == [0, 1, 2]
        assert world.submits() == [200, 200, 200]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mute", [False, True])
async def test_a_lost_answer_and_a_restart_do_it_once(autojump_clock: Clock, kind: SignatureType, mute: bool) -> None:
    """No id came back: it is found on the chain by its nonce, and not done again."""
    async with open_world(kind) as world:
        faults = world.relayer.faults
        faults.path, faults.lose_reply, faults.requests, faults.mute = "/submit", True, 1, mute
        assert (await world.carry(within_s=1.0)).done is Done.PENDING
        world.restart()
        assert [action.newest.transaction_id for action in world.journal.actions().values()] == [None]
        assert (await world.carry()).done is Done.LANDED
        assert len(world.chain.done) == len(world.chain.carried) == 1


async def test_an_id_that_came_back_is_followed_after_a_restart(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.relayer.faults.settles = Settles.NEW
        assert (await world.carry(within_s=5.0)).done is Done.PENDING
        await world.journal.wait_durable()
        world.restart()
        (taken,) = world.relayer.taken.values()
        taken.tx_hash = await world.chain.carry(taken.submitted)
        assert (await world.carry()).done is Done.LANDED
        assert world.submits() == [200]


async def test_nothing_leaves_before_it_is_written_down(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.journal.lost = True
        with pytest.raises(OrderNotSent, match="somebody else owns the shard"):
            await world.carry()
        assert (world.submits(), world.journal.durable) == ([], {})


async def test_what_was_taken_and_never_carried_stays_pending(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.relayer.faults.settles = Settles.NEW
        report = await world.carry()
        assert (report.done, world.submits()) == (Done.PENDING, [200])


async def test_mined_is_not_landed_and_a_reorg_takes_it_back(autojump_clock: Clock) -> None:
    """What the relayer confirmed and the chain took back is followed until it is mined anew."""
    async with open_world() as world:
        world.chain.depth = 1000
        report = await world.carry(within_s=10.0)
        (mined,) = world.chain.mined
        assert (report.done, report.transaction) == (Done.MINED, mined.tx_hash)
        world.chain.reorg()
        assert (await world.carry(within_s=10.0)).done is Done.PENDING
        world.chain.mine(mined)
        world.chain.depth = 2
        assert (await world.carry()).done is Done.LANDED
        assert world.submits() == [200]


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_reorg_took_back_has_not_landed_however_long_nodes_show_it(
    autojump_clock: Clock, kind: SignatureType
) -> None:
    """By its number its block would be final, and it is none of the chain's."""
    async with open_world(kind) as world:
        world.chain.depth = 50
        assert (await world.carry(within_s=20.0)).done in (Done.MINED, Done.PENDING)
        world.chain.reorg(still_shown=True)
        world.chain.depth = 2
        assert (await world.carry(within_s=30.0)).done is Done.PENDING
        (taken_back,) = world.chain.still_shown
        world.chain.still_shown.clear()
        world.chain.mine(evolve(taken_back, block=world.chain.head + 1))
        assert (await world.carry()).done is Done.LANDED
        assert len(world.chain.done) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", ["blocks_hidden", "blocks_contested"])
async def test_it_has_landed_for_good_once_it_is_told_that_its_block_stands(
    autojump_clock: Clock, trouble: str, kind: SignatureType
) -> None:
    """Taken for gone, with its nonce used, it would be signed again, and done once more."""
    async with open_world(kind) as world:
        setattr(world.chain, trouble, True)
        assert (await world.carry(within_s=30.0)).done in (Done.MINED, Done.PENDING)
        assert len(world.chain.done) == 1
        setattr(world.chain, trouble, False)
        assert (await world.carry()).done is Done.LANDED
        assert len(world.chain.done) == 1


@pytest.mark.parametrize("settles", [Settles.FAILED, Settles.INVALID])
async def test_what_the_relayer_gives_up_is_refused_and_may_be_asked_for_again(
    autojump_clock: Clock, settles: Settles
) -> None:
    """Tried again it has the same nonce, so that both cannot happen."""
    async with open_world() as world:
        world.relayer.faults.settles = settles
        report = await world.carry()
        assert (report.done, report.why) == (Done.REFUSED, "execution failed")
        world.relayer.faults.clear()
        assert (await world.carry()).done is Done.LANDED
        assert len({one.submitted.nonce for one in world.relayer.taken.values()}) == 1
        assert len(world.chain.done) == 1


async def test_what_fails_on_the_chain_is_refused_once_that_is_final(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.chain.how = "reverted"
        report = await world.carry()
        assert (report.done, report.why) == (Done.REFUSED, "transaction reverted")
        assert report.transaction == world.chain.mined[0].tx_hash
        world.chain.how = "done"
        assert (await world.carry()).done is Done.LANDED


@pytest.mark.parametrize("kind", [SignatureType.SAFE, SignatureType.PROXY])
async def test_what_used_its_nonce_and_failed_is_refused(autojump_clock: Clock, kind: SignatureType) -> None:
    """Some contracts mine what fails. Asked for again, it has another nonce."""
    async with open_world(kind) as world:
        world.chain.how = "failed"
        assert (await world.carry()).done is Done.REFUSED
        world.chain.how = "done"
        assert (await world.carry()).done is Done.LANDED
        assert [one.nonce for one in world.chain.carried] == [0, 1]


async def test_a_busy_wallet_waits_and_signs_once(autojump_clock: Clock) -> None:
    async with open_world() as world:
        faults = world.relayer.faults
        faults.path, faults.text, faults.requests = "/submit", "wallet busy: 0xabc has an active action", 3
        assert (await world.carry()).done is Done.LANDED
        assert (world.submits(), len(world.signer.signed)) == ([400, 400, 400, 200], 1)


async def test_a_wallet_that_stays_busy_is_refused_with_the_relayers_words(autojump_clock: Clock) -> None:
    async with open_world() as world:
        faults = world.relayer.faults
        faults.path, faults.text = "/submit", "wallet has in-flight action"
        report = await world.carry()
        assert (report.done, "in-flight action" in report.why) == (Done.REFUSED, True)
        faults.clear()
        assert (await world.carry()).done is Done.LANDED


@pytest.mark.parametrize("kind", KINDS)
async def test_a_nonce_that_something_else_used_is_signed_anew_once_that_is_final(
    autojump_clock: Clock, kind: SignatureType
) -> None:
    async with open_world(kind) as world:
        faults = world.relayer.faults
        faults.path, faults.text, faults.requests = "/submit", "batch nonce 0 does not match on-chain nonce 1", 1
        done: list[Done] = []

        async def carry() -> None:
            done.append((await world.carry()).done)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry)
            await trio.sleep(1.0)
            world.chain.use_nonce()
            used_at = world.chain.head
        assert done == [Done.LANDED]
        assert [one.nonce for one in world.signer.signed] == [0, 1]
        assert (len(world.chain.done), world.chain.mined[1].block > used_at + world.chain.depth) == (1, True)
        assert world.submits() == [400, 200]
        assert [kind for kind, _ in world.troubles] == ["venue-unclear"]


async def test_a_relayer_with_an_old_nonce_is_not_believed(autojump_clock: Clock) -> None:
    async with open_world() as world:
        assert (await world.carry(1)).done is Done.LANDED
        world.relayer.faults.nonce_off = -1
        assert (await world.carry(2)).done is Done.LANDED
        assert [one.nonce for one in world.signer.signed] == [0, 1]


async def test_nothing_is_signed_for_a_nonce_of_the_future(autojump_clock: Clock) -> None:
    """A relayer that counts what it has in flight is waited for; one that lies gets no signature."""
    async with open_world() as world:
        world.relayer.faults.nonce_off = 5
        with pytest.raises(OrderNotSent, match="under way"):
            await world.carry()
        assert world.signer.signed == []


async def test_a_blocked_call_stops_the_wallet(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.relayer.blocked = frozenset({USDC})
        report = await world.carry(1)
        assert (report.done, "calls to 0xd0" in report.why) == (Done.REFUSED, True)
        assert [kind for kind, _ in world.troubles] == ["venue-stopped"]
        with pytest.raises(OrderNotSent, match="call blocked"):
            await world.carry(2)
        assert world.submits() == [400]


async def test_a_wallet_that_is_armed_again_is_carried_again_without_a_restart(autojump_clock: Clock) -> None:
    """What was blocked is tried once more, for a person says that it is mended; blocked again, he hears it again."""
    async with open_world() as world:
        world.relayer.blocked = frozenset({USDC})
        world.signer.armed_at = world.carrier.wall()
        await world.carry(1)
        [(_, told)] = world.troubles
        assert told.endswith("; once that is mended: `trio-copy arm alice`")
        with pytest.raises(OrderNotSent, match="call blocked"):
            await world.carry(2)
        await trio.sleep(1)
        world.signer.armed_at = world.carrier.wall()
        assert (await world.carry(2)).done is Done.REFUSED
        assert [kind for kind, _ in world.troubles] == ["venue-stopped", "venue-goes-on", "venue-stopped"]
        assert world.submits() == [400, 400]
        world.relayer.blocked = frozenset()
        await trio.sleep(1)
        world.signer.armed_at = world.carrier.wall()
        assert (await world.carry(2)).done is Done.LANDED


async def test_an_arming_lets_a_wallet_try_once_though_the_clock_was_set_back_after_it(autojump_clock: Clock) -> None:
    """What is stopped since seems to be older than it, for as long as the clock was set back."""
    async with open_world() as world:
        world.relayer.blocked = frozenset({USDC})
        world.signer.armed_at = world.carrier.wall() + 3600
        assert (await world.carry(1)).done is Done.REFUSED
        with pytest.raises(OrderNotSent, match="call blocked"):
            await world.carry(2)
        assert [kind for kind, _ in world.troubles] == ["venue-stopped", "venue-goes-on", "venue-stopped"]
        assert world.submits() == [400, 400]


async def test_a_quota_that_was_raised_is_used_once_a_wallet_is_armed_again(autojump_clock: Clock) -> None:
    """Not only when it would have ended; what was signed for the first time is handed over then, the same bytes."""
    async with open_world() as world:
        world.relayer.quota = 0
        assert (await world.carry(1)).done is Done.REFUSED
        world.relayer.quota = 100
        assert (await world.carry(1)).done is Done.REFUSED
        await trio.sleep(1)
        world.signer.armed_at = world.carrier.wall()
        assert (await world.carry(1)).done is Done.LANDED
        assert [kind for kind, _ in world.troubles] == ["venue-stopped", "venue-goes-on"]
        assert world.submits() == [429, 200]


async def test_a_quota_that_was_raised_is_used_by_whoever_comes_once_the_wallet_that_met_it_is_armed(
    autojump_clock: Clock,
) -> None:
    """That is the one that a person was told to arm, and it may have nothing more to do."""
    async with open_world() as world:
        world.relayer.quota = 0
        assert (await world.carry(1)).done is Done.REFUSED
        world.relayer.quota = 100
        await trio.sleep(1)
        world.signer.armed_at = world.carrier.wall()
        world.signer = RelayedSigner()
        assert (await world.carry(2)).done is Done.LANDED


async def test_too_many_requests_end_by_themselves_and_not_by_an_arming(autojump_clock: Clock) -> None:
    """There is nothing that a person could mend: the relayer is left alone as long as it asks."""
    async with open_world() as world:
        faults = world.relayer.faults
        faults.path, faults.status, faults.requests = "/submit", 429, 1
        assert (await world.carry(1)).done is Done.LANDED
        faults.path, faults.status, faults.requests = "/submit", 429, 1
        began = trio.current_time()
        world.signer.armed_at = world.carrier.wall() + 1e6
        assert (await world.carry(2)).done is Done.LANDED
        assert trio.current_time() - began >= 10
        assert world.troubles == []


@pytest.mark.parametrize("armed_s", [0.0, 3600.0])
async def test_a_refused_key_is_told_again_after_an_arming(autojump_clock: Clock, armed_s: float) -> None:
    """Once: also where our clock was set back after it."""
    async with open_world() as world:
        world.relayer.keys = ()
        for number in (1, 2, 3, 4):
            with pytest.raises(OrderNotSent, match="the key is not known"):
                await world.carry(number)
            if number == 2:
                await trio.sleep(1)
                world.signer.armed_at = world.carrier.wall() + armed_s
        assert [kind for kind, _ in world.troubles] == ["venue-stopped"] * 2


async def test_a_call_of_the_wallet_itself_is_blocked(autojump_clock: Clock) -> None:
    async with open_world() as world:
        assert (await world.carry(calls=(Call(to=WALLET, data=b"\x01" * 4),))).done is Done.REFUSED


async def test_a_key_that_is_refused_is_told_once_and_ends_the_wait(autojump_clock: Clock) -> None:
    async with open_world() as world:
        keys, world.relayer.keys = world.relayer.keys, ()
        for number in (1, 2):
            began = trio.current_time()
            with pytest.raises(OrderNotSent, match="the key is not known"):
                await world.carry(number)
            assert trio.current_time() - began < 1
        assert [kind for kind, _ in world.troubles] == ["venue-stopped"]
        world.relayer.keys = keys
        faults = world.relayer.faults
        faults.path, faults.status, faults.requests = "/submit", 403, 1
        assert (await world.carry(1)).done is Done.REFUSED
        assert (await world.carry(1)).done is Done.LANDED


async def test_a_quota_is_for_all_and_ends(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.relayer.quota = 1
        assert (await world.carry(1)).done is Done.LANDED
        report = await world.carry(2)
        assert (report.done, "quota exceeded" in report.why) == (Done.REFUSED, True)
        assert (await world.carry(3)).done is Done.REFUSED
        assert world.submits() == [200, 429]
        world.chain.block_s = 3600
        await trio.sleep(86_400)
        world.chain.block_s = 2
        await trio.sleep(3600)
        assert (await world.carry(2, until=NOW + 999_999)).done is Done.LANDED


@pytest.mark.parametrize("status", [500, 502, 418])
async def test_an_answer_that_nobody_knows_is_a_doubt_until_the_chain_shows_it(
    autojump_clock: Clock, status: int
) -> None:
    """Taken all the same, it is found; not taken, the same bytes go out again."""
    async with open_world() as world:
        faults = world.relayer.faults
        faults.path, faults.status, faults.carried_out, faults.requests = "/submit", status, True, 1
        assert (await world.carry(1)).done is Done.LANDED
        faults.clear()
        faults.path, faults.status, faults.requests = "/submit", status, 1
        assert (await world.carry(2)).done is Done.LANDED
        assert len({one.signature for one in world.chain.carried}) == len(world.chain.carried) == 2


async def test_a_server_that_is_away_loses_nothing(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.server.away = True
        with pytest.raises(OrderNotSent):
            await world.carry()
        world.server.away = False
        assert (await world.carry()).done is Done.LANDED


async def test_a_relayer_that_forgets_is_handed_the_same_bytes(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.relayer.faults.settles = Settles.NEW
        assert (await world.carry(within_s=5.0)).done is Done.PENDING
        world.relayer.taken.clear()
        world.relayer.faults.clear()
        assert (await world.carry()).done is Done.LANDED
        assert (world.submits(), len(world.signer.signed)) == ([200, 200], 1)


async def test_without_the_chain_nothing_is_begun_and_nothing_concluded(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.chain.away = True
        with pytest.raises(OrderNotSent, match="the chain does not tell"):
            await world.carry()
        world.chain.away = False
        assert (await world.carry(within_s=2.5)).done in (Done.PENDING, Done.MINED)
        world.chain.away = True
        assert (await world.carry()).done in (Done.PENDING, Done.MINED)
        assert len(world.chain.done) == 1


async def test_a_hash_of_something_else_proves_nothing(autojump_clock: Clock) -> None:
    """A relayer that names a foreign transaction, and says that all is well, is not believed."""
    async with open_world() as world:
        world.chain.use_nonce()
        world.relayer.faults.settles = Settles.NEW
        assert (await world.carry(within_s=5.0)).done is Done.PENDING
        (taken,) = world.relayer.taken.values()
        taken.state, taken.tx_hash = type(taken.state).CONFIRMED, world.chain.mined[0].tx_hash
        assert (await world.carry()).done is Done.PENDING


async def test_a_deposit_wallet_has_done_nothing_while_its_nonce_is_not_used(autojump_clock: Clock) -> None:
    """A transaction that went through with its signature in the calldata is not enough: somebody may have tried it in vain."""
    async with open_world(SignatureType.DEPOSIT) as world:
        world.chain.how = "swallowed"
        assert (await world.carry(within_s=60.0)).done is Done.PENDING
        assert world.chain.carried


async def test_a_deposit_wallet_signs_again_with_the_same_nonce(autojump_clock: Clock) -> None:
    """What was signed has run out; all of it is followed."""
    async with open_world(SignatureType.DEPOSIT) as world:
        faults = world.relayer.faults
        faults.path, faults.status = "/submit", 500
        assert (await world.carry(within_s=1000.0)).done is Done.PENDING
        assert {one.nonce for one in world.signer.signed} == {0}
        assert len({one.deadline for one in world.signer.signed}) == len(world.signer.signed) > 2
        faults.clear()
        assert (await world.carry()).done is Done.LANDED
        assert len(world.chain.done) == 1


async def test_what_another_action_displaced_is_forgotten_and_may_be_done_anew(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.relayer.faults.settles = Settles.FAILED
        assert (await world.carry(1)).done is Done.REFUSED
        world.relayer.faults.clear()
        assert (await world.carry(2)).done is Done.LANDED
        assert set(world.journal.actions()) == {intent(2)}
        assert (await world.carry(1)).done is Done.LANDED
        assert [one.nonce for one in world.chain.done] == [0, 1]


async def test_late_is_not_sent(autojump_clock: Clock) -> None:
    async with open_world() as world:
        with pytest.raises(OrderNotSent, match="too late"):
            await world.carry(until=NOW - 1)
        assert world.server.http.asked == []


async def test_a_guard_that_refuses_says_why(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.signer.refuses = Reason(code=Code.GUARD_REFUSED, control="wallet.alice", value="1", limit="0")
        with pytest.raises(OrderNotSent) as refused:
            await world.carry()
        assert (refused.value.reason, world.submits()) == (world.signer.refuses, [])


async def test_one_key_is_not_used_for_other_calls(autojump_clock: Clock) -> None:
    async with open_world() as world:
        faults = world.relayer.faults
        faults.path, faults.text = "/submit", "wallet has in-flight action"
        assert (await world.carry(1, within_s=5.0)).done is Done.REFUSED
        faults.clear()
        with pytest.raises(OrderNotSent, match="other calls"):
            await world.carry(1, calls=CALLS[:1])


async def test_two_who_ask_for_one_action_hear_of_one(autojump_clock: Clock) -> None:
    async with open_world() as world:
        done: list[Done] = []

        async def one(within_s: float) -> None:
            done.append((await world.carry(within_s=within_s)).done)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, 60.0)
            await trio.sleep(0.5)
            nursery.start_soon(one, 1.0)
        assert done == [Done.PENDING, Done.LANDED]
        assert world.submits() == [200]


async def test_what_is_carried_after_it_was_given_up_is_found(autojump_clock: Clock) -> None:
    """A relayer that goes back on its word: what came next had the same nonce, and is signed anew."""
    async with open_world() as world:
        world.relayer.faults.settles = Settles.FAILED
        assert (await world.carry(1)).done is Done.REFUSED
        world.relayer.faults.clear()
        faults = world.relayer.faults
        faults.path, faults.text = "/submit", "wallet has in-flight action"
        assert (await world.carry(2, within_s=3.0)).done is Done.REFUSED
        (taken,) = world.relayer.taken.values()
        await world.chain.carry(taken.submitted)
        faults.clear()
        assert (await world.carry(2)).done is Done.LANDED
        assert (await world.carry(1)).done is Done.LANDED
        assert [one.nonce for one in world.chain.done] == [0, 1]


async def test_a_shard_that_is_let_go_hands_nothing_over(autojump_clock: Clock) -> None:
    async with open_world() as world:
        world.carrier.close_journal(world.journal)
        with pytest.raises(OrderNotSent, match="no shard here has the wallet"):
            await world.carry()
        world.carrier.open_journal(world.journal)
        faults = world.relayer.faults
        faults.path, faults.text = "/submit", "wallet has in-flight action"
        async with trio.open_nursery() as nursery:

            async def carry() -> None:
                assert (await world.carry()).done in (Done.REFUSED, Done.PENDING)

            nursery.start_soon(carry)
            await trio.sleep(1.0)
            world.carrier.close_journal(world.journal)
        assert world.submits() == [400]


async def test_a_nonce_that_nobody_can_explain_is_told(autojump_clock: Clock) -> None:
    """A deposit wallet's answer was lost, and somebody else has used its nonce: it is not signed anew."""
    async with open_world(SignatureType.DEPOSIT) as world:
        faults = world.relayer.faults
        faults.path, faults.status, faults.requests = "/submit", 500, 1
        assert (await world.carry(within_s=1.0)).done is Done.PENDING
        world.chain.use_nonce()
        report = await world.carry()
        assert (report.done, "nobody can tell by what" in report.why) == (Done.PENDING, True)
        assert [kind for kind, _ in world.troubles] == ["venue-unclear"]
        assert (len(world.signer.signed), (await world.carry(2)).done) == (1, Done.LANDED)
