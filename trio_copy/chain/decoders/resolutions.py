"""Resolutions of questions, as Gnosis' Conditional Tokens contract announces them: what each answer pays.

ConditionResolution(bytes32 indexed conditionId, address indexed oracle, bytes32 indexed questionId,
                    uint256 outcomeSlotCount, uint256[] payoutNumerators)
"""

from collections.abc import Sequence

from attrs import frozen

from trio_copy.chain.decoders.words import array_at, words
from trio_copy.errors import UndecodableLog
from trio_copy.model.ids import Address
from trio_copy.model.logs import RawLog
from trio_copy.model.resolutions import Resolution
from trio_copy.model.settings import setting
from trio_copy.ports import LogFilter

RESOLUTION_TOPIC = "0xb44d84d3289691f71497564b85d4233648d9dbae8cbdbb4329f301c3a0185894"
CONDITIONAL_TOKENS = Address("0x4d97dcd97ec945f40cf65f87097ace5ea0476045")
_SLOTS_MOST = 256


@frozen(kw_only=True)
class ResolutionSettings:
    """Whose announcements are believed."""

    contracts: tuple[Address, ...] = setting(
        (CONDITIONAL_TOKENS,), unit="list of addresses", why="The Conditional Tokens contract whose word counts."
    )


@frozen
class ResolutionDecoder:
    contracts: frozenset[Address]
    topics: frozenset[str] = frozenset({RESOLUTION_TOPIC})

    def filters(self, leaders: Sequence[Address]) -> tuple[LogFilter, ...]:
        """Ask for every resolution: which questions matter depends on what is held."""
        return (LogFilter(addresses=tuple(sorted(self.contracts)), topics=((RESOLUTION_TOPIC,),)),)

    def decode(self, log: RawLog) -> Resolution:
        if log.address not in self.contracts:
            raise UndecodableLog("unknown-contract", f"resolution log of {log.address}")
        if len(log.topics) != 4 or len(log.data) < 96 or len(log.data) % 32:
            raise UndecodableLog("resolution", f"expected 4 topics and an array, got {len(log.data)} data bytes")
        values = words(log.data)
        payouts = tuple(array_at(values, 1, "resolution"))
        if values[0] != len(payouts) or len(payouts) > _SLOTS_MOST:
            raise UndecodableLog("resolution", f"expected {values[0]} payouts, got {len(payouts)}")
        return Resolution(condition_id=log.topics[1], payouts=payouts, block_number=log.block_number)
