"""Which budgets an entry draws on, what an exit gives back, and whether losses forbid an entry."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

from attrs import evolve

from trio_copy.copying.catalog import Catalog
from trio_copy.model.budgets import Claim, Credit, Per, Performance
from trio_copy.model.decisions import Code, CopyTask, Reason
from trio_copy.model.follow_settings import Caps, FollowSettings
from trio_copy.model.ids import Address, FollowerId, TokenId
from trio_copy.model.positions import Booking, Position, PositionKey
from trio_copy.model.units import MICRO, ONE, Count, Shares, Usd

POSITION = "position"
"""The control of claims on the shares of a position."""
OPEN = "open:"
"""What the names of all budgets begin with that only depend on what is held now."""
_NO_LIMIT, _NO_USD_LIMIT = Count(1 << 62), Usd(1 << 62)
_DAY_S, _MINUTE_S = 86_400.0, 60.0
_KEPT_S = 3 * _DAY_S
"""A day's budget is remembered this long after its day: longer than any order may stay unproven by itself."""


def claims_of(
    task: CopyTask,
    cost: Usd,
    settings: FollowSettings,
    engine_day: Usd | None,
    catalog: Catalog,
    *,
    opens: bool,
    date_of: Callable[[float], str],
) -> tuple[Claim, ...]:
    """Return the claims of an entry that may cost up to `cost`, fees included.

    The day and minute of a budget are those of the leader's block, so that every instance draws on the same one;
    `date_of` writes Unix seconds as a UTC date. `opens` tells whether the follower holds nothing there yet.
    """
    return tuple(_claims(task, cost, settings, engine_day, catalog, opens=opens, date_of=date_of))


def _claims(
    task: CopyTask,
    cost: Usd,
    settings: FollowSettings,
    engine_day: Usd | None,
    catalog: Catalog,
    *,
    opens: bool,
    date_of: Callable[[float], str],
) -> Iterator[Claim]:
    caps, of, at = settings.caps, f"follower:{task.follower}", float(task.signal.block_time)
    leader, token = task.signal.leader, task.intent.token_id
    day, until = date_of(at), at + _KEPT_S
    if engine_day is not None:
        yield evolve(_spending(f"engine:day:{day}", "engine.max_day_usd", cost, engine_day, until), shared=True)
    if caps.max_day_usd is not None:
        yield _spending(f"{of}:day:{day}", "caps.max_day_usd", cost, caps.max_day_usd, until)
    if caps.max_leader_day_usd is not None:
        yield _spending(
            f"{of}:leader:{leader}:day:{day}", "caps.max_leader_day_usd", cost, caps.max_leader_day_usd, until
        )
    # Open cost is counted whether capped or not: a cap that is set later must know what is open already.
    for counter, scopes in open_counters((task.follower, leader, token), catalog):
        scope, least = _least(caps, scopes)
        yield Claim(counter=counter, control=f"caps.{scope}", amount=cost, limit=least)
    if opens:
        most = caps.max_positions
        limit = _NO_LIMIT if most is None else Count(most * MICRO)
        counter = f"{OPEN}{task.follower}:positions"
        yield Claim(counter=counter, control="caps.max_positions", amount=ONE, limit=limit, per=Per.OPENED)
    if settings.filters.entry == "first":
        counter = _entry_counter(task.follower, leader, token, catalog)
        yield Claim(counter=counter, control="filters.entry", amount=ONE, limit=ONE, per=Per.OPENED)
    if caps.max_orders_per_minute is not None:
        minute = int(at // _MINUTE_S)
        yield Claim(
            counter=f"{of}:minute:{minute}",
            control="caps.max_orders_per_minute",
            amount=ONE,
            limit=Count(caps.max_orders_per_minute * MICRO),
            per=Per.SENT,
            until=at + 2 * _MINUTE_S,
        )


def exit_claim(key: PositionKey, shares: Shares) -> Claim:
    """Return the claim of an exit: the shares of a position that it may sell are promised to nobody else."""
    return Claim(counter=exit_counter(key), control=POSITION, amount=shares, limit=shares, per=Per.UNTIL_PROVEN, of=key)


def exit_counter(key: PositionKey) -> str:
    """Name the budget that counts what exits of a position may have sold and nobody has proven yet."""
    follower, leader, token = key
    return f"exits:{follower}:{leader}:{token}"


def credits_of(key: PositionKey, booking: Booking, catalog: Catalog) -> tuple[Credit, ...]:
    """Return what an exit, a redemption or a reversed purchase gives back to the budgets of open cost."""
    follower, leader, token = key
    credits = [
        Credit(counter=counter, amount=booking.released)
        for counter, _ in open_counters(key, catalog)
        if booking.released
    ]
    if booking.closed or booking.opened:
        amount = ONE if booking.closed else Count(-ONE.micro)
        credits.append(Credit(counter=f"{OPEN}{follower}:positions", amount=amount))
        credits.append(Credit(counter=_entry_counter(follower, leader, token, catalog), amount=amount))
    return tuple(credits)


def open_counters(key: PositionKey, catalog: Catalog) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the budgets of open cost that a position counts in, each with the caps that limit it.

    A token that the catalog does not know is its own question and event: one budget then stands for all three.
    """
    follower, leader, token = key
    of = f"{OPEN}{follower}"
    everything = ((of, ("max_exposure_usd",)), (f"{of}:leader:{leader}", ("max_leader_usd",)))
    facts = catalog.of(token)
    if facts is None:
        return (*everything, (f"{of}:token:{token}", ("max_token_usd", "max_market_usd", "max_event_usd")))
    return (
        *everything,
        (f"{of}:token:{token}", ("max_token_usd",)),
        (f"{of}:market:{facts.condition_id}", ("max_market_usd",)),
        (f"{of}:event:{facts.event or facts.condition_id}", ("max_event_usd",)),
    )


def open_budgets(positions: Mapping[PositionKey, Position], catalog: Catalog) -> dict[FollowerId, dict[str, int]]:
    """Work out every follower's budgets of open cost from what is held, in millionths; the catalog may have changed since."""
    budgets: defaultdict[FollowerId, Counter[str]] = defaultdict(Counter)
    for key, position in positions.items():
        if position.lots:
            follower, leader, token = key
            used = budgets[follower]
            for counter, _ in open_counters(key, catalog):
                used[counter] += position.cost.micro
            used[f"{OPEN}{follower}:positions"] += ONE.micro
            used[_entry_counter(follower, leader, token, catalog)] = ONE.micro
    return {follower: dict(used) for follower, used in budgets.items()}


def breach(caps: Caps, performance: Performance, day: str) -> Reason | None:
    """Return which loss cap is broken, if any. Only what was realised counts."""
    loss = performance.loss_on(day)
    if caps.max_day_loss_usd is not None and loss and loss >= caps.max_day_loss_usd:
        return Reason(
            code=Code.LOSS_LIMIT, control="caps.max_day_loss_usd", value=str(loss), limit=str(caps.max_day_loss_usd)
        )
    fall = performance.drawdown
    if caps.max_drawdown_usd is not None and fall and fall >= caps.max_drawdown_usd:
        return Reason(
            code=Code.LOSS_LIMIT, control="caps.max_drawdown_usd", value=str(fall), limit=str(caps.max_drawdown_usd)
        )
    return None


def _spending(counter: str, control: str, cost: Usd, limit: Usd, until: float) -> Claim:
    return Claim(counter=counter, control=control, amount=cost, limit=limit, until=until)


def _least(caps: Caps, scopes: Sequence[str]) -> tuple[str, Usd]:
    """Return the tightest of some caps with its name; one that is not set limits nothing."""
    found = [(limit, scope) for scope in scopes if (limit := getattr(caps, scope)) is not None]
    if not found:
        return scopes[0], _NO_USD_LIMIT
    least, scope = min(found)
    return scope, least


def _entry_counter(follower: FollowerId, leader: Address, token: TokenId, catalog: Catalog) -> str:
    return f"{OPEN}{follower}:entry:{leader}:{catalog.market_of(token)}"
