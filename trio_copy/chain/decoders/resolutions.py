"""Resolutions of questions, as the contracts that keep their shares announce them: what each answer pays.

Gnosis' Conditional Tokens:

    ConditionResolution(bytes32 indexed conditionId, address indexed oracle, bytes32 indexed questionId,
                        uint256 outcomeSlotCount, uint256[] payoutNumerators)

The modules of Polymarket's Protocol V2, of two answers alone and of negative risk:

    ConditionResolved(bytes31 indexed conditionId, uint256[] result)
    SyntheticConditionDerivableAsYes(bytes29 indexed eventId, bytes31 indexed conditionId)

The second one names the answer "other" of an event, once all its questions came out as NO. That a question came true decides
the others of its event, and no log names them (`Resolution.of_other`).
"""

from collections.abc import Sequence

from attrs import frozen

from trio_copy.chain.decoders.words import WORD, array_at, words
from trio_copy.errors import UndecodableLog
from trio_copy.model.ids import Address, Hash32
from trio_copy.model.logs import RawLog
from trio_copy.model.protocol_v2 import event_of, is_condition
from trio_copy.model.resolutions import Resolution
from trio_copy.model.settings import setting
from trio_copy.model.units import MICRO
from trio_copy.ports import LogFilter

RESOLUTION_TOPIC = "0xb44d84d3289691f71497564b85d4233648d9dbae8cbdbb4329f301c3a0185894"
"""Of Conditional Tokens."""
RESOLVED_TOPIC = "0xe560c1a2847d4cf2e66de11fe592605556989449f38cc3ab96e2e287daa68caa"
"""Of a module of Protocol V2."""
OTHER_TOPIC = "0x5bea118d92630445b0b401b6883731630ed870edf2f259980efe977dfc128b36"
"""Of the module of negative risk: none of an event's questions came true, and so its "other" did."""
MODULE_TOPICS = (RESOLVED_TOPIC, OTHER_TOPIC)
DECISION_TOPICS = (RESOLUTION_TOPIC, *MODULE_TOPICS)
CONDITIONAL_TOKENS = Address("0x4d97dcd97ec945f40cf65f87097ace5ea0476045")
BINARY_MODULE = Address("0x1000008dd9001b968442c1000017eae6e0da00ba")
NEG_RISK_MODULE = Address("0x200000900045e3b6259600682756002200028933")
_SLOTS_MOST = 256
_KIND = "resolution"
_ARRAY_OF_TWO = [WORD, 2]
"""Where an array stands that is all of the data, and its length."""
_AFTER_EVENT = "00" * 3
"""Fills up the 29 bytes of an event."""
_Read = tuple[Hash32, tuple[int, ...]]
"""A condition, and its payouts."""


@frozen(kw_only=True)
class ResolutionSettings:
    """Whose announcements are believed."""

    contracts: tuple[Address, ...] = setting(
        (CONDITIONAL_TOKENS,), unit="list of addresses", why="The Conditional Tokens contract whose word counts."
    )
    modules: tuple[Address, ...] = setting(
        (BINARY_MODULE, NEG_RISK_MODULE),
        unit="list of addresses",
        why="The modules of Polymarket's Protocol V2 whose word counts; [] where there are none.",
    )


@frozen
class ResolutionDecoder:
    contracts: frozenset[Address]
    modules: frozenset[Address] = frozenset()

    @property
    def topics(self) -> frozenset[str]:
        """Those of the contracts that it has: what nobody here believes, somebody else may read."""
        return frozenset(self._topics)

    @property
    def _topics(self) -> tuple[str, ...]:
        return (*((RESOLUTION_TOPIC,) if self.contracts else ()), *(MODULE_TOPICS if self.modules else ()))

    def filters(self, leaders: Sequence[Address]) -> tuple[LogFilter, ...]:
        """Ask for every resolution: which questions matter depends on what is held."""
        if not self._topics:
            return ()
        return (LogFilter(addresses=tuple(sorted(self.contracts | self.modules)), topics=(self._topics,)),)

    def decode(self, log: RawLog) -> Resolution:
        topic, *names = log.topics
        if log.address not in (self.contracts if topic == RESOLUTION_TOPIC else self.modules):
            raise UndecodableLog("unknown-contract", f"resolution log of {log.address}")
        read = {RESOLUTION_TOPIC: _of_conditional_tokens, RESOLVED_TOPIC: _of_module, OTHER_TOPIC: _of_other}[topic]
        condition, payouts = read(names, log.data)
        return Resolution(
            condition_id=condition, payouts=payouts, block_number=log.block_number, block_hash=log.block_hash
        )


def _of_conditional_tokens(names: Sequence[Hash32], data: bytes) -> _Read:
    if len(names) != 3 or len(data) < 3 * WORD or len(data) % WORD:
        raise UndecodableLog(_KIND, f"expected 4 topics and an array, got {len(data)} data bytes")
    values = words(data)
    payouts = tuple(array_at(values, 1, _KIND))
    if values[0] != len(payouts) or len(payouts) > _SLOTS_MOST:
        raise UndecodableLog(_KIND, f"expected {values[0]} payouts, got {len(payouts)}")
    return names[0], payouts


def _of_module(names: Sequence[Hash32], data: bytes) -> _Read:
    values = words(data)
    if len(names) != 1 or len(data) != 4 * WORD or values[:2] != _ARRAY_OF_TWO:
        raise UndecodableLog(
            _KIND, f"expected 2 topics and an array of two payouts, got {len(names) + 1} and {len(data)} data bytes"
        )
    yes, no = values[2:]
    if yes + no != MICRO:
        raise UndecodableLog(_KIND, f"expected payouts that add up to {MICRO}, got {yes} and {no}")
    return _condition(names[0]), (yes, no)


def _of_other(names: Sequence[Hash32], data: bytes) -> _Read:
    if len(names) != 2 or data:
        raise UndecodableLog(_KIND, f"expected 3 topics and no data, got {len(names) + 1} and {len(data)} data bytes")
    event, condition = names[0], _condition(names[1])
    if event_of(condition) != event.removesuffix(_AFTER_EVENT):
        raise UndecodableLog(_KIND, f"expected a question of the event {event}, got {condition}")
    return condition, (MICRO, 0)


def _condition(name: Hash32) -> Hash32:
    """Return a question of Protocol V2: its 31 bytes stand in front, and a zero fills them up, as everywhere here."""
    if not is_condition(int(name, 16)):
        raise UndecodableLog(_KIND, f"expected a question of Protocol V2, 31 bytes and a zero, got {name}")
    return name
