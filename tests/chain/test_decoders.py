"""Every log in tests/data, decoded and compared with what the real contracts are known to have done."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from attrs import evolve
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import POLYGON
from trio_copy.chain import rpc
from trio_copy.chain.decoders.erc1155 import BATCH_TOPIC, SINGLE_TOPIC, Erc1155Decoder
from trio_copy.chain.decoders.fpmm import FpmmDecoder
from trio_copy.chain.decoders.order_filled import EXCHANGE_V2, EXCHANGE_V3, V1_TOPIC, V2_TOPIC, OrderFilledDecoder
from trio_copy.chain.decoders.words import address_topic, words
from trio_copy.errors import UndecodableLog
from trio_copy.model.fills import Fill, NotAFill, Role, Side
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.logs import RawLog
from trio_copy.model.units import Shares, Usd

ANY_ORDER_FILLED = OrderFilledDecoder(frozenset())
ANY_TRANSFER = Erc1155Decoder(frozenset(), frozenset())
ALL = {topic: decoder for decoder in (ANY_ORDER_FILLED, ANY_TRANSFER) for topic in decoder.topics}
ZERO_HASH = "0x" + "0" * 64


def raw(entry: dict[str, Any]) -> RawLog:
    """Read a log as quoted in public sources, which leave out where it stands."""
    place = {"blockHash": ZERO_HASH, "blockNumber": "0x0", "transactionHash": ZERO_HASH, "logIndex": "0x0"}
    given_values = {key: value for key, value in entry.items() if value is not None}
    return rpc.decode_log(msgspec.json.encode({**place, **given_values}), POLYGON)


def decode(log: RawLog) -> tuple[Fill, ...] | NotAFill | None:
    decoder = ALL.get(log.topics[0])
    return None if decoder is None else decoder.decode(log)


def test_real_mainnet_fills_decode_to_their_known_meaning(load_data: Callable[[str], Any]) -> None:
    """Owner, side, token, shares, money, fee and role of fifteen real fills and three synthetic ones."""
    checked = 0
    for event in load_data("polygon_events.json")["events"]:
        log = raw(event["log"])
        if log.topics[0] not in (V1_TOPIC, V2_TOPIC):
            continue
        decoded = ANY_ORDER_FILLED.decode(log)
        assert isinstance(decoded, tuple), event["name"]
        (fill,) = decoded
        known = event["decoded"]
        side = Side(known["side"])
        assert side is fill.side, event["name"]
        if "maker" in known:
            assert known["maker"] == fill.owner
            assert int(known["tokenId"]) == fill.token_id
            gave, got = int(known["makerAmountFilled"]), int(known["takerAmountFilled"])
            assert ((got, gave) if side is Side.BUY else (gave, got)) == (
                fill.shares.micro,
                fill.notional and fill.notional.micro,
            )
        if "role" in known:
            assert Role(known["role"]) is fill.role, event["name"]
        assert fill.price is not None
        assert abs(float(str(fill.price)) - float(known["price"])) <= 5e-7
        checked += 1
    assert checked == 12


def test_the_real_exchange_never_shows_a_trader_in_anothers_event(load_data: Callable[[str], Any]) -> None:
    """In 24 scenarios run on the real V2 bytecode, the fills of the leader explain his measured balance changes."""
    data = load_data("exchange_v2_matches.json")
    names = {address.lower(): name for name, address in data["meta"]["addresses"].items()}
    exact = 0
    for scenario in data["scenarios"]:
        deltas: dict[str, dict[str, int]] = {}
        for entry in scenario["logs"]:
            log = raw(entry["raw"])
            if log.topics[0] != V2_TOPIC:
                continue
            decoded = ANY_ORDER_FILLED.decode(log)
            assert isinstance(decoded, tuple)
            (fill,) = decoded
            args = entry["args"]
            assert (args["maker"].lower(), int(args["tokenId"]), int(args["fee"])) == (
                fill.owner,
                fill.token_id,
                fill.fee.micro,
            )
            assert (Role.TAKER if args["taker"].lower() == fill.exchange else Role.MAKER) is fill.role
            token = "YES" if str(fill.token_id) == data["meta"]["YES"] else "NO"
            owner = deltas.setdefault(names[fill.owner], {"collateral": 0, "YES": 0, "NO": 0})
            assert fill.notional is not None
            sign = 1 if fill.side is Side.BUY else -1
            owner[token] += sign * fill.shares.micro
            owner["collateral"] -= sign * fill.notional.micro + fill.fee.micro
        matches = scenario["price_matches"] or {}
        for name, delta in (scenario["balance_deltas"] or {}).items():
            if name in deltas and matches.get(name):
                measured = {asset: int(value) for asset, value in delta.items()}
                assert measured == {**measured, **{k: v for k, v in deltas[name].items() if k in measured}}, scenario[
                    "scenario"
                ]
                exact += 1
    assert exact >= 30


def test_every_other_log_of_the_exchange_is_told_apart(load_data: Callable[[str], Any]) -> None:
    """Transfers by the exchange, adapters and strangers are moves, splits or merges: nothing counts twice."""
    kinds: set[str] = set()
    for scenario in load_data("exchange_v2_matches.json")["scenarios"]:
        for entry in scenario["logs"]:
            decoded = decode(raw(entry["raw"]))
            if entry["event"].startswith("Transfer") and decoded is not None:
                assert isinstance(decoded, NotAFill), entry
                kinds.add(decoded.kind)
    assert kinds == {"move", "split", "merge", "empty"}


EXPECTED_CTF = {
    ("addFunding 50/50", "TransferBatch"): {"split", "empty"},
    ("leader FPMM buy 100 of outcome 0", "TransferBatch"): {"split"},
    ("leader FPMM buy 100 of outcome 0", "TransferSingle"): {"BUY"},
    ("leader FPMM buy 100 of outcome 0", "FPMMBuy"): {"BUY"},
    ("leader FPMM sell returning 30", "TransferSingle"): {"SELL"},
    ("leader FPMM sell returning 30", "TransferBatch"): {"merge"},
    ("leader FPMM sell returning 30", "FPMMSell"): {"SELL"},
    ("splitPosition 500 (mint set)", "TransferBatch"): {"split"},
    ("safeTransferFrom bob->leader 7", "TransferSingle"): {"move"},
    ("safeBatchTransferFrom bob->leader [3,4]", "TransferBatch"): {"move"},
    ("mergePositions 100", "TransferBatch"): {"merge"},
    ("safeTransferFrom self zero value", "TransferSingle"): {"empty"},
    ("empty batch to leader", "TransferBatch"): {"empty"},
    ("redeemPositions", "TransferSingle"): {"redeem"},
    ("removeFunding", "TransferBatch"): {"move"},
}


def test_ctf_and_amm_logs_decode_to_what_was_done(load_data: Callable[[str], Any]) -> None:
    """Every transaction of a real ConditionalTokens and a real FPMM: trades are trades, everything else says its kind."""
    data = load_data("ctf_fpmm_logs.json")
    pool, tokens = Address(data["meta"]["fpmm"]), tuple(TokenId(int(t)) for t in data["meta"]["positionIds"])
    transfers = Erc1155Decoder(frozenset(), frozenset({pool}))
    amm = FpmmDecoder({pool: tokens})
    found: dict[tuple[str, str], set[str]] = {}
    for entry in data["logs"]:
        log = raw(entry["log"])
        decoder = transfers if log.topics[0] in transfers.topics else amm if log.topics[0] in amm.topics else None
        if decoder is None:
            continue
        decoded = decoder.decode(log)
        key = (entry["tx_purpose"], entry["event"])
        words_found = {decoded.kind} if isinstance(decoded, NotAFill) else {fill.side.value for fill in decoded}
        found.setdefault(key, set()).update(words_found)
        if isinstance(decoded, tuple) and decoder is transfers:
            (fill,) = decoded
            assert (int(entry["decoded"]["id"]), int(entry["decoded"]["value"])) == (fill.token_id, fill.shares.micro)
            assert fill.price is None
    assert {key: found[key] for key in EXPECTED_CTF} == EXPECTED_CTF


def test_amm_trades_count_money_before_fees(load_data: Callable[[str], Any]) -> None:
    """100 invested with a fee of 2 buys for 98; 30 returned after a fee of 0.612244 sold for 30.612244."""
    data = load_data("ctf_fpmm_logs.json")
    amm = FpmmDecoder({Address(data["meta"]["fpmm"]): tuple(TokenId(int(t)) for t in data["meta"]["positionIds"])})
    leaders = [
        raw(e["log"])
        for e in data["logs"]
        if e["event"].startswith("FPMM") and e["tx_purpose"].startswith("leader FPMM")
    ]
    buy, sell = (amm.decode(log)[0] for log in leaders)  # type: ignore[index]  # both are fills

    assert (buy.side, buy.notional, buy.fee, buy.shares) == (Side.BUY, Usd.parse(98), Usd.parse(2), Shares(195_048_920))
    assert (sell.side, sell.notional, sell.fee) == (Side.SELL, Usd.parse("30.612244"), Usd.parse("0.612244"))
    assert {buy.token_id, sell.token_id} == {int(data["meta"]["positionIds"][0])}


def make_log(topics: tuple[str, ...], data: bytes, address: Address = EXCHANGE_V2) -> RawLog:
    return RawLog(
        chain_id=POLYGON,
        address=address,
        topics=tuple(map(Hash32, topics)),
        data=data,
        block_number=1,
        block_hash=Hash32(ZERO_HASH),
        block_time=1,
        tx_hash=Hash32(ZERO_HASH),
        log_index=0,
    )


U256 = st.integers(min_value=0, max_value=2**256 - 1)
OWNER, TAKER = address_topic(Address("0x" + "11" * 20)), address_topic(Address("0x" + "22" * 20))


@given(st.lists(U256, min_size=7, max_size=7))
def test_slicing_words_equals_a_general_abi_decoder(values: list[int]) -> None:
    """The fast reader and eth-abi agree on every static word."""
    data = abi_encode(["uint256"] * 7, values)

    assert words(data) == list(abi_decode(["uint256"] * 7, data))


@given(st.lists(st.tuples(U256, st.integers(1, 2**64)), max_size=20))
def test_batches_are_read_as_a_general_abi_decoder_reads_them(moved: list[tuple[int, int]]) -> None:
    """Dynamic arrays: each id with its value, in order."""
    data = abi_encode(["uint256[]", "uint256[]"], [[t for t, _ in moved], [v for _, v in moved]])
    log = make_log((BATCH_TOPIC, OWNER, address_topic(Address("0x" + "00" * 20)), OWNER), data)
    decoded = ANY_TRANSFER.decode(log)

    if isinstance(decoded, tuple):
        assert moved == [(fill.token_id, fill.shares.micro) for fill in decoded]
    else:
        assert not moved or len({value for _, value in moved}) == 1


@given(
    st.sampled_from([V1_TOPIC, V2_TOPIC, SINGLE_TOPIC, BATCH_TOPIC]),
    st.lists(st.binary(min_size=32, max_size=32), max_size=3),
    st.binary(max_size=400),
)
def test_no_log_can_crash_a_decoder(topic: str, others: list[bytes], data: bytes) -> None:
    """Whatever follows a known topic, the answer is fills, a kind, or UndecodableLog."""
    try:
        decode(make_log((topic, *("0x" + other.hex() for other in others)), data))
    except UndecodableLog as error:
        assert error.kind


WORDS_V2 = [0, 5, 60, 100, 1, 0, 0]


@pytest.mark.parametrize(
    ("topics", "values", "says"),
    [
        ((V2_TOPIC, ZERO_HASH, OWNER, TAKER), [2, *WORDS_V2[1:]], "expected side 0 or 1, got 2"),
        ((V2_TOPIC, ZERO_HASH, OWNER, TAKER), WORDS_V2[:6], "expected 4 topics and 224 data bytes"),
        ((V2_TOPIC, ZERO_HASH, OWNER), WORDS_V2, "expected 4 topics"),
        ((V2_TOPIC, ZERO_HASH, "0x01" + OWNER[4:], TAKER), WORDS_V2, "padded with zeros"),
        ((V1_TOPIC, ZERO_HASH, OWNER, TAKER), [0, 0, 1, 1, 0], "exactly one asset to be the collateral"),
        ((V1_TOPIC, ZERO_HASH, OWNER, TAKER), [3, 4, 1, 1, 0], "exactly one asset to be the collateral"),
        ((BATCH_TOPIC, OWNER, OWNER, TAKER), [64, 2**200, 0, 0], "an array inside the data"),
        ((BATCH_TOPIC, OWNER, OWNER, TAKER), [64, 128, 1, 9, 0], "expected equal arrays"),
    ],
)
def test_a_log_of_the_wrong_shape_says_what_was_expected(topics: tuple[str, ...], values: list[int], says: str) -> None:
    """Lengths, padding, sides and offsets are checked before anything is believed."""
    with pytest.raises(UndecodableLog, match=says):
        decode(make_log(topics, abi_encode(["uint256"] * len(values), values)))


def test_the_same_log_at_the_v3_address_is_a_fill_of_v3() -> None:
    """V2 and V3 share their events; the emitting contract tells the generation."""
    decoder = OrderFilledDecoder(frozenset({EXCHANGE_V2, EXCHANGE_V3}))
    data = abi_encode(["uint256"] * 7, WORDS_V2)
    log = make_log((V2_TOPIC, ZERO_HASH, OWNER, address_topic(EXCHANGE_V3)), data, EXCHANGE_V3)
    decoded = decoder.decode(log)

    assert isinstance(decoded, tuple)
    assert (decoded[0].exchange, decoded[0].role) == (EXCHANGE_V3, Role.TAKER)
    with pytest.raises(UndecodableLog, match="unknown-contract"):
        decoder.decode(evolve(log, address=Address("0x" + "99" * 20)))


def test_v1_buys_are_charged_in_shares() -> None:
    """The fee carries its unit, so that shares are never added to dollars."""
    buy = ANY_ORDER_FILLED.decode(
        make_log((V1_TOPIC, ZERO_HASH, OWNER, TAKER), abi_encode(["uint256"] * 5, [0, 7, 60, 100, 2]))
    )
    sell = ANY_ORDER_FILLED.decode(
        make_log((V1_TOPIC, ZERO_HASH, OWNER, TAKER), abi_encode(["uint256"] * 5, [7, 0, 100, 60, 2]))
    )

    assert isinstance(buy, tuple)
    assert isinstance(sell, tuple)
    assert (buy[0].fee, sell[0].fee) == (Shares(2), Usd(2))
    assert (buy[0].shares, sell[0].shares) == (Shares(100), Shares(100))


def test_filters_name_the_owner_only() -> None:
    """Asking for the counterparty too would bring each fill once more for every maker."""
    (log_filter,) = OrderFilledDecoder(frozenset({EXCHANGE_V2})).filters([Address("0x" + "11" * 20)])

    assert log_filter.topics == ((V2_TOPIC, V1_TOPIC), None, (OWNER,))
    assert log_filter.addresses == (EXCHANGE_V2,)
    assert len(ANY_TRANSFER.filters([Address("0x" + "11" * 20)])) == 2
    assert FpmmDecoder({}).filters([Address("0x" + "11" * 20)]) == ()
