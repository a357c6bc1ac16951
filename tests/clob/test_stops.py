"""What the venue refuses, for good or for a while, is not sent: of a wallet, one side of it, a place, or all; and nothing else."""

import pytest
import trio
import trio.testing
from attrs import evolve

from tests.clob.scripted_clob import PAGE, Says, matched, open_bench, refusal
from tests.clob.sends import BALANCE, GTC, end_of
from tests.clob.sent_orders import TOKEN, make_order
from trio_copy.errors import ExecutorError
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.orders import Status
from trio_copy_clob.sending.stops import EGRESS_S, PAUSED_S, SHORT_S, Stop

Clock = trio.testing.MockClock


@pytest.mark.parametrize(
    ("says", "stop", "second", "third"),
    [
        (refusal(400, "invalid signature"), Stop.WALLET, ("not sent", "not sent"), ("not sent", "not sent")),
        (refusal(400, "'0x1' address in closed only mode"), Stop.ENTRIES_OF_WALLET, ("not sent", "filled"), ("not sent", "filled")),
        (refusal(401, "Unauthorized"), Stop.SIGNER, ("not sent", "not sent"), ("not sent", "not sent")),
        (Says(401, PAGE), Stop.SIGNER, ("not sent", "not sent"), ("not sent", "not sent")),
        (Says(403, PAGE), Stop.EGRESS, ("not sent", "not sent"), ("not sent", "not sent")),
        (refusal(503, "Trading is currently disabled."), Stop.ENTRIES, ("not sent", "filled"), ("filled", "filled")),
    ],
    ids=lambda value: str(value)[:50],
)  # fmt: skip
async def test_what_is_stopped_is_not_sent(
    clock: Clock, says: Says, stop: Stop, second: tuple[str, str], third: tuple[str, str]
) -> None:
    """Nothing leaves, and the reason is told: of entries and exits, at once and some time later."""
    async with open_bench(says, says) as bench:
        await end_of(bench)
        assert [one.stop for one in bench.stopping.stops.standing(trio.current_time())] == [stop]
        for ends in (second, third):
            bench.clob.says.clear()
            bench.clob.says.append(matched())
            sent, released = len(bench.posts), len(bench.released)
            ended, why = await end_of(bench)
            bench.clob.says[0] = matched("10", "20")
            exited, _ = await end_of(bench, make_order(Side.SELL))
            assert (ended, exited) == ends
            assert len(bench.posts) - sent == ends.count("filled")
            assert len(bench.released) - released == ends.count("filled"), "what stays here counts for no limit"
            assert ended == "filled" or stop.value in why
            await trio.sleep(PAUSED_S + 1)
            if stop is Stop.ENTRIES and ends is second:
                bench.stopping.stops.stop(
                    Stop.ENTRIES, "", "again", until=trio.current_time() - 1, now=trio.current_time()
                )


@pytest.mark.parametrize(
    "region", [Says(200, {"blocked": False, "country": "IE"}), Says(500), Says(200, {"blocked": True})]
)
async def test_a_place_that_is_not_blocked_is_tried_again_later(clock: Clock, region: Says) -> None:
    """A page of Cloudflare may go away; a region stays where it is."""
    async with open_bench(Says(403, PAGE), matched()) as bench:
        bench.clob.region = region
        assert (await end_of(bench))[0] == "not sent"
        assert (await end_of(bench))[0] == "not sent"
        assert len(bench.posts) == 1
        await trio.sleep(EGRESS_S + 1)
        assert ((await end_of(bench))[0] == "filled") is (region.body != {"blocked": True})


@pytest.mark.parametrize(
    ("says", "stop"),
    [
        (refusal(401, "Unauthorized/Invalid api key"), Stop.SIGNER),
        (refusal(400, "invalid signature"), Stop.WALLET),
        (refusal(400, "'0x1' address in closed only mode"), Stop.ENTRIES_OF_WALLET),
        (Says(403, PAGE), Stop.EGRESS),
    ],
    ids=lambda value: str(value)[:50],
)
async def test_what_is_stopped_for_good_goes_on_once_a_person_has_armed_the_wallet_again(
    clock: Clock, says: Says, stop: Stop
) -> None:
    """Told once, with what to do; an arming from before it changes nothing, nor does one of another wallet; no restart."""
    async with open_bench(says, says) as bench:
        order = make_order(wallet=evolve(make_order().wallet, name="hot"))
        for _ in range(3):
            await end_of(bench, order)
        assert bench.kinds == ["venue-stopped"]
        assert bench.told[0][1].startswith(stop.value)
        assert bench.told[0][1].endswith("; once that is mended: `trio-copy arm hot`")
        (stopped,) = bench.stopping.stops.standing(trio.current_time())
        await trio.sleep(1)
        bench.stopping.go_on(order.wallet, bench.signer, stopped.at - 1)
        assert (await end_of(bench, order))[0] == "not sent"
        if stop in (Stop.WALLET, Stop.ENTRIES_OF_WALLET):
            other = make_order(wallet=evolve(order.wallet, address=Address("0x" + "99" * 20)))
            bench.stopping.go_on(other.wallet, bench.signer, trio.current_time())
            assert (await end_of(bench, order))[0] == "not sent"
        bench.stopping.go_on(order.wallet, bench.signer, trio.current_time())
        assert bench.kinds == ["venue-stopped", "venue-goes-on"]
        bench.clob.says.clear()
        bench.clob.says.append(matched())
        assert (await end_of(bench, order))[0] == "filled"
        # Not mended, it is told once more.
        bench.clob.says[0] = says
        await end_of(bench, order)
        assert bench.kinds == ["venue-stopped", "venue-goes-on", "venue-stopped"]


async def test_an_arming_ends_no_pause(clock: Clock) -> None:
    """What goes on by itself is not a person's affair."""
    async with open_bench(refusal(503, "Trading is currently disabled.")) as bench:
        await end_of(bench)
        assert "trio-copy" not in bench.told[0][1]
        bench.stopping.go_on(make_order().wallet, bench.signer, trio.current_time() + 1)
        assert (await end_of(bench))[0] == "not sent"
        assert bench.kinds == ["venue-stopped"]


async def test_a_blocked_place_is_asked_about_once_however_many_orders_meet_it(clock: Clock) -> None:
    """What has not left yet does not leave."""
    async with open_bench(Says(403, PAGE)) as bench:
        await trio.sleep(5)
        async with trio.open_nursery() as nursery:
            for _ in range(80):
                nursery.start_soon(end_of, bench)
        assert bench.did == ["blocked"]
        assert bench.kinds == ["venue-stopped"]
        assert len(bench.posts) < 80


@pytest.mark.parametrize("blocked", [True, False])
@pytest.mark.parametrize("where", ["key", "key for a call", "call"])
async def test_wherever_a_place_is_refused_it_is_asked_whether_it_is_blocked(
    clock: Clock, where: str, *, blocked: bool
) -> None:
    """A region stays where it is, and no page of a moment stops exits for longer than that."""
    async with open_bench(Says(403, PAGE)) as bench:
        bench.clob.region = Says(200, {"blocked": blocked, "country": "IE"})
        bench.clob.makes_keys = Says(403, PAGE) if "key" in where else None
        if "call" in where:
            with pytest.raises(ExecutorError, match=r"403|blocked"):
                await bench.cancelling.cancel(make_order(body=GTC), bench.signer, trio.current_time() + 8)
        else:
            assert (await end_of(bench))[0] == "not sent"
        assert bench.did == ["blocked"]
        assert [kind for kind, _ in bench.told] == ["venue-stopped"]
        assert f"IE is {'blocked' if blocked else 'not blocked'}" in bench.told[0][1]
        bench.clob.makes_keys, bench.clob.says[0] = None, matched("10", "20")
        assert (await end_of(bench, make_order(Side.SELL)))[0] == "not sent"
        await trio.sleep(EGRESS_S + 1)
        assert (await end_of(bench, make_order(Side.SELL)))[0] == ("not sent" if blocked else "filled")


async def test_exits_wait_where_trading_is_paused(clock: Clock) -> None:
    """Within their deadline; as long as the venue asks for, and no longer than that."""
    paused = refusal(503, "post-only mode: only post-only orders and cancels are allowed", **{"retry-after": "4"})
    async with open_bench(paused, matched("10", "20")) as bench:
        began = trio.current_time()
        assert (await end_of(bench, make_order(Side.SELL)))[0] == "filled"
        assert 4 <= trio.current_time() - began < 5
        assert bench.kinds == ["venue-stopped", "venue-goes-on"]
    async with open_bench(refusal(503, "post-only mode", **{"retry-after": "90"})) as bench:
        for _ in range(50):
            ended, why = await end_of(bench, make_order(Side.SELL))
            assert ended == "not sent"
            assert "post-only mode" in why
            await trio.sleep(1)
        assert len(bench.posts) == 1
        bench.clob.says[0] = matched("10", "20")
        await trio.sleep(11)
        assert (await end_of(bench, make_order(Side.SELL)))[0] == "filled"


async def test_no_answer_to_one_order_stops_all_others_for_long(clock: Clock) -> None:
    """An hour that one page asks for is no reason to let nobody leave for an hour."""
    async with open_bench(refusal(429, "Too Many Requests", **{"retry-after": "3600"})) as bench:
        assert (await end_of(bench))[0] == "uncertain"
        with trio.fail_after(61):
            await bench.posting.address_turns.wait(is_exit=True)


async def test_the_second_want_of_balance_rests_one_side_of_a_wallet(clock: Clock) -> None:
    """The venue reads the balance again once; what is missing then is missing."""
    async with open_bench(refusal(400, BALANCE)) as bench:
        ended = [(await end_of(bench))[0] for _ in range(3)]
        assert ended == ["rejected", "rejected", "not sent"]
        assert bench.did == ["refresh"]
        # Of the other side nothing was missing yet. What an exit sells is on the chain: read again, it is worth one more order.
        refused = [await bench.post(make_order(Side.SELL), 10.0) for _ in range(2)]
        assert [(one.status, one.stale) for one in refused] == [(Status.REJECTED, True), (Status.REJECTED, False)]
        assert bench.did == ["refresh"] * 2
        await trio.sleep(SHORT_S)
        assert (await end_of(bench))[0] == "rejected"


async def test_what_the_venue_remembers_of_one_exit_stops_no_other(clock: Clock) -> None:
    """Another token has a balance of its own; and what an exit left for later comes when there is more than was read for it."""
    short, sold = refusal(400, BALANCE), matched("10", "20")
    async with open_bench(short, sold, short, sold, short) as bench:
        exits = [make_order(Side.SELL, token_id=token) for token in (TOKEN, TOKEN, TOKEN, TOKEN, TokenId(778))]
        ended = [await bench.post(one, 10.0) for one in exits]
        assert [(one.status, one.stale) for one in ended] == [
            (Status.REJECTED, True),
            (Status.FILLED, False),
            (Status.REJECTED, True),
            (Status.FILLED, False),
            (Status.REJECTED, True),
        ]
        assert (bench.did, bench.told) == (["refresh"] * 3, [])
