"""What logs say of questions that were decided, and what of it is not believed."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import POLYGON, hash_of
from tests.chain.test_decoders import raw
from trio_copy.chain.decoders.resolutions import (
    BINARY_MODULE,
    CONDITIONAL_TOKENS,
    MODULE_TOPICS,
    NEG_RISK_MODULE,
    OTHER_TOPIC,
    RESOLUTION_TOPIC,
    RESOLVED_TOPIC,
    ResolutionDecoder,
    ResolutionSettings,
)
from trio_copy.errors import UndecodableLog
from trio_copy.model.catalog import Catalog, TokenFacts
from trio_copy.model.ids import Address, Hash32, TokenId
from trio_copy.model.logs import RawLog
from trio_copy.model.protocol_v2 import answer_of, event_of
from trio_copy.model.resolutions import Resolution
from trio_copy.model.units import MICRO, Price
from trio_copy.native import keccak
from trio_copy.ports import LogFilter

OURS = ResolutionSettings()
DECODER = ResolutionDecoder(frozenset(OURS.contracts), frozenset(OURS.modules))
CANARY = Hash32("0x017791f201d5a788e0039e511fc1900e5f000000000000000000000000000000")
UP = TokenId(663574927012476832975694178961957910328055987427402067619466963999000625152)
"""A market that Polymarket's book has shown; DOWN is the next number."""
ARITY = 3


def of_event(index: int, base: str = "ab") -> Hash32:
    """Return a question of an event of negative risk, with three of them and an "other"."""
    return Hash32(f"0x02{base * 16}{ARITY:04x}{'00' * 10}{index:04x}00")


def event_topic(base: str = "ab") -> Hash32:
    return Hash32(f"0x02{base * 16}{ARITY:04x}{'00' * 13}")


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32) for number in numbers)


def log(*topics: str, data: bytes = b"", address: Address = NEG_RISK_MODULE) -> RawLog:
    return RawLog(
        chain_id=POLYGON,
        address=address,
        topics=tuple(map(Hash32, topics)),
        data=data,
        block_number=7,
        block_hash=hash_of(7),
        block_time=1,
        tx_hash=hash_of(2),
        log_index=0,
    )


def resolved(condition: str, *payouts: int, address: Address = NEG_RISK_MODULE) -> RawLog:
    return log(RESOLVED_TOPIC, condition, data=words(32, len(payouts), *payouts), address=address)


def test_topics_are_those_of_the_contracts_events() -> None:
    events = ("ConditionResolved(bytes31,uint256[])", "SyntheticConditionDerivableAsYes(bytes29,bytes31)")
    assert tuple("0x" + keccak(event.encode()).hex() for event in events) == MODULE_TOPICS


def test_a_question_of_protocol_v2_is_read_as_both_its_tokens_name_it(load_data: Callable[[str], Any]) -> None:
    """Its 31 bytes stand in front in a topic, and what a share of each outcome pays are millionths of a dollar."""
    (known,) = [
        one for one in load_data("polygon_events.json")["events"] if one["name"] == "v2module_condition_resolved"
    ]
    resolution = DECODER.decode(raw(known["log"]))
    assert (resolution.condition_id, resolution.payouts) == (CANARY, (1_000_000, 0))
    assert resolution.block_number == int(known["log"]["blockNumber"], 16)
    assert resolution.condition_id.startswith(known["decoded"]["conditionId31"])
    assert [answer_of(UP), answer_of(TokenId(UP + 1))] == [(CANARY, 0), (CANARY, 1)]
    assert [resolution.payout(slot) for slot in (0, 1)] == [Price.parse("1"), Price(0)]


def test_conditional_tokens_are_read_as_before(load_data: Callable[[str], Any]) -> None:
    (known,) = [one for one in load_data("polygon_events.json")["events"] if one["name"] == "ctf_condition_resolution"]
    resolution = DECODER.decode(raw(known["log"]))
    assert resolution.condition_id == known["log"]["topics"][1]
    assert resolution.event is None


@pytest.mark.parametrize("payouts", [(MICRO, 0), (0, MICRO), (500_000, 500_000), (1, MICRO - 1)])
def test_what_adds_up_to_a_dollar_is_believed(payouts: tuple[int, int]) -> None:
    assert DECODER.decode(resolved(CANARY, *payouts, address=BINARY_MODULE)) == Resolution(
        condition_id=CANARY, payouts=payouts, block_number=7, block_hash=hash_of(7)
    )


def test_an_other_that_came_true_is_read_from_the_log_that_names_it() -> None:
    """It is decided by all questions of its event, and the contract writes no result of its own for it."""
    other = of_event(ARITY)
    decoded = DECODER.decode(log(OTHER_TOPIC, event_topic(), other))
    assert (decoded.condition_id, decoded.payouts) == (other, (MICRO, 0))


GOOD = resolved(CANARY, MICRO, 0)
MALFORMED = {
    "payouts of less than a dollar": resolved(CANARY, MICRO - 1, 0),
    "payouts of more than a dollar": resolved(CANARY, MICRO, MICRO),
    "payouts whose sum runs over": resolved(CANARY, 2**256 - 1, MICRO + 1),
    "nothing that is paid": resolved(CANARY, 0, 0),
    "three payouts": resolved(CANARY, MICRO, 0, 0),
    "one payout": resolved(CANARY, MICRO),
    "no payouts": log(RESOLVED_TOPIC, CANARY, data=words(32, 0)),
    "no data": log(RESOLVED_TOPIC, CANARY),
    "half a word more": evolve(GOOD, data=GOOD.data + b"\0" * 16),
    "a word more": evolve(GOOD, data=GOOD.data + b"\0" * 32),
    "half a word less": evolve(GOOD, data=GOOD.data[:-16]),
    "an array that stands elsewhere": log(RESOLVED_TOPIC, CANARY, data=words(64, 2, MICRO, 0)),
    "a length that leads out of the data": log(RESOLVED_TOPIC, CANARY, data=words(32, 2**255, MICRO, 0)),
    "a topic too many": log(RESOLVED_TOPIC, CANARY, CANARY, data=GOOD.data),
    "no condition": log(RESOLVED_TOPIC, data=GOOD.data),
    "a condition that fills 32 bytes": resolved(CANARY[:-2] + "01", MICRO, 0),
    "a condition on the right": resolved("0x00" + CANARY[2:-2], MICRO, 0),
    "a condition with a hash in its zeros": resolved(CANARY[:44] + "ff" + CANARY[46:], MICRO, 0),
    "a condition of several questions together": resolved("0x03" + CANARY[4:], MICRO, 0),
    "a condition of no kind": resolved("0x" + "00" * 32, MICRO, 0),
    "an other with data": log(OTHER_TOPIC, event_topic(), of_event(ARITY), data=words(1)),
    "an other without its event": log(OTHER_TOPIC, of_event(ARITY)),
    "an other of another event": log(OTHER_TOPIC, event_topic("cd"), of_event(ARITY)),
    "an other of an event that fills more bytes": log(OTHER_TOPIC, event_topic()[:-2] + "01", of_event(ARITY)),
    "an other of two answers alone": log(OTHER_TOPIC, CANARY, CANARY),
    "too few topics of conditional tokens": log(
        RESOLUTION_TOPIC, data=words(2, 64, 2, 1, 0), address=CONDITIONAL_TOKENS
    ),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_a_module_never_writes_is_put_aside(name: str) -> None:
    with pytest.raises(UndecodableLog) as caught:
        DECODER.decode(MALFORMED[name])
    assert caught.value.kind == "resolution"


@given(
    topic=st.sampled_from((*MODULE_TOPICS, RESOLUTION_TOPIC)),
    names=st.lists(
        st.sampled_from([CANARY, event_topic(), of_event(ARITY)]) | st.binary(min_size=32, max_size=32), max_size=4
    ),
    numbers=st.lists(st.integers(0, 4) | st.sampled_from([32, 64, MICRO, 2**256 - 1]), max_size=7),
    rest=st.binary(max_size=31),
)
def test_whatever_the_words_are_there_is_a_resolution_or_a_reason(
    topic: str, names: Sequence[str | bytes], numbers: Sequence[int], rest: bytes
) -> None:
    """And of a module, what is believed adds up to a dollar, and names a question of two answers."""
    address = CONDITIONAL_TOKENS if topic == RESOLUTION_TOPIC else BINARY_MODULE
    topics = [name if isinstance(name, str) else "0x" + name.hex() for name in names]
    try:
        decoded = DECODER.decode(log(topic, *topics, data=words(*numbers) + rest, address=address))
    except UndecodableLog as error:
        assert error.kind == "resolution"
        return
    if topic != RESOLUTION_TOPIC:
        assert (sum(decoded.payouts), len(decoded.payouts)) == (MICRO, 2)
        assert answer_of(TokenId(int(decoded.condition_id, 16))) == (decoded.condition_id, 0)


def test_each_contract_is_believed_about_its_own_shares_alone() -> None:
    stranger = Address("0x" + "ee" * 20)
    ours = log(RESOLUTION_TOPIC, hash_of(1), hash_of(2), hash_of(3), data=words(2, 64, 2, 1, 0))
    for wrong in (
        evolve(GOOD, address=stranger),
        evolve(GOOD, address=CONDITIONAL_TOKENS),
        evolve(ours, address=stranger),
        evolve(ours, address=BINARY_MODULE),
    ):
        with pytest.raises(UndecodableLog) as caught:
            DECODER.decode(wrong)
        assert caught.value.kind == "unknown-contract"


def test_nodes_are_asked_once_for_all_decisions_and_for_none_that_nobody_believes() -> None:
    """Events of contracts that are not configured are left to decoders of others."""
    both = tuple(sorted((CONDITIONAL_TOKENS, BINARY_MODULE, NEG_RISK_MODULE)))
    assert DECODER.filters(()) == (LogFilter(addresses=both, topics=((RESOLUTION_TOPIC, *MODULE_TOPICS),)),)
    conditional = ResolutionDecoder(frozenset({CONDITIONAL_TOKENS}))
    assert conditional.filters(()) == (LogFilter(addresses=(CONDITIONAL_TOKENS,), topics=((RESOLUTION_TOPIC,),)),)
    assert conditional.topics == {RESOLUTION_TOPIC}
    assert ResolutionDecoder(frozenset(), frozenset({BINARY_MODULE})).topics == set(MODULE_TOPICS)
    assert ResolutionDecoder(frozenset()).filters(()) == ()


def test_what_came_true_decides_the_other_questions_of_its_event_and_nothing_else() -> None:
    """At most one of them does; the contract writes no result for those that are left."""
    true = DECODER.decode(resolved(of_event(1), MICRO, 0))
    for index in (0, 2, ARITY):
        other = true.of_other(of_event(index))
        assert other is not None
        assert (other.condition_id, other.payouts, other.block_number) == (of_event(index), (0, MICRO), 7)
    for unmoved in (of_event(1), of_event(0, "cd"), CANARY, "0x1", "nonsense", "0x" + "zz" * 32):
        assert true.of_other(unmoved) is None
    for says_nothing in (resolved(of_event(1), 0, MICRO), resolved(CANARY, MICRO, 0)):
        assert DECODER.decode(says_nothing).of_other(of_event(0)) is None
    assert event_of(CANARY) is None


def test_a_token_of_protocol_v2_names_its_question_whatever_is_said_of_it() -> None:
    catalog = Catalog()
    assert catalog.question_of(UP) == (CANARY, 0)
    catalog.put([TokenFacts(token_id=UP, condition_id="0x" + "11" * 32, slot=1)])
    assert catalog.question_of(UP) == (CANARY, 0)
    assert catalog.question_of(TokenId(7)) is None
    catalog.put([TokenFacts(token_id=TokenId(7), condition_id="0x" + "11" * 32, slot=1)])
    assert catalog.question_of(TokenId(7)) == ("0x" + "11" * 32, 1)
