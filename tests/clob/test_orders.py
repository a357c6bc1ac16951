"""What an order is, byte for byte: the vectors that both official clients agree on, and what `prepare` makes of an intent."""

import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import ALICE
from tests.clob.written import (
    CASES,
    INTENT_KEY,
    KEY,
    LEADER_TIME,
    TICKS,
    VECTORS,
    exchange_in,
    intent,
    maker,
    market,
    order_in,
    wish,
)
from trio_copy.model.decisions import Code
from trio_copy.model.fills import Side
from trio_copy.model.ids import ChainId, IntentKey, TokenId
from trio_copy.model.orders import Order, Wallet
from trio_copy.model.units import MICRO, NO_SHARES, NO_USD, Price, Shares, Usd
from trio_copy.native import keccak, signer_of
from trio_copy.ports import Spending
from trio_copy_clob.orders.body import body_of, read_body, with_owner
from trio_copy_clob.orders.exchanges import AMOY, DOMAIN_TYPE, EXCHANGES, POLYGON, exchange_of
from trio_copy_clob.orders.order import ORDER_TYPE, digest_of, struct_hash
from trio_copy_clob.orders.prepare import Draft, draft, prepare
from trio_copy_clob.orders.signing import ENVELOPE_TYPE, digests_of, signature_of
from trio_copy_clob.orders.spending import frozen_spending

API_KEY = "00000000-0000-0000-0000-000000000000"


def frozen(key: IntentKey, drafted: Draft) -> Order:
    """The order of a draft as the executor freezes it."""
    order = drafted.order
    return Order(
        key=key,
        order_id=drafted.order_id,
        executor="clob",
        wallet=Wallet(follower=ALICE, address=order.maker),
        side=order.side,
        token_id=order.token_id,
        shares=drafted.shares,
        limit_price=drafted.limit_price,
        body=drafted.body(KEY.sign(drafted.digests.to_sign)),
        max_cost=drafted.cash if order.side is Side.BUY else NO_USD,
    )


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_an_order_is_what_the_official_clients_make_of_it(case: dict[str, Any]) -> None:
    """Domain, hashes, the id by which the venue knows it, the signature, and the body to the last byte."""
    order, exchange = order_in(case), exchange_in(case)
    digests = digests_of(order, exchange)
    signature = signature_of(order, exchange, digests, KEY.sign(digests.to_sign))

    assert f"0x{exchange.separator.hex()}" == case["domainSeparator"]
    assert f"0x{digests.contents.hex()}" == case["structHash"]
    assert f"0x{digests.order_id.hex()}" == case["orderDigest_eq_orderID"]
    assert f"0x{signature.hex()}" == case["signature"]
    assert len(signature) == case["signature_len_bytes"]
    wire = case["wire_body_POST_order"]
    body = with_owner(body_of(order, signature), wire["owner"])
    assert body.decode() == json.dumps(wire, separators=(",", ":"))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "erc7739" in case])
def test_a_deposit_wallets_signature_is_that_of_its_owner_over_an_envelope(name: str) -> None:
    """Its parts are those of the published breakdown: so a wallet that refuses one can be told why."""
    case = CASES[name]
    parts, order, exchange = case["erc7739"], order_in(case), exchange_in(case)
    digests = digests_of(order, exchange)

    assert f"0x{digests.to_sign.hex()}" == parts["signedDigest"]
    assert f"0x{KEY.sign(digests.to_sign).hex()}" == parts["innerSignature"]
    assert digests.order_id != digests.to_sign


def test_an_order_is_what_the_contract_itself_says_it_is() -> None:
    """`hashOrder` of the real exchange was read on mainnet."""
    golden = VECTORS["chain_verified_golden"]
    order, exchange = order_in(golden), exchange_in(golden)

    assert f"0x{exchange.separator.hex()}" == golden["domainSeparator"]
    assert f"0x{struct_hash(order).hex()}" == golden["structHash"]
    assert f"0x{digest_of(order, exchange).hex()}" == golden["digest"]


@pytest.mark.parametrize("signature_type", range(4))
@pytest.mark.parametrize("exchange", EXCHANGES)
@pytest.mark.parametrize("chain_id", [POLYGON, AMOY])
def test_what_an_order_may_do_is_read_from_its_frozen_body(chain_id: int, exchange: str, signature_type: int) -> None:
    """Whoever sends it, after a restart too, tells the guard the same as whoever signed it; the body does not name its exchange."""
    whose, of = maker(signature_type), market(exchange=exchange)
    for side, order_type, number in ((Side.BUY, "FAK", 0), (Side.SELL, "GTC", 999), (Side.BUY, "GTD", 1_001)):
        key, wanted = IntentKey(f"{number:064x}"), intent(side, "20", "0.51", order_type, rest_until=LEADER_TIME + 9)
        drafted = draft(key, wanted, whose, of, LEADER_TIME, chain_id=chain_id)
        assert isinstance(drafted, Draft)
        order = frozen(key, drafted)
        spending, digest = frozen_spending(order, ChainId(chain_id))
        assert digest == drafted.digests.to_sign
        assert read_body(order.body) == drafted.order
        assert spending == Spending(
            key=key,
            side=side,
            token_id=order.token_id,
            limit_price=order.limit_price,
            max_cost=order.max_cost,
            chain_id=ChainId(chain_id),
            contract=exchange_of(exchange, chain_id).contract,
            maker=whose.address,
            at=LEADER_TIME,
        )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"salt":', b'"salt":1'),
        (b'"salt":', b'"salt":-'),
        (b'"side":"BUY"', b'"side":"SELL"'),
        (b'"side":"BUY"', b'"side":"HOLD"'),
        (b'"maker":"0x', b'"maker":"1x'),
        (b'"makerAmount":"', b'"makerAmount":"-'),
        (b'"makerAmount":"', b'"makerAmount":"1'),
        (b'"takerAmount":"', b'"takerAmount":"x'),
        (b'"timestamp":"', b'"timestamp":"9' + b"9" * 90),
        (b'"metadata":"0x', b'"metadata":"0xzz'),
        (b'{"order":', b'{"order":['),
        (b'"postOnly"', b'"postonly"'),
    ],
)
def test_a_body_that_is_not_its_orders_is_none(old: bytes, new: bytes) -> None:
    """It came back from a store: what is released is what leaves, or nothing is."""
    drafted = draft(INTENT_KEY, intent(Side.BUY, "20", "0.51"), maker(), market(), LEADER_TIME)
    assert isinstance(drafted, Draft)
    order = frozen(INTENT_KEY, drafted)
    spoiled = evolve(order, body=order.body.replace(old, new))
    assert spoiled.body != order.body
    with pytest.raises(ValueError, match=r"expected the (frozen )?body of"):
        frozen_spending(spoiled, ChainId(POLYGON))
    with pytest.raises(ValueError, match="got that of another one"):
        frozen_spending(order, ChainId(AMOY))


def test_types_are_those_of_the_contracts() -> None:
    """A letter more in one of them, and nothing that is signed is worth anything."""
    constants = VECTORS["constants"]

    assert ORDER_TYPE.decode() == constants["orderTypeString"]
    assert f"0x{keccak(ORDER_TYPE).hex()}" == constants["orderTypeHash"]
    assert ENVELOPE_TYPE.decode() == constants["soladyTypedDataSignTypeString"]
    assert f"0x{keccak(DOMAIN_TYPE).hex()}" == constants["domainTypeHash"]


def test_every_exchange_on_every_chain_has_a_domain_of_its_own() -> None:
    """An order for one of them is worth nothing at another."""
    known = {(chain, name): exchange_of(name, chain) for chain in (POLYGON, AMOY) for name in EXCHANGES}

    assert len({one.separator for one in known.values()}) == 6
    constants = VECTORS["constants"]
    for name, constant in (("v2", "std_v2"), ("v2-neg-risk", "negrisk_v2"), ("v3", "v3")):
        assert f"0x{known[POLYGON, name].separator.hex()}" == constants[f"domainSeparator_{constant}_137"]


@pytest.mark.parametrize(("name", "chain"), [("", 137), ("v1", 137), ("V2", 137), ("v2", 1), ("v3", 0)])
def test_an_unknown_exchange_is_never_guessed(name: str, chain: int) -> None:
    with pytest.raises(ValueError, match="expected one of v2, v2-neg-risk, v3 on chain 137 or 80002, got"):
        exchange_of(name, chain)
    with pytest.raises(ValueError, match="expected one of"):
        draft(
            INTENT_KEY,
            intent(Side.BUY, "100", "0.5"),
            maker(),
            market(exchange=name),
            LEADER_TIME,
            chain_id=chain,
        )


@pytest.mark.parametrize("row", VECTORS["amount_cases"]["rows"], ids=lambda row: f"{row['kind']} {row['tick']}")
def test_amounts_are_those_of_the_exact_official_client_where_the_venue_takes_them(row: dict[str, Any]) -> None:
    """Where its taker amount has more decimals than the venue takes, the rest is cut off."""
    side = Side(row["side"])
    wanted = wish(row["kind"], side, row.get("size") or row["amount"], row["price"])
    made = draft(INTENT_KEY, wanted, maker(), market(row["tick"], "0.01"), LEADER_TIME)

    assert isinstance(made, Draft)
    gives, gets = map(int, row["polymarket_client"])
    if row["kind"] == "market":
        gets -= gets % 100
    assert (made.order.maker_amount, made.order.taker_amount) == (gives, gets)


@pytest.mark.parametrize("signature_type", range(4))
@pytest.mark.parametrize("order_type", ["FAK", "FOK", "GTC", "GTD"])
@pytest.mark.parametrize("side", Side)
def test_an_intent_becomes_the_same_bytes_each_time(side: Side, order_type: str, signature_type: int) -> None:
    """Salt and time come from its key and from the leader's block; the id is known before anything is sent."""
    wanted = intent(side, "20.5", "0.5", order_type, rest_until=LEADER_TIME + 600 if order_type == "GTD" else 0)
    arguments = (INTENT_KEY, wanted, maker(signature_type), market(exchange="v2-neg-risk"), LEADER_TIME, KEY.sign)
    made = prepare(*arguments)
    body = json.loads(made.body)
    order = body["order"]

    assert prepare(*arguments) == made
    assert order["salt"] == int(INTENT_KEY[:12], 16) < 2**53
    assert order["timestamp"] == str(LEADER_TIME * 1000 - int(INTENT_KEY, 16) % 1000)
    assert order["metadata"] == order["builder"] == "0x" + "0" * 64
    assert order["expiration"] == (str(LEADER_TIME + 660) if order_type == "GTD" else "0")
    assert (order["side"], order["signatureType"], body["orderType"]) == (side.value, signature_type, order_type)
    assert (body["owner"], body["postOnly"], body["deferExec"]) == ("", False, False)
    assert order["maker"].lower() == maker(signature_type).address
    assert order["signer"].lower() == (order["maker"].lower() if signature_type == 3 else KEY.address)
    assert (made.shares, made.limit_price, made.cash) == (Shares.parse("20.5"), Price.parse("0.5"), Usd.parse("10.25"))
    gives, gets = ("10250000", "20500000") if side is Side.BUY else ("20500000", "10250000")
    assert (order["makerAmount"], order["takerAmount"]) == (gives, gets)
    drafted = draft(*arguments[:-1])
    assert isinstance(drafted, Draft)
    assert drafted.order_id == made.order_id
    signature = bytes.fromhex(order["signature"][2:])
    assert len(signature) == (317 if signature_type == 3 else 65)
    assert signer_of(drafted.digests.to_sign, signature[:65]) == KEY.address


def test_what_is_not_signed_does_not_change_the_id_but_the_body() -> None:
    """So the body is frozen whole: of two that differ in this alone, the venue would take the first and call the other a duplicate."""
    made = [
        prepare(
            INTENT_KEY, intent(Side.BUY, "20", "0.5", kind, rest_until=ends), maker(), market(), LEADER_TIME, KEY.sign
        )
        for kind, ends in (("GTC", 0), ("GTD", LEADER_TIME + 600), ("GTD", LEADER_TIME + 601))
    ]
    only = prepare(
        INTENT_KEY, intent(Side.BUY, "20", "0.5", "GTC"), maker(), market(), LEADER_TIME, KEY.sign, post_only=True
    )

    assert len({one.order_id for one in (*made, only)}) == 1
    assert len({one.body for one in (*made, only)}) == 4
    assert json.loads(only.body)["postOnly"] is True


def test_another_tokens_market_says_nothing_about_an_order() -> None:
    """Of another exchange, nobody would ever know it."""
    with pytest.raises(ValueError, match="expected the market of token 7, got that of"):
        draft(
            INTENT_KEY,
            evolve(intent(Side.BUY, "20", "0.5"), token_id=TokenId(7)),
            maker(),
            market(),
            LEADER_TIME,
        )


@pytest.mark.parametrize("order_type", ["FAK", "FOK"])
def test_an_order_that_takes_at_once_cannot_only_make(order_type: str) -> None:
    with pytest.raises(ValueError, match=f"expected GTC or GTD for an order that only makes, got {order_type}"):
        draft(INTENT_KEY, intent(Side.BUY, "20", "0.5", order_type), maker(), market(), LEADER_TIME, post_only=True)


@pytest.mark.parametrize(
    ("side", "order_type", "shares"),
    [(Side.BUY, "FAK", "1.99"), (Side.BUY, "GTC", "4.999"), (Side.SELL, "FOK", "4.99")],
)
def test_under_the_minimum_it_is_an_order_of_no_shares_that_nobody_signs(
    side: Side, order_type: str, shares: str
) -> None:
    """An instant BUY has to cost a dollar; everything else has the market's minimum of shares."""

    def sign(digest: bytes) -> bytes:
        raise AssertionError("nothing is signed that is not sent")

    made = prepare(INTENT_KEY, intent(side, shares, "0.5", order_type), maker(), market(), LEADER_TIME, sign)

    assert (made.shares, made.order_id, made.body) == (NO_SHARES, "", b"")
    assert made.why is not None
    assert made.why.code is Code.BELOW_MINIMUM


@given(st.lists(st.integers(0, 2**256 - 1).map(lambda number: IntentKey(f"{number:064x}")), unique=True, max_size=20))
def test_another_key_is_another_order(keys: list[IntentKey]) -> None:
    """And none of them leaves the second before the leader's block."""
    made = [draft(key, intent(Side.BUY, "20", "0.5"), maker(), market(), LEADER_TIME) for key in keys]
    orders = [one.order for one in made if isinstance(one, Draft)]

    assert len(orders) == len(keys)
    assert all(0 <= order.salt < 2**48 and 0 <= LEADER_TIME * 1000 - order.timestamp < 1000 for order in orders)
    # Two keys that share their first 48 bits and their rest modulo 1000 are one in 2^57.
    assert len({(order.salt, order.timestamp) for order in orders}) == len(
        {(key[:12], int(key, 16) % 1000) for key in keys}
    )


@given(
    side=st.sampled_from(Side),
    order_type=st.sampled_from(["FAK", "FOK", "GTC", "GTD"]),
    tick=st.sampled_from(TICKS),
    shares=st.integers(1, 10**12),
    limit=st.integers(1, MICRO),
    cash=st.integers(0, 10**12),
)
def test_no_order_leaves_its_intent_whatever_cash_that_names(
    side: Side, order_type: str, tick: str, shares: int, limit: int, cash: int
) -> None:
    """Of a BUY neither the cash nor the shares, of a SELL the shares; and the amounts alone say so, as the venue reads them."""
    wanted = intent(side, str(Shares(shares)), str(Price(limit)), order_type, max_cost=Usd(cash))
    made = draft(INTENT_KEY, wanted, maker(), market(tick), LEADER_TIME)
    if not isinstance(made, Draft):
        return
    gives, gets = made.order.maker_amount, made.order.taker_amount
    if side is Side.BUY:
        assert gives <= cash
        assert gets <= shares
        # No worse than the limit, but for the tenth of a tick by which it has to pay more to be met.
        assert gives * MICRO < (min(limit, made.limit_price.micro) + 100) * gets
        asked = min(cash, shares * made.limit_price.micro // MICRO)
        assert asked - gives < 20_000
    else:
        assert gives <= shares
        assert shares - gives < 10_000
        assert gets * MICRO >= gives * made.limit_price.micro - 100 * MICRO


@pytest.mark.parametrize("owner", ["", 'a"', "a b", "a\\", "a\n", "ä", "a" * 129])
def test_an_owner_that_could_end_the_text_it_stands_in_is_refused(owner: str) -> None:
    body = prepare(INTENT_KEY, intent(Side.BUY, "20", "0.5"), maker(), market(), LEADER_TIME, KEY.sign).body
    with pytest.raises(ValueError, match="expected the id of an API key"):
        with_owner(body, owner)


def test_an_owner_is_put_in_once_and_nothing_else_changes() -> None:
    body = prepare(INTENT_KEY, intent(Side.BUY, "20", "0.5"), maker(), market(), LEADER_TIME, KEY.sign).body
    sent = with_owner(body, API_KEY)

    assert json.loads(sent) == {**json.loads(body), "owner": API_KEY}
    assert len(sent) == len(body) + len(API_KEY)
    with pytest.raises(ValueError, match="expected the frozen body of an order, without an owner"):
        with_owner(sent, API_KEY)
