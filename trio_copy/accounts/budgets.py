"""What a follower may still spend: budgets of open cost, of days and of minutes.

A budget of open cost is never kept: it is the sum over what is held and what open orders may cost. `Exposure` carries the
sums along, so that an entry costs the same however much is open; `Account` is tested against adding everything up anew.
Only what was spent within a day or sent within a minute is remembered, because nothing else tells.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import TypeVar

from attrs import define, field, frozen

from trio_copy.accounts.commands import EngineDay
from trio_copy.model.budgets import Performance
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import Code, CopyTask, Reason
from trio_copy.model.follow_settings import Caps, FollowSettings
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.units import MICRO, Count, Usd

_T = TypeVar("_T")
_DAY_S, _MINUTE_S = 86_400, 60
_KEPT_DAYS = 3
"""A day's spending is remembered so many days after its day: longer than any order may stay unproven by itself."""
_EPOCH_ORDINAL = 719_163
"""The ordinal of 1970-01-01."""
_LAST_DAY = date.max.toordinal() - _EPOCH_ORDINAL
"""What a block says of its time need not be true; later than this no date can be written."""
Spot = tuple[Address, TokenId]
"""Whose trades of which token a position copies."""


def tally(counter: Counter[_T], name: _T, by: int) -> None:
    """Add to a count, or take away; nothing is kept at zero."""
    count = counter.get(name, 0) + by
    if count:
        counter[name] = count
    else:
        counter.pop(name, None)


@lru_cache(maxsize=4096)
def _date(day: int) -> str:
    return date.fromordinal(_EPOCH_ORDINAL + min(day, _LAST_DAY)).isoformat()


def day_of(at: float) -> str:
    """Write the UTC date of Unix seconds, as 2026-01-31."""
    return _date(int(at // _DAY_S))


@frozen
class Window:
    """What was spent, or sent, within a day or a minute."""

    used: int
    """In millionths of a USD, or orders."""
    until: float
    """Unix seconds after which nobody can ask about it."""


@lru_cache(maxsize=4096)
def _windows(leader: Address, block_time: int) -> tuple[tuple[str, float], tuple[str, float], tuple[str, float]]:
    day, minute = block_time // _DAY_S, block_time // _MINUTE_S
    name, until = f"day {_date(day)}", float((day + 1 + _KEPT_DAYS) * _DAY_S)
    return ((name, until), (f"{name} {leader}", until), (f"minute {minute}", float((minute + 2) * _MINUTE_S)))


def windows_of(task: CopyTask, cost: int) -> tuple[tuple[str, int, float], ...]:
    """Return the windows that an entry counts in: by name, with what it uses of each, and until when it is remembered.

    The day and the minute are those of the leader's block, so that every owner of the account counts alike. Counted
    whether capped or not: a cap that is set later must know.
    """
    (day, until), (of_leader, _), (minute, soon) = _windows(task.signal.leader, task.signal.block_time)
    return ((day, cost, until), (of_leader, cost, until), (minute, 1, soon))


@define(eq=False)
class Exposure:
    """What is open of one account, by the scopes that caps know: what it has cost, or may cost at most."""

    catalog: Catalog
    _cost: Counter[str] = field(factory=Counter)
    _spots: Counter[Spot] = field(factory=Counter)
    """How many positions and open entries each spot has."""
    _entered: Counter[str] = field(factory=Counter)
    """How many spots are open of one leader and question."""
    _scopes: dict[Spot, tuple[str, ...]] = field(factory=dict)
    """Of each open spot, looked up once."""
    version: int = field(init=False)
    """Of the catalog by which it was counted."""

    def __attrs_post_init__(self) -> None:
        self.version = self.catalog.version

    def add(self, spot: Spot, cost: int) -> None:
        """Count a change of cost at a spot, in millionths."""
        if cost:
            scopes = self._scopes.get(spot)
            if scopes is None:
                scopes = tuple(scope for scope, _ in scopes_of(spot, self.catalog))
                if spot in self._spots:
                    self._scopes[spot] = scopes
            for scope in scopes:
                tally(self._cost, scope, cost)

    def enter(self, spot: Spot, count: int) -> None:
        """Count a position or an open entry that is new at a spot, or gone with a count of -1."""
        before = self._spots[spot]
        tally(self._spots, spot, count)
        if not before or not before + count:
            tally(self._entered, _entry_scope(spot, self.catalog), count)
            self._scopes.pop(spot, None)

    def cost(self, scope: str) -> int:
        """Return what is open of a scope, in millionths."""
        return self._cost[scope]

    @property
    def spots(self) -> int:
        """How many spots hold shares, or may soon."""
        return len(self._spots)

    def is_open(self, spot: Spot) -> bool:
        return spot in self._spots

    def entered(self, spot: Spot) -> int:
        """Return how many spots are open of the spot's leader and question."""
        return self._entered[_entry_scope(spot, self.catalog)]


def scopes_of(spot: Spot, catalog: Catalog) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the scopes that a spot counts in, each with the caps that limit it.

    A token that the catalog does not know is its own question and event: one scope then stands for all three.
    """
    leader, token = spot
    facts = catalog.of(token)
    everything = (("all", ("max_exposure_usd",)), (f"leader {leader}", ("max_leader_usd",)))
    if facts is None:
        return (*everything, (f"token {token}", ("max_token_usd", "max_market_usd", "max_event_usd")))
    return (
        *everything,
        (f"token {token}", ("max_token_usd",)),
        (f"market {facts.condition_id}", ("max_market_usd",)),
        (f"event {facts.event or facts.condition_id}", ("max_event_usd",)),
    )


def over_budget(
    task: CopyTask,
    cost: Usd,
    settings: FollowSettings,
    exposure: Exposure,
    windows: Mapping[str, int],
    day: EngineDay | None,
) -> Reason | None:
    """Return the cap that an entry which may cost up to `cost`, fees included, would break; None when it fits all.

    `windows` is what is spent or sent within them so far, what is held for open orders included.
    """
    return next(_over_budget(task, cost, settings, exposure, windows, day), None)


def _over_budget(
    task: CopyTask,
    cost: Usd,
    settings: FollowSettings,
    exposure: Exposure,
    windows: Mapping[str, int],
    day: EngineDay | None,
) -> Iterator[Reason]:
    caps, spot = settings.caps, (task.signal.leader, task.intent.token_id)
    if caps.max_order_usd is not None and cost > caps.max_order_usd:
        yield _reached("caps.max_order_usd", cost, caps.max_order_usd)
    if day is not None and cost > day.left:
        used = Usd(day.limit.micro - day.left.micro)
        yield _reached("engine.max_day_usd", used + cost, day.limit)
    (of_day, _, _), (of_leader_day, _, _), (of_minute, _, _) = windows_of(task, 0)
    for control, window, limit in (
        ("caps.max_day_usd", of_day, caps.max_day_usd),
        ("caps.max_leader_day_usd", of_leader_day, caps.max_leader_day_usd),
    ):
        if limit is not None and windows.get(window, 0) + cost.micro > limit.micro:
            yield _reached(control, Usd(windows.get(window, 0)) + cost, limit)
    for scope, names in scopes_of(spot, exposure.catalog):
        tightest = _tightest(caps, names)
        if tightest is not None and exposure.cost(scope) + cost.micro > tightest[1].micro:
            name, limit = tightest
            yield _reached(f"caps.{name}", Usd(exposure.cost(scope)) + cost, limit)
    most = caps.max_positions
    if most is not None and not exposure.is_open(spot) and exposure.spots + 1 > most:
        yield _reached("caps.max_positions", _count(exposure.spots + 1), _count(most))
    if settings.filters.entry == "first" and (entered := exposure.entered(spot)):
        yield Reason(
            code=Code.ALREADY_IN, control="filters.entry", value=str(_count(entered + 1)), limit=str(_count(1))
        )
    per_minute, sent = caps.max_orders_per_minute, windows.get(of_minute, 0)
    if per_minute is not None and sent + 1 > per_minute:
        yield _reached("caps.max_orders_per_minute", _count(sent + 1), _count(per_minute))


def breach(caps: Caps, performance: Performance, day: str) -> Reason | None:
    """Return which loss cap is broken, if any. Only what was realised counts."""
    loss, fall = performance.loss_on(day), performance.drawdown
    if caps.max_day_loss_usd is not None and loss and loss >= caps.max_day_loss_usd:
        return _lost("caps.max_day_loss_usd", loss, caps.max_day_loss_usd)
    if caps.max_drawdown_usd is not None and fall and fall >= caps.max_drawdown_usd:
        return _lost("caps.max_drawdown_usd", fall, caps.max_drawdown_usd)
    return None


def _tightest(caps: Caps, names: Sequence[str]) -> tuple[str, Usd] | None:
    found = [(limit, name) for name in names if (limit := getattr(caps, name)) is not None]
    if not found:
        return None
    limit, name = min(found)
    return name, limit


def _count(number: int) -> Count:
    return Count(number * MICRO)


def _reached(control: str, value: Usd | Count, limit: Usd | Count) -> Reason:
    return Reason(code=Code.CAP_REACHED, control=control, value=str(value), limit=str(limit))


def _lost(control: str, value: Usd, limit: Usd) -> Reason:
    return Reason(code=Code.LOSS_LIMIT, control=control, value=str(value), limit=str(limit))


def _entry_scope(spot: Spot, catalog: Catalog) -> str:
    leader, token = spot
    return f"{leader} {catalog.market_of(token)}"
