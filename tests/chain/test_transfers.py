"""Whose act a transfer of shares is: told by operator and ends, over every shape in which exchanges and adapters move them."""

from collections.abc import Callable
from typing import Any

import pytest
from eth_abi.abi import encode as abi_encode

from tests.chain.test_decoders import make_log, raw
from trio_copy.chain.decoders.erc1155 import ADAPTERS, BATCH_TOPIC, EXCHANGES, SINGLE_TOPIC, Erc1155Decoder
from trio_copy.chain.decoders.words import address_topic
from trio_copy.model.fills import NotAFill
from trio_copy.model.ids import ZERO_ADDRESS, Address, Hash32

LEADER, STRANGER, POOL = (Address(f"0x{digit * 40}") for digit in "123")
EXCHANGE, OTHER_EXCHANGE, MODULE, ADAPTER, OTHER_ADAPTER = *EXCHANGES[:2], EXCHANGES[-3], *ADAPTERS[:2]
ZERO, SET, UNEQUAL, ONE = ZERO_ADDRESS, [5, 5], [5, 0], [5]
DECODER = Erc1155Decoder(frozenset(), frozenset({POOL}), moves=True)


def transfer(operator: Address, sender: Address, recipient: Address, shares: list[int]) -> Any:
    ids = list(range(777, 777 + len(shares)))
    data = (
        abi_encode(["uint256[]", "uint256[]"], [ids, shares])
        if len(ids) > 1
        else abi_encode(["uint256"] * 2, [777, *shares])
    )
    topics = (BATCH_TOPIC if len(ids) > 1 else SINGLE_TOPIC, *map(address_topic, (operator, sender, recipient)))
    return make_log(tuple(map(Hash32, topics)), data)


SHAPES = [
    # What an exchange moves inside a trade is read by order-filled, whoever is operator and however it is matched.
    ("a match hands bought shares over", EXCHANGE, EXCHANGE, LEADER, ONE, "exchange"),
    ("a match takes sold shares", EXCHANGE, LEADER, EXCHANGE, ONE, "exchange"),
    ("a match between two wallets", EXCHANGE, LEADER, STRANGER, ONE, "exchange"),
    ("a match of the leader with himself", EXCHANGE, LEADER, LEADER, ONE, "exchange"),
    ("shares for a buy-buy match are made", ADAPTER, ZERO, ADAPTER, SET, "split"),
    ("and handed to the exchange", ADAPTER, ADAPTER, EXCHANGE, SET, "exchange"),
    ("shares of a sell-sell match are taken", ADAPTER, EXCHANGE, ADAPTER, SET, "exchange"),
    ("and melted", ADAPTER, ADAPTER, ZERO, SET, "merge"),
    ("one exchange pays another", OTHER_EXCHANGE, EXCHANGE, LEADER, ONE, "exchange"),
    ("the leader sends to an exchange", LEADER, LEADER, EXCHANGE, ONE, "exchange"),
    ("a module mints, for whomever", MODULE, ZERO, LEADER, ONE, "exchange"),
    ("a module burns, for whomever", MODULE, LEADER, ZERO, ONE, "exchange"),
    # What an adapter does, it does for its caller.
    ("a split through an adapter", ADAPTER, ADAPTER, LEADER, SET, "split BUY BUY"),
    ("a merge through an adapter", ADAPTER, LEADER, ADAPTER, SET, "merge SELL SELL"),
    ("a redemption of one outcome", ADAPTER, LEADER, ADAPTER, UNEQUAL, "redemption SELL"),
    ("a redemption by one id", ADAPTER, LEADER, ADAPTER, ONE, "redemption SELL"),
    ("an adapter burns in a wallet", ADAPTER, LEADER, ZERO, SET, "merge SELL SELL"),
    ("one adapter works through another", OTHER_ADAPTER, ADAPTER, OTHER_ADAPTER, SET, "merge"),
    ("an adapter carries shares elsewhere", ADAPTER, LEADER, STRANGER, SET, "move"),
    ("an adapter pays out a single id", ADAPTER, ADAPTER, LEADER, ONE, "move"),
    # What a wallet does by itself.
    ("the leader splits", LEADER, ZERO, LEADER, SET, "split BUY BUY"),
    ("the leader merges", LEADER, LEADER, ZERO, SET, "merge SELL SELL"),
    ("the leader redeems", LEADER, LEADER, ZERO, ONE, "redemption SELL"),
    ("the leader sends shares away", LEADER, LEADER, STRANGER, ONE, "transfer SELL"),
    ("the leader fetches shares that he may", LEADER, STRANGER, LEADER, ONE, "transfer BUY"),
    ("the leader sends shares to himself", LEADER, LEADER, LEADER, ONE, "empty"),
    # What others do to him.
    ("a stranger sends him shares", STRANGER, STRANGER, LEADER, ONE, "transfer SELL"),  # the stranger's own act only
    ("a third one carries shares to him", POOL, STRANGER, LEADER, SET, "move"),
    ("somebody he allowed to carries his away", STRANGER, LEADER, STRANGER, ONE, "transfer BUY"),
    ("somebody merges in his wallet", STRANGER, LEADER, ZERO, SET, "merge"),
    ("somebody redeems in his wallet", STRANGER, LEADER, ZERO, ONE, "redeem"),
    ("somebody splits into his wallet", STRANGER, ZERO, LEADER, SET, "split"),
    # Trades of venues that leave no other trace.
    ("a mint", STRANGER, ZERO, LEADER, ONE, "trade BUY"),
    ("a pool sells", POOL, POOL, LEADER, ONE, "trade BUY"),
    ("a pool buys", POOL, LEADER, POOL, ONE, "trade SELL"),
]


@pytest.mark.parametrize(
    ("operator", "sender", "recipient", "shares", "says"), [row[1:] for row in SHAPES], ids=[row[0] for row in SHAPES]
)
def test_only_what_a_wallet_did_itself_is_its_act(
    operator: Address, sender: Address, recipient: Address, shares: list[int], says: str
) -> None:
    """Every shape says its kind, and counts for nobody but whoever provably acted."""
    decoded = DECODER.decode(transfer(operator, sender, recipient, shares))
    if isinstance(decoded, NotAFill):
        assert decoded.kind == says
        return
    (kind,) = {fill.kind.value for fill in decoded}
    assert " ".join([kind, *(fill.side.value for fill in decoded)]) == says
    for fill in decoded:
        assert kind != "transfer" or fill.owner == operator
        assert fill.owner not in (*ADAPTERS, *EXCHANGES, POOL)


def test_without_moves_only_trades_count() -> None:
    """The default reports none of a leader's splits, merges, redemptions and transfers, and still names them."""
    quiet = Erc1155Decoder(frozenset(), frozenset({POOL}))
    for name, operator, sender, recipient, shares, says in SHAPES:
        decoded = quiet.decode(transfer(operator, sender, recipient, shares))
        assert isinstance(decoded, NotAFill) is not says.startswith("trade"), name


@pytest.mark.parametrize("listed", [True, False])
def test_the_hands_of_the_real_exchange_are_nobodys_act(load_data: Callable[[str], Any], listed: bool) -> None:
    """Every transfer of a real exchange and its adapter, in all kinds of matches, listed or not: no move of a trader."""
    data = load_data("exchange_v2_matches.json")
    names = data["meta"]["addresses"]
    exchanges, adapters = (frozenset({Address(names[name])} if listed else ()) for name in ("exchange", "adapter"))
    decoder = Erc1155Decoder(frozenset(), frozenset(), exchanges, adapters, moves=True)
    owners: set[Address] = set()
    seen = 0
    for scenario in data["scenarios"]:
        for entry in scenario["logs"]:
            log = raw(entry["raw"])
            if log.topics[0] in decoder.topics:
                decoded = decoder.decode(log)
                owners.update(() if isinstance(decoded, NotAFill) else (fill.owner for fill in decoded))
                seen += 1
    assert owners <= {names["exchange"], names["adapter"]}, "only the hands themselves, whom nobody follows"
    assert seen > 50


def test_real_mainnet_transfers_are_no_acts_either(load_data: Callable[[str], Any]) -> None:
    """The exchange's and the old adapter's transfers, and a module's mint, at their real addresses."""
    kinds = []
    for event in load_data("polygon_events.json")["events"]:
        log = raw(event["log"])
        if log.topics[0] in DECODER.topics:
            decoded = DECODER.decode(log)
            assert isinstance(decoded, NotAFill), event
            kinds.append(decoded.kind)
    assert kinds == ["exchange", "exchange", "split", "split", "exchange"]
