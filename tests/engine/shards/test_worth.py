"""Rules that count what is held at its marks: how big copies are, and how far a follower may fall."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio.testing
from attrs import evolve

from tests.accounts.played import SPOT, Played, entry
from tests.accounts.states import documents
from tests.builders import ALICE, LEADER, NOW, OTHER_LEADER, usd
from tests.engine.sending.test_leaving import Book, mine_for, plan_for, position_of
from tests.harness import World, make_test_plan, open_world, running_engine
from trio_copy.accounts import commands as c
from trio_copy.accounts.documents import PlainDocument, account_of
from trio_copy.engine.service import Service
from trio_copy.engine.shards.marks import Marks
from trio_copy.engine.shards.worth import unrealised
from trio_copy.model.catalog import Catalog
from trio_copy.model.control import Mode
from trio_copy.model.decisions import Code
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import Caps, Filters, Sizing
from trio_copy.model.ids import TokenId
from trio_copy.model.units import NO_USD, Price, Ratio, Shares, Usd

Clock = trio.testing.MockClock
BY_MARK = Sizing(
    mode="equity", equity_by="mark", leader_equity_usd=usd("10000"), ratio=Ratio.parse("1"), minimum_usd=NO_USD
)


@asynccontextmanager
async def holding(world: World, book: Book, **tables: object) -> AsyncGenerator[Service, None]:
    """Run an engine whose follower has 1,000 USD on paper and has just copied a purchase of token 1 at 0.50."""
    world.quotes = book
    plan = plan_for(filters=Filters(max_age_s=600.0), **tables)
    async with running_engine(world, plan) as service:
        followers = service.book.terms.followers
        followers.named[ALICE] = evolve(followers[ALICE], paper_usd=usd("1000"))
        world.chain.mine(world.buy(shares=400))
        await world.recorder.wait_copies(1)
        yield service


@pytest.mark.parametrize(("bid", "shares"), [("0.5", "40"), ("0.75", "40.4"), ("0.25", "39.6")])
async def test_a_copy_is_sized_by_what_the_wallet_is_worth(clock: Clock, bid: str, shares: str) -> None:
    """Forty shares were bought; whatever they gain or lose by their mark, the next copy is larger or smaller by."""
    async with open_world() as world:
        book = Book({TokenId(1): "0.5", TokenId(2): "0.5"})
        async with holding(world, book, size=BY_MARK) as service:
            assert position_of(service).shares == Shares.parse(40)
            book.prices[TokenId(1)] = bid
            await mine_for(world, 4)
            world.chain.mine(world.buy(token=2, shares=400))
            await world.recorder.wait_copies(2)
            assert position_of(service, 2).shares == Shares.parse(shares)


@pytest.mark.parametrize("tables", [{"size": BY_MARK}, {"caps": Caps(max_drawdown_usd=usd("5"), drawdown_by="mark")}])
async def test_what_nobody_knows_the_worth_of_buys_nothing_and_is_sold(clock: Clock, tables: dict[str, object]) -> None:
    """Bids are gone for more than a minute: entries end with the token that is to blame, exits go on."""
    async with open_world() as world:
        book = Book({TokenId(1): "0.5", TokenId(2): "0.5"})
        async with holding(world, book, **tables) as service:
            await mine_for(world, 4)
            del book.prices[TokenId(1)]
            await mine_for(world, 70)
            world.chain.mine(world.buy(token=2, shares=400))
            await mine_for(world, 4)
            assert not position_of(service, 2).shares
            reasons = [skip.reason for skip in world.recorder.skips]
            reasons += [one.outcome.reason for one in world.recorder.finished if one.outcome.reason is not None]
            assert [(one.code, one.value) for one in reasons] == [(Code.WORTH_UNKNOWN, "no bid of token 1")]
            world.chain.mine(world.buy(side=Side.SELL, shares=400))
            await mine_for(world, 4)
            book.prices[TokenId(1)] = "0.5"
            await mine_for(world, 2)
            assert world.recorder.finished[-1].task.intent.side is Side.SELL


@pytest.mark.parametrize("kind", ["stop-buying", "close-only"])
async def test_a_drawdown_by_mark_stops_entries_while_nothing_was_realised(clock: Clock, kind: str) -> None:
    """Ten dollars up and six down from there: a cap of five is broken, and holds as `on_breach` says."""
    async with open_world() as world:
        book = Book({TokenId(1): "0.5", TokenId(2): "0.5"})
        caps = Caps(max_drawdown_usd=usd("5"), drawdown_by="mark", on_breach=kind)
        async with holding(world, book, caps=caps) as service:
            for bid in ("0.75", "0.6"):
                book.prices[TokenId(1)] = bid
                await mine_for(world, 4)
            assert service.holder.shards[0].accounts[ALICE].performance.worth_peak == usd("10")
            world.chain.mine(world.buy(token=2, shares=100))
            await mine_for(world, 2)
            reason = world.recorder.finished[-1].outcome.reason
            assert reason is not None
            assert (reason.code, reason.control, reason.value) == (Code.LOSS_LIMIT, "caps.max_drawdown_usd", "6")
            book.prices[TokenId(1)] = "0.7"
            await mine_for(world, 4)
            world.chain.mine(world.buy(token=2, shares=100))
            await mine_for(world, 2)
            assert bool(position_of(service, 2).shares) is (kind == "stop-buying")
            mode = service.holder.shards[0].accounts[ALICE].mode
            assert (mode and mode.mode) == (None if kind == "stop-buying" else Mode.REDUCE_ONLY)


async def test_what_is_copied_from_others_counts_as_well(clock: Clock) -> None:
    """Only one of two follows has the cap; what the other one holds has been ten dollars up, and is down again."""
    async with open_world() as world:
        world.quotes = book = Book({TokenId(1): "0.5", TokenId(2): "0.5"})
        plan = make_test_plan(followers=("alice",), leaders=(LEADER, OTHER_LEADER), executor={"price_source": "book"})
        capped = Caps(max_drawdown_usd=usd("5"), drawdown_by="mark")
        follow = tuple(evolve(one, caps=capped) if one.leader == LEADER else one for one in plan.settings.follow)
        async with running_engine(world, evolve(plan, settings=evolve(plan.settings, follow=follow))):
            world.chain.mine(world.buy(OTHER_LEADER, shares=400))
            for bid in ("0.5", "0.75", "0.5"):
                book.prices[TokenId(1)] = bid
                await mine_for(world, 6)
            world.chain.mine(world.buy(LEADER, token=2, shares=100))
            await mine_for(world, 2)
            reason = world.recorder.finished[-1].outcome.reason
            assert reason is not None
            assert (reason.code, reason.value) == (Code.LOSS_LIMIT, "10")


def test_a_peak_is_seen_once_and_forgotten_by_a_person() -> None:
    """Only a higher one is written; after a reset the next look begins anew; both outlive the process."""
    played = Played()
    look = [bool(played.do(c.SeeWorth(unrealised=usd(gained), at=NOW))) for gained in ("3", "2", "3", "4")]
    assert look == [True, False, False, True]
    assert played.account.performance.drawdown_by_mark(usd("1")) == usd("3")
    played.do(c.ResetPeak(at=NOW))
    again = account_of(
        ALICE, Catalog(), [PlainDocument(*name, body) for name, body in documents(played.account).items()]
    )
    assert again.performance == played.account.performance
    assert again.performance.drawdown_by_mark(usd("-9")) == NO_USD
    played.do(c.SeeWorth(unrealised=usd("-9"), at=NOW))
    assert played.account.performance.drawdown_by_mark(usd("-10")) == usd("1")


def test_what_was_just_bought_counts_as_what_it_cost() -> None:
    """Nobody has looked at it yet; after a minute without a bid its worth is unknown, also when there was one before."""
    played, marks = Played(), Marks()
    played.fill(entry())
    (opened,) = (holding.now.opened_at for holding in played.account.holdings.values())
    known = [unrealised(played.account, marks, "a cap", opened - 60 + after) for after in (0, 60, 61)]
    assert [one if isinstance(one, Usd) else one.code for one in known] == [NO_USD, NO_USD, Code.WORTH_UNKNOWN]
    marks.note((ALICE, *SPOT), Price.parse("0.6"), opened + 70)
    known = [unrealised(played.account, marks, "a cap", opened - 60 + after) for after in (130, 131)]
    assert [one if isinstance(one, Usd) else one.code for one in known] == [usd("0.9"), Code.WORTH_UNKNOWN]
