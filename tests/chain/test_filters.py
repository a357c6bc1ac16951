"""What nodes are asked for, and what of it is passed on."""

from attrs import evolve

from tests.builders import LEADER, OTHER_LEADER, POLYGON, hash_of
from trio_copy.chain.decoders.erc1155 import BATCH_TOPIC, CONDITIONAL_TOKENS, SINGLE_TOPIC, Erc1155Decoder
from trio_copy.chain.decoders.resolutions import RESOLUTION_TOPIC, ResolutionDecoder
from trio_copy.chain.decoders.words import address_topic
from trio_copy.chain.filters import FilterBoard, build_filters, build_wide_filters
from trio_copy.model.ids import Address, Hash32
from trio_copy.model.logs import RawLog
from trio_copy.ports import Decoder, LogFilter

LEADERS = [LEADER, OTHER_LEADER]
STRANGER = Address("0x" + "ee" * 20)
LOG = RawLog(
    chain_id=POLYGON,
    address=CONDITIONAL_TOKENS,
    topics=(),
    data=b"",
    block_number=1,
    block_hash=hash_of(1),
    block_time=1,
    tx_hash=hash_of(2),
    log_index=0,
)


def decoder(*contracts: Address) -> Erc1155Decoder:
    return Erc1155Decoder(contracts=frozenset(contracts), venues=frozenset())


def test_wide_filters_name_no_leader() -> None:
    """One of all that is cut into chunks, and of both sides of a transfer."""
    assert len(build_filters([decoder(CONDITIONAL_TOKENS)], LEADERS, 1)) == 4
    filters, _ = build_wide_filters([decoder(CONDITIONAL_TOKENS)], LEADERS, 1)
    assert filters == (LogFilter(addresses=(CONDITIONAL_TOKENS,), topics=((SINGLE_TOPIC, BATCH_TOPIC),)),)


def test_what_names_no_contract_keeps_its_leaders() -> None:
    """Without both it would ask for all logs of the chain."""
    filters, _ = build_wide_filters([decoder()], LEADERS, 1)
    assert filters == build_filters([decoder()], LEADERS, 1)


def test_only_what_a_leader_is_in_is_passed_on_or_what_nobody_has_to_be_in() -> None:
    board = FilterBoard()
    decoders: list[Decoder] = [decoder(CONDITIONAL_TOKENS), ResolutionDecoder(frozenset({CONDITIONAL_TOKENS}))]
    assert board.replace(*build_wide_filters(decoders, LEADERS, 1))

    def wants(*topics: Hash32) -> bool:
        return board.wants(evolve(LOG, topics=topics))

    single, other, nobody = Hash32(SINGLE_TOPIC), address_topic(OTHER_LEADER), address_topic(STRANGER)
    assert wants(single, nobody, other, nobody)
    assert wants(single, nobody, nobody, other)
    assert wants(Hash32(RESOLUTION_TOPIC), nobody)
    assert not wants(single, nobody, nobody, nobody)
    assert not wants()


def test_another_leader_is_another_version_of_the_same_filters() -> None:
    """So that the window is read again for him, and no subscription renewed."""
    board = FilterBoard()
    board.replace(*build_wide_filters([decoder(CONDITIONAL_TOKENS)], LEADERS, 1))
    filters, version = board.filters, board.version
    assert not board.replace(*build_wide_filters([decoder(CONDITIONAL_TOKENS)], LEADERS, 1))
    assert board.replace(*build_wide_filters([decoder(CONDITIONAL_TOKENS)], [*LEADERS, STRANGER], 1))
    assert (board.filters, board.version) == (filters, version + 1)
