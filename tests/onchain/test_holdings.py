"""What wallets hold, by the kind of a position: calldata as others write it, answers that are none, and approvals."""

from fractions import Fraction

import pytest
from eth_abi.abi import encode

from trio_copy.model.fills import Side
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.protocol_v2 import condition_of, is_protocol_v2
from trio_copy.model.units import Price
from trio_copy.ports.acting import Deed
from trio_copy.transactions.calls import Call
from trio_copy.transactions.relayed import POLYMARKET as RELAYED
from trio_copy_onchain.holdings.approvals import Allowance, Approval, ForAll, missing, questions
from trio_copy_onchain.holdings.conditional import Adapted, Conditional
from trio_copy_onchain.holdings.of_venues import approval_of
from trio_copy_onchain.holdings.polymarket import MarketKind, Polymarket
from trio_copy_onchain.holdings.routed import Routed
from trio_copy_onchain.holdings.seam import Condition, Holdings
from trio_copy_onchain.settings import OnchainSettings
from trio_copy_onchain.venues.amounts import Decimals
from trio_copy_onchain.venues.fpmm import Fpmm
from trio_copy_onchain.venues.pool import Pool, Router
from trio_copy_onchain.venues.seam import Swap
from trio_copy_onchain.wallets.kinds import CONTRACTS

WALLET, TOKEN, SPENDER = (Address(f"0x{digit * 40}") for digit in "abc")
POLYMARKET = Polymarket()
STANDARD = Hash32("0x12a0cb60174abc437bf1178367c72d11f069e1a3add20b148fb0ab4279b772b2")
NEG_RISK = Hash32("0xdd22472e552920b8438158ea7238bfadfa4f736aa4cee91a6b86c39ead110917")
ROUTED = Hash32("0x017791f201d5a788e0039e511fc1900e5f000000000000000000000000000000")
TOKENS = {
    MarketKind.STANDARD: (
        10715043962341292242163832255523703116280692082153281340642602592290195499485,
        80085489243215790077454313513728486445319747473476157602131800551595373270758,
    ),
    MarketKind.NEG_RISK: (
        21742633143463906290569050155826241533067272736897614950488156847949938836455,
        48331043336612883890938759509493159234755048973500640148014422747788308965732,
    ),
    MarketKind.ROUTED: (
        663574927012476832975694178961957910328055987427402067619466963999000625152,
        663574927012476832975694178961957910328055987427402067619466963999000625153,
    ),
}
"""Of real markets, as the venue names them."""
CONDITIONS = {MarketKind.STANDARD: STANDARD, MarketKind.NEG_RISK: NEG_RISK, MarketKind.ROUTED: ROUTED}
YES, NO = bytes(31) + b"\1", bytes(32)
BEFORE, WON, LOST = None, Fraction(1), Fraction(0)


def word(value: int) -> bytes:
    return value.to_bytes(32)


def shares(*units: int) -> bytes:
    return encode(["uint256[]"], [units])


@pytest.mark.parametrize("kind", MarketKind)
def test_tokens_are_those_of_real_markets_and_tell_their_kind(kind: MarketKind) -> None:
    condition = POLYMARKET.condition(kind, CONDITIONS[kind])
    assert condition.tokens == TOKENS[kind]
    for token in TOKENS[kind]:
        assert POLYMARKET.condition_with(TokenId(token), CONDITIONS[kind]) == condition
        assert is_protocol_v2(TokenId(token)) is (kind is MarketKind.ROUTED)
    with pytest.raises(ValueError, match="expected an outcome of the condition"):
        POLYMARKET.condition_with(TokenId(TOKENS[kind][0] ^ 2), CONDITIONS[kind])


def test_an_adapter_is_called_as_the_conditional_tokens_are() -> None:
    """Selectors of the venue's own words; what is put into another market's adapter would be another token."""
    for kind, adapter in (
        (MarketKind.STANDARD, "0xada100db00ca00073811820692005400218fce1f"),
        (MarketKind.NEG_RISK, "0xada2005600dec949baf300f4c6120000bdb6eaab"),
    ):
        condition = POLYMARKET.condition(kind, CONDITIONS[kind])
        assert isinstance(condition, Adapted)
        name = bytes.fromhex(CONDITIONS[kind][2:])
        parted = (POLYMARKET.collateral, bytes(32), name, [1, 2])
        types = ["address", "bytes32", "bytes32", "uint256[]"]
        for call, selector, more in (
            (condition.split(7), "72ce4275", (7,)),
            (condition.merge(7), "9e7212ad", (7,)),
            (condition.redeem(held(WON, LOST)).calls[0], "01b7037c", ()),
        ):
            data = bytes.fromhex(selector) + encode([*types, *["uint256"] * len(more)], [*parted, *more])
            assert call == Call(to=Address(adapter), data=data)
        assert condition.needs(Deed.SPLIT, 7) == (
            Allowance(token=POLYMARKET.collateral, spender=Address(adapter), units=7),
        )
        for deed in (Deed.MERGE, Deed.REDEEM):
            assert condition.needs(deed) == (ForAll(token=POLYMARKET.conditional_tokens, operator=Address(adapter)),)
        assert condition.needs(Deed.REFUEL) == ()


def test_the_router_is_called_for_each_outcome_that_won() -> None:
    condition = POLYMARKET.condition(MarketKind.ROUTED, ROUTED)
    assert isinstance(condition, Routed)
    name = bytes.fromhex(ROUTED[2:64])
    for call, selector, more in (
        (condition.split(7), "82d3b9f1", (7,)),
        (condition.merge(7), "5b63685e", (7,)),
        (condition.redeem(held(LOST, WON)).calls[0], "d217a3cc", (1, 20)),
    ):
        data = bytes.fromhex(selector) + encode(["bytes31", *["uint256"] * len(more)], [name, *more])
        assert call == Call(to=POLYMARKET.router, data=data)
    both = condition.redeem(held(Fraction(1, 4), Fraction(3, 4)))
    assert (len(both.calls), both.cash, both.taken) == (2, (2, 15), (10, 20))
    assert condition.needs(Deed.SPLIT, 7) == (
        Allowance(token=POLYMARKET.collateral, spender=POLYMARKET.router, units=7),
    )
    for deed in (Deed.MERGE, Deed.REDEEM):
        assert condition.needs(deed) == (ForAll(token=POLYMARKET.positions, operator=POLYMARKET.router),)
    assert condition.needs(Deed.APPROVE) == ()
    assert all(call.data[:4] == bytes.fromhex("4c619e4c") for call in condition.reads(WALLET)[:2])
    assert condition_of(TokenId(TOKENS[MarketKind.ROUTED][1])) == ROUTED


def held(*payouts: Fraction) -> Holdings:
    return Holdings(units=(10, 20), payouts=payouts)


@pytest.mark.parametrize("kind", MarketKind)
def test_losers_take_no_transaction_and_what_is_open_is_not_redeemed(kind: MarketKind) -> None:
    condition = POLYMARKET.condition(kind, CONDITIONS[kind])
    lost = condition.redeem(Holdings(units=(10, 0), payouts=(LOST, WON)))
    assert (lost.calls, lost.cash, lost.taken) == ((), (0, 0), (0, 0))
    # A payout so small that it is less than a unit is none.
    dust = condition.redeem(Holdings(units=(1, 1), payouts=(Fraction(1, 3), Fraction(2, 3))))
    assert (dust.calls, dust.cash) == ((), (0, 0))
    with pytest.raises(ValueError, match="expected a condition that is decided"):
        condition.redeem(Holdings(units=(10, 0), payouts=None))


def test_answers_of_conditional_tokens_are_read_strictly() -> None:
    condition: Condition = POLYMARKET.condition(MarketKind.STANDARD, STANDARD)
    assert len(condition.reads(WALLET)) == 4
    open_ones = condition.holdings([word(0), word(0), word(0), shares(5, 6)])
    assert open_ones == Holdings(units=(5, 6), payouts=BEFORE)
    parted = condition.holdings([word(4), word(1), word(3), shares(5, 6)])
    assert parted == Holdings(units=(5, 6), payouts=(Fraction(1, 4), Fraction(3, 4)))
    assert (parted.cash(0), parted.cash(1)) == (1, 4)
    for answers in (
        [word(1), word(1), word(1), shares(5, 6)],
        [word(0), word(1), word(0), shares(5, 6)],
        [word(1), word(1), None, shares(5, 6)],
        [word(1), word(1), word(0), shares(5)],
        [word(1), word(1), b"", shares(5, 6)],
        [],
    ):
        with pytest.raises(ValueError, match="expected"):
            condition.holdings(answers)


def test_answers_of_the_position_manager_are_read_strictly() -> None:
    """It refuses to tell a payout before there is one."""
    condition: Condition = POLYMARKET.condition(MarketKind.ROUTED, ROUTED)
    assert condition.holdings([None, None, shares(5, 6)]) == Holdings(units=(5, 6), payouts=BEFORE)
    decided = condition.holdings([word(250_000), word(750_000), shares(5, 6)])
    assert decided == Holdings(units=(5, 6), payouts=(Fraction(1, 4), Fraction(3, 4)))
    for answers in (
        [word(1), None, shares(5, 6)],
        [word(1), word(1), shares(5, 6)],
        [word(0), word(0), shares(5, 6)],
        [word(1_000_000), word(0), None],
        [word(1_000_000), word(0), shares(5)],
        [word(1_000_000), shares(5, 6)],
        [],
    ):
        with pytest.raises(ValueError, match="expected"):
            condition.holdings(answers)


@pytest.mark.parametrize(
    "condition",
    [STANDARD, Hash32(ROUTED[:-1] + "1"), Hash32("0x03" + ROUTED[4:]), Hash32(ROUTED[:40] + "f" + ROUTED[41:])],
)
def test_what_the_router_cannot_redeem_is_refused(condition: Hash32) -> None:
    """A condition of elsewhere, an outcome in its place, several questions in one, bits that have to be zero."""
    with pytest.raises(ValueError, match="expected one of Protocol V2"):
        POLYMARKET.condition(MarketKind.ROUTED, condition)


def test_a_condition_has_two_outcomes_at_least() -> None:
    for outcomes in (1, 257):
        with pytest.raises(ValueError, match="outcomes of a condition: expected 2 to 256"):
            Conditional(contract=TOKEN, collateral=TOKEN, condition=STANDARD, outcomes=outcomes)


def test_what_is_missing_is_what_is_not_allowed_yet() -> None:
    money, all_shares = Allowance(token=TOKEN, spender=SPENDER, units=5), ForAll(token=TOKEN, operator=SPENDER)
    needed: tuple[Approval, ...] = (money, all_shares)
    asked = questions(WALLET, needed)
    assert [call.data[:4].hex() for call in asked] == ["dd62ed3e", "e985e9c5"]
    assert [one.call.data[:4].hex() for one in needed] == ["095ea7b3", "a22cb465"]
    assert money.call.data[4:] == encode(["address", "uint256"], [SPENDER, 5])
    assert all_shares.call.data[4:] == encode(["address", "bool"], [SPENDER, True])
    assert missing(needed, [word(5), YES]) == ()
    assert missing(needed, [word(4), NO]) == needed
    assert missing(needed, [word(2**256 - 1), NO]) == (all_shares,)
    for answers in ([b"", YES], [word(5), b""], [word(5), word(2)], [word(5)]):
        with pytest.raises(ValueError):  # noqa: PT011  of the words of several
            missing(needed, answers)


@pytest.mark.parametrize("units", [-1, 2**128, 2**256 - 1])
def test_an_allowance_is_finite(units: int) -> None:
    with pytest.raises(ValueError, match=r"units of an allowance: expected units from 0, below 2\*\*128"):
        Allowance(token=TOKEN, spender=SPENDER, units=units)


def test_a_swap_needs_what_it_gives_and_no_unit_more() -> None:
    decimals, cash, outcome = Decimals(shares=18, cash=6), TOKEN, SPENDER
    maker, router = Address("0x" + "1" * 40), Address("0x" + "2" * 40)
    fpmm = Fpmm(
        maker=maker, conditional_tokens=outcome, tokens=(TokenId(1), TokenId(2)), outcome=0, fee=0, decimals=decimals
    )  # fmt: skip
    pool = Pool(
        pool=maker, router=Router(address=router, takes_deadline=True), quoter=maker, outcome=outcome, collateral=cash,
        fee=3000, decimals=decimals,
    )  # fmt: skip
    buying = Swap(wallet=WALLET, side=Side.BUY, cash=5, limit=Price(500_000), deadline=1)
    selling = Swap(wallet=WALLET, side=Side.SELL, shares=7, limit=Price(500_000), deadline=1)
    assert approval_of(fpmm, buying, cash) == Allowance(token=cash, spender=maker, units=5)
    assert approval_of(fpmm, selling, cash) == ForAll(token=outcome, operator=maker)
    assert approval_of(pool, buying, cash) == Allowance(token=cash, spender=router, units=5)
    assert approval_of(pool, selling, cash) == Allowance(token=outcome, spender=router, units=7)
    with pytest.raises(ValueError, match="collateral: expected"):
        approval_of(pool, buying, outcome)


def test_the_contracts_are_those_that_people_use() -> None:
    """As they are published, for Polygon; MultiSend is Safe 1.3.0's."""
    there = Polymarket(
        conditional_tokens=Address("0x4D97DCd97eC945f40cF65F87097ACe5EA0476045".lower()),
        collateral=Address("0xC011a7E12a19f7B1f670d46F03B03f3342E82DFB".lower()),
        backing=Address("0x2791Bca1f2de4661ED88A30C99A7a9449Aa84174".lower()),
        neg_risk_backing=Address("0x3A3BD7bb9528E159577F7C2e685CC81A765002E2".lower()),
        adapter=Address("0xAdA100Db00Ca00073811820692005400218FcE1f".lower()),
        neg_risk_adapter=Address("0xadA2005600Dec949baf300f4C6120000bDB6eAab".lower()),
        router=Address("0x12121212006e4CD160D18e3f00711DA5c3372600".lower()),
        positions=Address("0x006F54F7f9A22e0000CC2AB60031000000ae9fEF".lower()),
        exchange=Address("0xE111180000d2663C0091e4f400237545B87B996B".lower()),
        neg_risk_exchange=Address("0xe2222d279d744050d28e00520010520000310F59".lower()),
        exchange_v3=Address("0xe3333700cA9d93003F00f0F71f8515005F6c00Aa".lower()),
    )
    assert there == POLYMARKET
    multi_send = "0xA238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761".lower()
    assert {OnchainSettings().multi_send, CONTRACTS.multi_send, RELAYED.multi_send} == {multi_send}
    assert CONTRACTS.proxy_factory == RELAYED.proxy_factory == "0xaB45c5A4B0c941a2F231C04C3f49182e1A254052".lower()
    assert RELAYED.relay_hub == "0xD216153c06E857cD7f72665E0aF1d7D82172F494".lower()
    assert RELAYED.deposit_factory == "0x00000000000Fb5C9ADea0298D729A0CB3823Cc07".lower()
