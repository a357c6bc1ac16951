"""When operators get gas money, how much, and that each refuel is done once. Pure.

What was decided is written down before anything is signed, and asked for again under the same key after a restart: so the
books of a day are complete whatever happened to the process, and no operator is refuelled twice for one lack.
"""

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from attrs import define, evolve, field, frozen

from trio_copy.model.fleets import Fleet
from trio_copy.model.ids import Address, ChainId, IntentKey

Plain = list[Any]
_DAY_S = 86_400
_VERSION = 1
_MISREAD = (TypeError, ValueError, KeyError)


def refuel_key(chain_id: ChainId, operator: Address, day: int, nth: int) -> IntentKey:
    """Name the so many-th refuel of an operator within a day, which is counted from 1970."""
    return IntentKey(sha256(f"refuel|{chain_id}|{operator}|{day}|{nth}".encode()).hexdigest())


def document_name(chain_id: ChainId, fleet: str) -> str:
    """Name the document of a fleet's refuels, beside those of its sendings."""
    return f"refuels/{chain_id}/{fleet}"


@frozen(kw_only=True)
class Refuel:
    """Gas money for an operator, decided once."""

    key: IntentKey
    operator: Address
    wei: int
    at: float
    """Unix seconds at which it was decided."""
    ended: bool = False
    """Whether the operator has it for good."""


@define(eq=False)
class Refuels:
    """The refuels of one fleet on one chain: those under way, and those of the last day, which its limit is about."""

    chain_id: ChainId
    fleet: Fleet
    _known: dict[IntentKey, Refuel] = field(factory=dict)
    _refused: dict[tuple[Address, int], int] = field(factory=dict)
    """How many of an operator's were refused on a day: their keys are never used again."""

    @property
    def under_way(self) -> Sequence[Refuel]:
        """Return those whose end is not known: after a restart they are asked for again."""
        return [one for one in self._known.values() if not one.ended]

    def knows(self, key: IntentKey) -> bool:
        """Tell whether a refuel was decided on before, and not refused since."""
        return key in self._known

    def spent(self, now: float) -> int:
        """Return the wei that operators got within 24 hours, or are about to get."""
        return sum(one.wei for one in self._known.values() if not one.ended or one.at > now - _DAY_S)

    def due(self, balances: Mapping[Address, int], funds: int, gas_wei: int, now: float) -> Sequence[Refuel]:
        """Say who is to be refuelled now, the emptiest first. Changes nothing; `decided` does.

        `balances` are what operators have, in wei, as a node told after the last end was learned; who is left out is not
        refuelled. `funds` are what the funding wallet has, and `gas_wei` what one of its transfers may cost at most. Nobody
        gets more than fills it up, nor anything while an earlier refuel of his is under way. Where the day's limit or the
        funds leave less, he gets that, as long as it lifts him over `low`.
        """
        busy = {one.operator for one in self.under_way}
        room = max(0, self.fleet.max_day.wei - self.spent(now))
        # What is under way may not be mined yet, and is still among what a node shows.
        left = funds - sum(one.wei + gas_wei for one in self.under_way)
        found = []
        for operator, wei in sorted(balances.items(), key=lambda entry: entry[1]):
            if wei >= self.fleet.low.wei or operator in busy:
                continue
            amount = min(self.fleet.fill_to.wei - wei, room, left - gas_wei)
            if amount <= 0 or wei + amount < self.fleet.low.wei:
                continue
            found.append(Refuel(key=self._next_key(operator, now), operator=operator, wei=amount, at=now))
            room -= amount
            left -= amount + gas_wei
        return found

    def refused(self, wanted: Refuel, now: float) -> str:
        """Say why a refuel that somebody else has decided on is not done; empty where it is, or is known already."""
        known = self._known.get(wanted.key)
        if known is not None:
            same = (known.operator, known.wei) == (wanted.operator, wanted.wei)
            return "" if same else f"its key is that of {known.wei} wei for {known.operator}"
        if wanted.key != self._next_key(wanted.operator, wanted.at):
            return "it was decided on before another one of this operator: look again"
        if any(one.operator == wanted.operator for one in self.under_way):
            return "another one of this operator is under way"
        if not 0 < wanted.wei <= self.fleet.fill_to.wei:
            return f"expected at most fleet.{self.fleet.name}.fill_to, {self.fleet.fill_to}, got {wanted.wei} wei"
        if wanted.wei > self.fleet.max_day.wei - self.spent(now):
            return (
                f"over fleet.{self.fleet.name}.max_day, {self.fleet.max_day}, of which {self.spent(now)} wei are given"
            )
        return ""

    def decided(self, refuels: Iterable[Refuel], now: float) -> None:
        """Keep what was decided; `plain` is durable before any of it is signed. What is older than a day is forgotten."""
        self._known.update((one.key, one) for one in refuels)
        oldest = now - _DAY_S
        self._known = {key: one for key, one in self._known.items() if not one.ended or one.at > oldest}
        self._refused = {(who, day): nth for (who, day), nth in self._refused.items() if day >= _day(oldest)}

    def ended(self, key: IntentKey, *, refused: bool = False) -> None:
        """Learn that an operator has it for good; or that nothing happened, and nothing will: then it counts for no limit."""
        one = self._known.get(key)
        if one is None:
            return
        if refused:
            del self._known[key]
            part = one.operator, _day(one.at)
            self._refused[part] = self._refused.get(part, 0) + 1
        else:
            self._known[key] = evolve(one, ended=True)

    def _next_key(self, operator: Address, now: float) -> IntentKey:
        day = _day(now)
        given = sum(one.operator == operator and _day(one.at) == day for one in self._known.values())
        return refuel_key(self.chain_id, operator, day, given + self._refused.get((operator, day), 0))

    def plain(self) -> Plain:
        """Write all of it as a document."""
        known = [[one.key, one.operator, str(one.wei), one.at, int(one.ended)] for one in self._known.values()]
        return [_VERSION, known, [[who, day, nth] for (who, day), nth in self._refused.items()]]

    @classmethod
    def restored(cls, chain_id: ChainId, fleet: Fleet, body: Plain) -> "Refuels":
        """Read it again. Raises `ValueError` where it is none."""
        try:
            version, known, refused = body
            refuels = [
                Refuel(key=IntentKey(key), operator=Address(operator), wei=int(wei), at=float(at), ended=bool(ended))
                for key, operator, wei, at, ended in known
            ]
            numbers = {(Address(who), int(day)): int(nth) for who, day, nth in refused}
        except _MISREAD as error:
            raise ValueError(f"expected the refuels of fleet {fleet.name}, was {str(body)[:80]}: {error}") from error
        if version != _VERSION:
            raise ValueError(f"expected refuels of version {_VERSION}, was {version}")
        return cls(chain_id=chain_id, fleet=fleet, known={one.key: one for one in refuels}, refused=numbers)


def _day(at: float) -> int:
    return int(at // _DAY_S)
