"""What venues make of a limit, and of receipts, without a chain: to the unit, rounded against the wallet, hostile or not."""

from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from attrs import evolve
from eth_abi.abi import decode

from tests.chain.test_decoders import raw
from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, IntentKey, TokenId
from trio_copy.model.logs import RawLog
from trio_copy.model.units import MICRO, Price, Rounding, Shares, Usd
from trio_copy_onchain import markets
from trio_copy_onchain.tx.texts import PRICE_REASONS
from trio_copy_onchain.venues import abi
from trio_copy_onchain.venues.amounts import Booked, Decimals
from trio_copy_onchain.venues.fpmm import Fpmm, FpmmState
from trio_copy_onchain.venues.pool import Pool, Router
from trio_copy_onchain.venues.seam import NOTHING, Exchanged, Swap

WALLET, LOW, HIGH = (Address("0x" + digits * 20) for digits in ("77", "11", "99"))
MAKER = Fpmm(
    maker=LOW,
    conditional_tokens=HIGH,
    tokens=(TokenId(1), TokenId(2)),
    outcome=1,
    fee=0,
    decimals=Decimals(shares=6, cash=6),
)
POOL = Pool(
    pool=Address("0x" + "55" * 20),
    router=Router(address=Address("0x" + "66" * 20), takes_deadline=True),
    quoter=Address("0x" + "44" * 20),
    outcome=LOW,
    collateral=HIGH,
    fee=3000,
    decimals=Decimals(shares=18, cash=6),
)
BUY = Swap(wallet=WALLET, side=Side.BUY, cash=10**7, limit=Price(300_000), deadline=9)
SELL = Swap(wallet=WALLET, side=Side.SELL, shares=10**7, limit=Price(300_000), deadline=9)


def given(data: bytes, *types: str) -> tuple[Any, ...]:
    return decode(list(types), data[4:])


def maker_log(event: str, owner: Address, outcome: int, *figures: int) -> RawLog:
    topics = (abi.topic(f"{event}(address,uint256,uint256,uint256,uint256)"), abi.address_topic(owner), outcome)
    return log_of(MAKER.maker, topics, figures)


def pool_log(recipient: Address, *figures: int, at: Address = POOL.pool) -> RawLog:
    event = abi.topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
    return log_of(at, (event, abi.address_topic(LOW), abi.address_topic(recipient)), figures)


def log_of(address: Address, topics: tuple[str | int, ...], figures: tuple[int, ...]) -> RawLog:
    told = [topic if isinstance(topic, str) else f"0x{topic:064x}" for topic in topics]
    data = "0x" + b"".join((figure % 2**256).to_bytes(32) for figure in figures).hex()
    return raw({"address": address, "topics": told, "data": data, "transactionHash": "0x" + "0" * 64})


def test_the_formulas_replay_the_trades_of_a_real_market_maker(load_data: Callable[[str], Any]) -> None:
    """From the first funding on, each trade moves the balances, and each costs and brings what the contract said."""
    data = load_data("ctf_fpmm_logs.json")
    tokens = tuple(TokenId(int(token)) for token in data["meta"]["positionIds"])
    state = FpmmState((10**10, 10**10), int(data["meta"]["fee"]))
    seen = 0
    for entry in data["logs"]:
        if entry["event"] not in ("FPMMBuy", "FPMMSell"):
            continue
        log, told = raw(entry["log"]), entry["decoded"]
        outcome, seen = int(told["outcomeIndex"]), seen + 1
        venue = evolve(MAKER, maker=Address(data["meta"]["fpmm"]), tokens=tokens, outcome=outcome)
        change = [0, 0]
        if entry["event"] == "FPMMBuy":
            cash, fee, shares = (int(told[n]) for n in ("investmentAmount", "feeAmount", "outcomeTokensBought"))
            assert state.bought_for(cash, outcome) == shares
            assert venue.decode(Address(told["buyer"]), Side.BUY, [log]) == Exchanged(shares=shares, cash=cash, fee=fee)
            change = [cash - fee, cash - fee]
            change[outcome] -= shares
        else:
            cash, fee, shares = (int(told[n]) for n in ("returnAmount", "feeAmount", "outcomeTokensSold"))
            assert state.sold_for(cash, outcome) == shares
            assert state.cash_for(shares, outcome) >= cash
            assert state.cash_for(shares - 1, outcome) < cash
            assert venue.decode(Address(told["seller"]), Side.SELL, [log]) == Exchanged(
                shares=shares, cash=cash, fee=fee
            )
            change = [-cash - fee, -cash - fee]
            change[outcome] += shares
        state = FpmmState((state.balances[0] + change[0], state.balances[1] + change[1]), state.fee)
    assert seen == 5


def test_a_market_maker_rounds_up_within_its_formulas_too() -> None:
    """A rest beneath 10**-18 of a unit is a whole unit in the end: against whoever trades, in balances of 18 decimals."""
    bought, sold = 3_333_333_333_333_333_333, 6_666_666_666_666_666_667
    assert FpmmState((3, 10**19 - bought), 0).bought_for(bought, 0) == bought
    assert FpmmState((3, 10**19 + sold), 0).sold_for(sold, 0) == sold + 3
    # The fee is rounded down: of 49 units at 2 % there is none.
    assert FpmmState((10**9, 10**9), 2 * 10**16).bought_for(49, 0) == 97


@pytest.mark.parametrize("balances", [(0, 5), (5, 0), (10**6, 10)])
def test_a_market_maker_that_cannot_trade_gives_no_figure(balances: tuple[int, ...]) -> None:
    """An empty one divides by zero in the contract; a sale for more than it has of the other outcome as well."""
    state = FpmmState(balances, 0)
    assert (state.bought_for(100, 0) is None) is (0 in balances)
    assert state.sold_for(10, 0) is None
    assert state.cash_for(10**9, 0) < 10


@pytest.mark.parametrize("decimals", [(6, 6), (18, 6), (6, 18), (18, 18), (0, 2)])
def test_a_limit_becomes_the_last_amount_that_it_allows(decimals: tuple[int, int]) -> None:
    """One unit less for what is given, or one more of what is asked for, is over the limit: for every call, at random."""
    random, (of_shares, of_cash) = Random(sum(decimals)), decimals
    units = Decimals(shares=of_shares, cash=of_cash)
    maker, pool = evolve(MAKER, decimals=units), evolve(POOL, decimals=units)

    def price(cash: int, shares: int) -> Fraction:
        return Fraction(cash, shares) * units.share / units.coin

    for _ in range(40):
        limit = Price(random.randrange(1, MICRO))
        allowed = Fraction(limit.micro, MICRO)
        amount = random.randrange(10**6, 10**24)
        buy, sell = evolve(BUY, cash=amount, limit=limit), evolve(SELL, shares=amount, limit=limit)
        cash, outcome, least = given(maker.call(buy).data, *["uint256"] * 3)
        assert (cash, outcome) == (amount, 1)
        assert price(cash, least) <= allowed
        assert least == 1 or price(cash, least - 1) > allowed
        assert given(pool.call(buy).data, *["uint256"] * 8)[5:7] == (amount, least)
        least_cash = given(pool.call(sell).data, *["uint256"] * 8)[6]
        assert price(least_cash, amount) >= allowed > price(least_cash - 1, amount)
        try:
            cash, outcome, most = given(maker.call(sell).data, *["uint256"] * 3)
        except ValueError:
            assert price(1, amount) > allowed  # not a unit of cash comes at this price
        else:
            assert most <= amount
            assert price(cash, most) >= allowed > price(cash, most + 1)
        # Asked for more than the limit says, that is what has to come.
        more = evolve(sell, cash=least_cash + 5)
        assert given(maker.call(more).data, *["uint256"] * 3) == (least_cash + 5, 1, amount)
        assert given(pool.call(more).data, *["uint256"] * 8)[6] == least_cash + 5


def test_a_partial_fill_stops_at_the_last_price_that_the_limit_allows() -> None:
    """As a fraction of what the pool counts in: there the fee on top is just within the limit, one step on it is not."""
    random = Random(3)
    for _ in range(300):
        outcome, collateral = random.sample((LOW, HIGH), 2)
        units = Decimals(shares=random.randrange(0, 25), cash=random.randrange(0, 25))
        venue = evolve(
            POOL, outcome=outcome, collateral=collateral, decimals=units, fee=random.choice((0, 100, 3000, 10_000))
        )
        limit = Price(random.randrange(1, MICRO))
        allowed, kept = Fraction(limit.micro, MICRO), 1 - Fraction(venue.fee, 10**6)
        for side, step in ((Side.BUY, 1), (Side.SELL, -1)):
            stop = venue.stop_at(side, limit)
            assert 4295128739 < stop < 1461446703485210103287273052203988822378723970342
            # What makes a share dearer raises the pool's price where the outcome comes first, and lowers it otherwise.
            step = step if outcome < collateral else -step
            within, beyond = (_price(venue, side, root, kept) for root in (stop, stop + step))
            if side is Side.BUY:
                assert within <= allowed < beyond
            else:
                assert within >= allowed > beyond


def _price(venue: Pool, side: Side, root: int, kept: Fraction) -> Fraction:
    """Return what a share costs, or brings, at a pool's price, fee included."""
    ratio = Fraction(root**2, 1 << 192)
    cash = ratio if venue.outcome < venue.collateral else 1 / ratio
    whole = cash * venue.decimals.share / venue.decimals.coin
    return whole / kept if side is Side.BUY else whole * kept


def test_a_router_is_told_everything_that_bounds_a_swap() -> None:
    """The tokens by side, who gets it, the deadline inside or around; the key behind the arguments changes none of them."""
    single = "(address,address,uint24,address,uint256,uint256,uint256,uint160)"
    key = IntentKey("cd" * 32)
    marked = POOL.call(BUY).marked(key)
    assert marked.to == POOL.router.address
    assert marked.data.endswith(bytes.fromhex(key))
    least = 10**7 * 10**18 // 300_000 + 1
    assert given(marked.data, single) == ((HIGH, LOW, 3000, WALLET, 9, 10**7, least, 0),)
    later = evolve(POOL, router=evolve(POOL.router, takes_deadline=False))
    deadline, (inner,) = given(later.call(evolve(SELL, partial=True)).data, "uint256", "bytes[]")
    without = "(address,address,uint24,address,uint256,uint256,uint160)"
    stop = POOL.stop_at(Side.SELL, SELL.limit)
    assert deadline == 9
    assert given(inner, without) == ((LOW, HIGH, 3000, WALLET, 10**7, 1, stop),)


REST = (0, 0, 0)
"""What a pool tells besides the amounts."""


@pytest.mark.parametrize(
    ("side", "amounts", "expected"),
    [
        (Side.BUY, (-(10**19), 4 * 10**6), Exchanged(shares=10**19, cash=4 * 10**6, fee=12_000)),
        (Side.SELL, (10**19, -997_000), Exchanged(shares=10**19, cash=997_000, fee=3000)),
    ],
)
def test_a_pools_receipt_says_what_was_exchanged(side: Side, amounts: tuple[int, int], expected: Exchanged) -> None:
    """The pool names what it got and what it gave in the order of its tokens; what others exchanged is none of it."""
    others = [
        pool_log(HIGH, *amounts, *REST),
        pool_log(WALLET, *amounts, *REST, at=HIGH),
        maker_log("FPMMBuy", WALLET, 1, 5, 5, 5),
    ]
    assert POOL.decode(WALLET, side, others) == NOTHING
    assert POOL.decode(WALLET, side, [*others, pool_log(WALLET, *amounts, *REST)]) == expected
    turned = evolve(POOL, outcome=HIGH, collateral=LOW)
    assert turned.decode(WALLET, side, [pool_log(WALLET, *reversed(amounts), *REST)]) == expected


@pytest.mark.parametrize(
    ("venue", "side", "logs"),
    [
        (POOL, Side.SELL, [pool_log(WALLET, -5, 5, *REST)]),
        (POOL, Side.BUY, [pool_log(WALLET, 5, 5, *REST)]),
        (POOL, Side.BUY, [pool_log(WALLET, -5, 5)]),
        (POOL, Side.BUY, [pool_log(WALLET, -5, 5, *REST)] * 2),
        (MAKER, Side.BUY, [maker_log("FPMMBuy", WALLET, 1, 5, 5)]),
        (MAKER, Side.SELL, [maker_log("FPMMSell", WALLET, 1, 5, 0, 5)] * 2),
    ],
)
def test_a_receipt_that_says_something_else_is_refused(venue: Fpmm | Pool, side: Side, logs: list[RawLog]) -> None:
    with pytest.raises(ValueError, match="expected"):
        venue.decode(WALLET, side, logs)


def test_of_a_market_maker_only_the_wallets_own_trade_counts() -> None:
    strange = [
        maker_log("FPMMBuy", HIGH, 1, 5, 1, 5),
        maker_log("FPMMBuy", WALLET, 0, 5, 1, 5),
        maker_log("FPMMSell", WALLET, 1, 5, 1, 5),
    ]
    assert MAKER.decode(WALLET, Side.BUY, strange) == NOTHING
    ours = maker_log("FPMMBuy", WALLET, 1, 50, 2, 70)
    assert MAKER.decode(WALLET, Side.BUY, [*strange, ours]) == Exchanged(shares=70, cash=50, fee=2)


@pytest.mark.parametrize(
    ("venue", "answers"),
    [
        (MAKER, (None,)),
        (MAKER, (b"",)),
        (MAKER, (bytes(96),)),
        (MAKER, (bytes(128),)),
        (MAKER, ((32).to_bytes(32) + (3).to_bytes(32) + bytes(64),)),
        (POOL, (bytes(32),)),
        (POOL, (bytes(160),)),
    ],
)
def test_an_answer_that_is_none_is_no_quote(venue: Fpmm | Pool, answers: tuple[bytes | None, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected|refuses"):
        venue.quote(BUY, answers)


def test_what_a_quoter_refuses_a_pool_does_not_exchange() -> None:
    assert POOL.quote(SELL, (None,)) is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: evolve(BUY, cash=0),
        lambda: evolve(BUY, cash=-1),
        lambda: evolve(BUY, cash=1 << 128),
        lambda: evolve(BUY, shares=5),
        lambda: evolve(SELL, shares=0),
        lambda: evolve(BUY, limit=Price(0)),
        lambda: evolve(BUY, limit=Price(MICRO)),
        lambda: Decimals(shares=25, cash=6),
        lambda: Decimals(shares=18, cash=-1),
        lambda: evolve(POOL, fee=10**6),
        lambda: evolve(MAKER, fee=10**18),  # all there is
        lambda: MAKER.call(evolve(SELL, shares=1)),
    ],
)
def test_what_nobody_could_mean_is_refused(wrong: Callable[[], object]) -> None:
    """A router takes an amount of zero for all that lies on it; a price outside of (0, 1) is none of a share."""
    with pytest.raises(ValueError, match="expected"):
        wrong()


def test_the_books_never_hold_more_than_the_chain() -> None:
    """What came is rounded down, what left is rounded up; the fee stands beside the notional and not in it."""
    units = Decimals(shares=18, cash=18)
    odd = Exchanged(shares=3 * 10**18 + 1, cash=10**18 + 1, fee=10**16 + 1)
    assert units.booked(Side.BUY, odd) == Booked(shares=Shares(3_000_000), notional=Usd(990_000), fee=Usd(10_001))
    assert units.booked(Side.SELL, odd) == Booked(shares=Shares(3_000_001), notional=Usd(1_010_001), fee=Usd(10_001))
    coarse = Decimals(shares=2, cash=6)
    assert coarse.shares_units(Shares(1_239_999)) == 123
    assert coarse.cash_units(Usd(5)) == 5
    assert units.cash_at(units.shares_units(Shares(5)), Price(500_000), Rounding.DOWN) == units.cash_units(Usd(5)) // 2


def test_every_word_of_a_venue_is_known_to_whoever_reads_reverts() -> None:
    assert MAKER.words | POOL.words == PRICE_REASONS


@pytest.mark.parametrize(("side", "price"), [(Side.BUY, "0.333334"), (Side.SELL, "0.333333")])
def test_a_quote_is_never_better_than_the_venue(side: Side, price: str) -> None:
    """A price of whole millionths: what is asked is rounded up, and what is bid down; of nothing there is none."""
    decimals = Decimals(shares=6, cash=6)
    assert markets._price(decimals, side, Exchanged(shares=3 * MICRO, cash=MICRO, fee=MICRO // 50)) == Price.parse(
        price
    )
    assert markets._price(decimals, side, None) is None
