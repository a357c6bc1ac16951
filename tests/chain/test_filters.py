"""What nodes are asked for."""

from tests.builders import LEADER, OTHER_LEADER
from trio_copy.chain.decoders.erc1155 import BATCH_TOPIC, CONDITIONAL_TOKENS, SINGLE_TOPIC, Erc1155Decoder
from trio_copy.chain.filters import build_filters, of_anybody
from trio_copy.model.ids import Address
from trio_copy.ports import LogFilter

LEADERS = [LEADER, OTHER_LEADER]


def decoder(*contracts: Address) -> Erc1155Decoder:
    return Erc1155Decoder(contracts=frozenset(contracts), venues=frozenset())


def test_of_anybody_no_leader_is_left() -> None:
    """One filter of all that is cut into chunks, and of both sides of a transfer."""
    filters = build_filters([decoder(CONDITIONAL_TOKENS)], LEADERS, 1)
    assert len(filters) == 4
    events = (SINGLE_TOPIC, BATCH_TOPIC)
    assert of_anybody(filters, LEADERS) == (LogFilter(addresses=(CONDITIONAL_TOKENS,), topics=(events,)),)


def test_what_names_no_contract_keeps_its_leaders() -> None:
    """Without both it would ask for all logs of the chain."""
    filters = build_filters([decoder()], LEADERS, 1)
    assert of_anybody(filters, LEADERS) == filters
