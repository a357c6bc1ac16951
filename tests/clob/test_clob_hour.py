"""Many wallets of all types at our venue: whatever it does, its record is what the books say, and what the official client sends."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from tests.clob.compared import Member
from tests.clob.crowd import Crowd, open_crowd, plan_of
from tests.clob.hour import play
from tests.clob.official import PROGRAM
from tests.harness import running_engine
from tests.official import PY_CLOB, Client, started
from trio_copy.model.decisions import CopyTask
from trio_copy.model.fills import Side
from trio_copy.model.ids import OrderId
from trio_copy.model.orders import SignatureType
from trio_copy.testing.clob_venue import Accepted, Answered
from trio_copy_clob.orders.words import checksummed

Clock = trio.testing.MockClock


@pytest.mark.parametrize(
    ("seed", "minutes", "followers", "store", "trades"), [(4, 4, 8, "sqlite", 20), (1, 60, 100, "memory", 500)]
)
def test_an_hour_of_random_faults_leaves_venue_and_books_equal(
    seed: int, minutes: int, followers: int, store: str, trades: int
) -> None:
    """No order over its cash or shares, none filled twice, none after its deadline; others: `python -m tests.clob.hour`."""
    played = play(seed, minutes, followers, store)
    assert played.problems == []
    assert played.counts["trades"] > trades


@pytest.mark.parametrize("off_s", [-100, 100])
async def test_only_the_address_of_the_clob_is_needed(tmp_path: Path, autojump_clock: Clock, off_s: int) -> None:
    """No channel, no other service, and a clock that is wrong: all that is asked is asked of the CLOB's host."""
    async with open_crowd(tmp_path, 4) as crowd:
        crowd.server.faults.clock_off_s = off_s
        await _buy_and_sell(crowd, tmp_path)
        assert await crowd.problems() == []
        assert {one.side for one in crowd.server.clob.record.of(Accepted)} == set(Side)
        assert [path for path in crowd.server.http.requests if not path.startswith("/clob/")] == []


async def test_the_record_is_what_the_official_client_sends(tmp_path: Path, autojump_clock: Clock) -> None:
    """The same amounts for the same wishes, and the same bytes with our salt and time, from every type of wallet."""
    async with open_crowd(tmp_path, 4) as crowd:
        await _buy_and_sell(crowd, tmp_path)
        record, members = crowd.server.clob.record, {str(one.address): one for one in crowd.members}
        bodies = {one.order_ids[0]: one.body for one in record.of(Answered) if one.path == "/order"}
        tasks = {one.report.order_id: one.task for one in crowd.recorder.finished if one.report is not None}
        taken = record.of(Accepted)
        assert len(taken) == 16
        alike = 0
        with started(PROGRAM, PY_CLOB) as client:
            for one in taken:
                member = members[one.maker.lower()]
                _check_sent_alike(client, member, one, bodies[one.order_id])
                alike += _is_wished_alike(client, member, one, tasks[OrderId(one.order_id)])
        assert alike > 8


async def _buy_and_sell(crowd: Crowd, folder: Path) -> None:
    async with running_engine(crowd, plan_of(crowd, folder)) as service:
        crowd.watch(service)
        crowd.chain.mine(*(crowd.buy(token=token, shares=shares) for token, shares in ((1, 250), (2, 500), (3, 750))))
        await trio.sleep(10)
        crowd.chain.mine(crowd.buy(side=Side.SELL, token=1, shares=150))
        await trio.sleep(10)
        await crowd.wait_quiet(service)


def _common(member: Member, one: Accepted) -> dict[str, Any]:
    number = int(member.name.removeprefix("member-")) + 1
    return {"private_key": f"0x{number:064x}", "chain_id": 137, "order_type": one.order_type}


def _check_sent_alike(client: Client, member: Member, one: Accepted, body: str) -> None:
    signer = member.address if member.kind is SignatureType.DEPOSIT else member.key.address
    fields = {
        "salt": one.salt,
        "maker": checksummed(member.address),
        "signer": checksummed(signer),
        "tokenId": str(one.token_id),
        "makerAmount": str(one.maker_amount),
        "takerAmount": str(one.taker_amount),
        "side": 0 if one.side is Side.BUY else 1,
        "signatureType": one.signature_type,
        "timestamp": str(one.timestamp_ms),
        "expiration": "0",
    }
    owner = msgspec.json.decode(body)["owner"]
    asked = {"do": "order", "exchange": one.exchange, "owner": owner, "post_only": one.post_only, "order": fields}
    assert client.ask({**_common(member, one), **asked}) == {"digest": one.order_id, "body": body}


def _is_wished_alike(client: Client, member: Member, one: Accepted, task: CopyTask) -> bool:
    """Tell whether the client's amounts are ours. Where its floats lose a cent, 5.1 becoming 5.09, they are not: it gives less.

    An instant purchase names its cash in cents, a sale its shares in hundredths: what a person can type.
    """
    intent, buys = task.intent, one.side is Side.BUY
    wanted = (intent.max_cost if buys else intent.shares).micro
    size = str((wanted - wanted % 10_000) / 1_000_000)
    asked = {"do": "amounts", "tick": "0.01", "size": size, "price": str(intent.limit_price), "side": one.side.value}
    gives, gets = client.ask({**_common(member, one), **asked})
    alike: bool = (gives, gets) == (one.maker_amount, one.taker_amount)
    assert alike or gives < one.maker_amount
    return alike
