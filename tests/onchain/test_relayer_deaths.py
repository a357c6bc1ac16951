"""An action of a wallet happens once, wherever its process dies, and in whatever order things go wrong."""

from contextlib import suppress

import pytest
import trio

from tests.onchain.relayer_world import CALLS, USDC, open_world
from trio_copy.entropy import seeded_entropy
from trio_copy.errors import OrderNotSent
from trio_copy.model.orders import SignatureType
from trio_copy.ports import Done
from trio_copy.testing.market_server.faults import Body
from trio_copy.testing.relayer import Settles, State
from trio_copy.transactions.calls import Call

Clock = trio.testing.MockClock
KINDS = [SignatureType.SAFE, SignatureType.PROXY, SignatureType.DEPOSIT]


async def test_cancelled_anywhere_it_happens_once_at_most(autojump_clock: Clock) -> None:
    """Cut at each moment, and begun again by a new process."""
    for cut in range(1, 40, 2):
        async with open_world() as world:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cut_after, cut, scope)
                    await world.carrier.carry(world.act(), world.signer)  # type: ignore[arg-type]
            world.restart()
            assert (await world.carry()).done is Done.LANDED
            assert len(world.chain.done) == 1


async def _cut_after(rounds: int, scope: trio.CancelScope) -> None:
    for _ in range(rounds):
        await trio.lowlevel.checkpoint()
    scope.cancel()


@pytest.mark.parametrize("seed", range(9))
async def test_whatever_happens_each_action_happens_once(autojump_clock: Clock, seed: int) -> None:
    """Lost answers, refusals, failures, other people's transactions and dying processes, in any order."""
    entropy = seeded_entropy(seed)
    kind = KINDS[seed % 3]
    async with open_world(kind) as world:
        faults = world.relayer.faults
        orders: list[dict[str, object]] = [
            {"lose_reply": True}, {"status": 500}, {"status": 500, "carried_out": True}, {"drop": True},
            {"text": "wallet has in-flight action"}, {"text": "batch nonce 0 does not match on-chain nonce 1"},
            {"body": Body.TRUNCATED}, {"settles": Settles.FAILED}, {"settles": Settles.NEW}, {"status": 429}, {},
        ]  # fmt: skip
        calls = {number: (Call(to=USDC, data=bytes((number,)) * 40), CALLS[1]) for number in range(3)}
        landed: set[int] = set()
        for _ in range(9):
            faults.clear()
            order = entropy.choice(orders)
            faults.path, faults.requests = "/submit", entropy.randint(1, 2)
            for name, value in order.items():
                setattr(faults, name, value)
            world.chain.how = entropy.choice(["done", "done", "reverted"])
            number = entropy.randrange(3)
            with suppress(OrderNotSent):
                report = await world.carry(number, within_s=entropy.uniform(0.5, 20.0), calls=calls[number])
                if report.done is Done.LANDED:
                    landed.add(number)
            for taken in world.relayer.taken.values():
                if taken.in_flight:  # the relayer gives up in the end what it has never carried
                    taken.state = State.FAILED
            if entropy.random() < 0.3:
                world.restart()
            if entropy.random() < 0.2 and kind is SignatureType.SAFE:
                world.chain.use_nonce()
        faults.clear()
        world.chain.how = "done"
        for number in range(3):
            reports = [await world.carry(number, within_s=300.0, calls=calls[number]) for _ in range(2)]
            assert reports[-1].done is Done.LANDED  # the first may tell of what was refused before
        done = [one.calls[0].data[0] for one in world.chain.done]
        assert sorted(done) == [0, 1, 2]
        assert landed <= set(done)
