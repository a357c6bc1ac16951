"""What the small worlds are made of: what leaders do, what a chain shows of it, and every account's answer, remembered."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256

from attrs import evolve, field, frozen

from tests.accounts.played import MARKET, freeze, report_on
from tests.builders import NOW, make_intent, make_settings, make_signal, make_task
from trio_copy.accounts import Account
from trio_copy.accounts import commands as c
from trio_copy.accounts import events as e
from trio_copy.accounts.documents import PlainDocument, account_of, document_of, documents_of
from trio_copy.accounts.facts import fact_of
from trio_copy.model.catalog import Catalog
from trio_copy.model.decisions import Code, CopyTask, End, Outcome, Reason
from trio_copy.model.fills import Side
from trio_copy.model.follow_settings import FollowSettings
from trio_copy.model.ids import FollowerId, IntentKey, SignalId
from trio_copy.model.orders import Order, Settlement, Status
from trio_copy.model.signals import Signal
from trio_copy.model.units import Rounding, Shares, Usd
from trio_copy.records import read_plain, write_plain

Key = tuple[str, str, str]
"""Follower, kind and name of a document; no follower for the shard's own."""
CATALOG = Catalog()
HANDED_OVER = Outcome(end=End.ESCALATED)
TOO_LATE = Outcome(end=End.EXPIRED)
NOT_SENT = Outcome(end=End.REJECTED)
OVER = Reason(code=Code.NO_FILL, control="execution.rest_s", value="600", limit="600")
SAYS = {
    "fill": Status.FILLED,
    "kill": Status.KILLED,
    "absent": Status.ABSENT,
    "rest": Status.RESTING,
    "half": Status.RESTING,
    "half and over": Status.PARTIAL,
    "pending": Status.FILLED,
    "half pending": Status.PARTIAL,
}
"""What a venue may say of an order."""
HALF = ("half", "half and over", "half pending")
_PENDING = ("pending", "half pending")


@frozen
class Item:
    """One thing that a reader of the chain hears."""

    what: str
    """block, with the signals in it, or retract."""
    number: int
    signals: tuple[str, ...] = ()
    """Short names, see `Scenario.signals`."""


@frozen(kw_only=True)
class Scenario:
    """What happens in a small world."""

    name: str
    signals: Mapping[str, Signal]
    before: tuple[Item, ...]
    """What whoever reads from the beginning hears, before a reorg."""
    reorg: tuple[Item, ...] = ()
    """What whoever was reading hears of the reorg; nothing where there is none."""
    canonical: tuple[Item, ...] = ()
    """What whoever begins after the reorg hears instead of all that."""
    stays: tuple[str, ...]
    """The signals that are in the chain at the end, if the reorg happens; else those of `before` are."""
    followers: tuple[str, ...] = ("alice", "bob")
    settings: FollowSettings = field(factory=lambda: make_settings(max_order_usd=None))
    answers: tuple[str, ...] = ("fill", "lose reply", "lose request")
    attempts: int = 1
    zombie: bool = True
    """Whether an owner that was taken over from may live on."""
    crashes: int = 1
    rests: bool = False
    """Whether purchases may rest: what is not filled at once stays open at the venue, which fills it or not."""
    hands_over: bool = False
    """Whether what nobody can prove may be handed over to a person."""
    day: int | None = None
    """The common budget of a day, in millionths, where there is one."""


BOUNDS: dict[str, Callable[[Scenario], Scenario]] = {
    "two accounts": lambda world: evolve(world, zombie=False, crashes=0),
    "one account, a crash": lambda world: evolve(world, followers=("alice",), zombie=False),
    "one account, a takeover and a crash": lambda world: evolve(world, followers=("alice",)),
    "two accounts, a takeover and a crash, one answer": lambda world: evolve(world, answers=world.answers[:1]),
}
"""How much may happen in one world at once."""


def buy(number: int, block: int, shares: str = "100") -> Signal:
    return evolve(make_signal(number, shares=shares), block_number=block)


def sell(number: int, block: int, shares: str = "100") -> Signal:
    return evolve(make_signal(number, shares=shares, side=Side.SELL), block_number=block)


def scenarios() -> list[Scenario]:
    """One BUY, then one SELL of the same leader and token, and what a reorg may do to them; and two BUYs under a cap."""
    first, second = buy(1, 1), sell(2, 2, "50")
    both = {"buy": first, "sell": second}
    blocks = (Item("block", 1, ("buy",)), Item("block", 2, ("sell",)))
    later = {**both, "sell": evolve(second, block_number=3)}
    tail = (Item("block", 2, ("buy",)), Item("block", 3, ("sell",)))
    other = evolve(first, signal_id=make_signal(77).signal_id, tx_hash=make_signal(77).tx_hash, block_number=2)
    one_of_two = make_settings(max_order_usd=None, max_exposure_usd=Usd.parse("6"))
    return [
        Scenario(name="a purchase and a sale", signals=both, before=blocks, stays=("buy", "sell")),
        Scenario(
            name="the purchase is mined again",
            signals=later,
            before=(Item("block", 1, ("buy",)),),
            reorg=(Item("retract", 1, ("buy",)), Item("block", 1), *tail),
            canonical=(Item("block", 1), *tail),
            stays=("buy", "sell"),
        ),
        Scenario(
            name="the purchase comes back in another transaction",
            signals={**later, "other": other},
            before=(Item("block", 1, ("buy",)),),
            reorg=(
                Item("retract", 1, ("buy",)),
                Item("block", 1),
                Item("block", 2, ("other",)),
                Item("block", 3, ("sell",)),
            ),
            # Decision 0001: who never heard of the first cannot know it again. So a new owner hears of the reorg as well.
            canonical=(),
            stays=("buy", "sell"),
        ),
        Scenario(
            name="the purchase never comes back",
            signals=later,
            before=(Item("block", 1, ("buy",)),),
            reorg=(Item("retract", 1, ("buy",)), Item("block", 1), Item("block", 2), Item("block", 3, ("sell",))),
            canonical=(Item("block", 1), Item("block", 2), Item("block", 3, ("sell",))),
            stays=("sell",),
        ),
        Scenario(
            name="the sale is mined again",
            signals=both,
            before=(Item("block", 1, ("buy",)), Item("block", 2, ("sell",))),
            reorg=(Item("retract", 2, ("sell",)), Item("block", 2), Item("block", 3, ("sell",))),
            canonical=(Item("block", 1, ("buy",)), Item("block", 2), Item("block", 3, ("sell",))),
            stays=("buy", "sell"),
        ),
        Scenario(
            name="two purchases under caps for one",
            signals={"buy": first, "more": buy(2, 2)},
            before=(Item("block", 1, ("buy",)), Item("block", 2, ("more",))),
            stays=("buy", "more"),
            settings=one_of_two,
            day=6_000_000,
        ),
        Scenario(
            name="a second attempt",
            signals=both,
            before=blocks,
            stays=("buy", "sell"),
            answers=("fill", "kill", "lose reply"),
            attempts=2,
        ),
        Scenario(
            name="the purchase rests",
            signals=both,
            before=blocks,
            stays=("buy", "sell"),
            answers=("rest", "lose reply", "fill"),
            rests=True,
        ),
        Scenario(
            name="the purchase turns out to rest",
            signals=both,
            before=blocks,
            stays=("buy", "sell"),
            answers=("rest unheard",),
            rests=True,
            hands_over=True,
        ),
        Scenario(
            name="half of what was matched is undone",
            signals=both,
            before=blocks,
            stays=("buy", "sell"),
            answers=("pending",),
        ),
    ]


@frozen
class Held:
    """An account as a value: equal to another one that would write the same documents."""

    mark: str
    account: Account = field(eq=False, repr=False)


@frozen
class Done:
    """What came of a command."""

    held: Held
    puts: tuple[tuple[Key, bytes | None], ...]
    facts: tuple[tuple[str, str], ...]
    """Keys and kinds."""
    orders: tuple[tuple[str, bytes], ...]
    """Keys and bodies of what was placed."""


class Accounts:
    """Every answer of every account, computed once: it depends on the account's documents and the command alone."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.orders: dict[tuple[str, bytes], Order] = {}
        self.tasks: dict[str, CopyTask] = {}
        self._known: dict[tuple[str, tuple[str, ...]], Done] = {}
        self._read: dict[tuple[str, frozenset[tuple[Key, bytes]]], Held] = {}
        for number, signal in enumerate(scenario.signals.values()):
            for follower in scenario.followers:
                intent = make_intent(signal)
                if scenario.rests and intent.side is Side.BUY:
                    intent = evolve(intent, order_type="GTC", rest_until=int(NOW) + 600)
                task = make_task(signal, follower, intent=intent, decided_at=NOW + number)
                self.tasks[task.task_id] = task

    def task_of(self, signal: SignalId, follower: str) -> CopyTask:
        (task,) = [one for one in self.tasks.values() if one.signal.signal_id == signal and one.follower == follower]
        return task

    def read(self, follower: str, documents: frozenset[tuple[Key, bytes]]) -> Held:
        """Read an account from the documents of a store."""
        mine = (follower, frozenset((key, body) for key, body in documents if key[0] == follower))
        if mine not in self._read:
            plain = [PlainDocument(kind, name, read_plain(body)) for (_, kind, name), body in mine[1]]
            self._read[mine] = _held(account_of(FollowerId(follower), CATALOG, plain))
        return self._read[mine]

    def do(self, held: Held, *command: str, left: int | None = None) -> Done:
        """Carry a command out on a copy: its name and what it is about."""
        key = (held.mark, (*command, str(left)))
        if key not in self._known:
            self._known[key] = self._do(held, command, left)
        return self._known[key]

    def _do(self, held: Held, command: Sequence[str], left: int | None) -> Done:
        account = _copy(held.account)
        events = account.decide(self._command(account, command, left))
        account.apply(events)
        if command[-1] == "twice":
            account.apply(e.Missed(entry=one.entry) for one in events if isinstance(one, e.Learned) and one.entry)
        if command[-1] == "for good" and (known := account.orders.get(IntentKey(command[1]))) is not None:
            account.orders[known.order.key] = evolve(known, handed_over=known.ended)
        changed, told = account.take_changes()
        puts = tuple(
            ((str(account.follower), *part), None if body is None else write_plain(body))
            for part in changed
            for body in [document_of(account, part)]
        )
        placed = [one.order for one in events if isinstance(one, e.Placed)]
        self.orders.update({(order.key, order.body): order for order in placed})
        facts = tuple((fact.key, fact.kind) for fact in (fact_of(one, write_plain) for one in told))
        return Done(_held(account), puts, facts, tuple((order.key, order.body) for order in placed))

    def _command(self, account: Account, command: Sequence[str], left: int | None) -> c.Command:
        what, about, *more = command
        match what:
            case "offer":
                day = None if left is None else c.EngineDay(limit=Usd(self.scenario.day or 0), left=Usd(left))
                return c.Offer(
                    task=self.tasks[about],
                    resting=tuple(self.tasks[one] for one in more),
                    settings=self.scenario.settings,
                    market=MARKET,
                    prepare=lambda key, intent: evolve(
                        freeze(key, intent), wallet=evolve(freeze(key, intent).wallet, follower=account.follower)
                    ),
                    day=day,
                    at=NOW + 2,
                )
            case "refuse":
                task, resting = self.tasks[about], tuple(self.tasks[one] for one in more)
                return c.Refuse(task=task, outcome=TOO_LATE, resting=resting, at=NOW + 9)
            case "park":
                return c.Park(task=self.tasks[about], at=NOW)
            case "retract":
                return c.Retract(signal=SignalId(about), at=NOW)
            case "resume":
                return c.Resume(signal=SignalId(about), at=NOW)
            case "call off":
                return c.CallOff(key=IntentKey(about), why=OVER, at=NOW)
            case "hand over":
                return c.Escalate(key=IntentKey(about), outcome=HANDED_OVER, at=NOW)
            case "doubt":
                return c.Doubt(key=IntentKey(about), at=NOW)
            case "tick":
                return c.Tick(passed=int(about), met=frozenset(map(SignalId, more[1:])), at=NOW + float(more[0]))
            case _:
                return self._answer(account, IntentKey(about), what)

    def _answer(self, account: Account, key: IntentKey, what: str) -> c.Command:
        open_order = account.orders.get(key)
        if open_order is None:
            return c.Doubt(key=key, at=NOW)
        order, again = open_order.order, open_order.task.attempt + 1 < self.scenario.attempts
        report = report_on(order, SAYS[what])
        if what in HALF:
            shares = Shares(order.shares.micro // 2)
            report = evolve(report, shares=shares, notional=shares.at(order.limit_price, Rounding.DOWN))
        if what in _PENDING:
            report = evolve(report, settlement=Settlement.PENDING)
        return c.Answer(key=key, report=report, again=again, at=NOW + 3)


def _held(account: Account) -> Held:
    digest = sha256()
    for text in sorted(f"{one.kind}|{one.name}|{write_plain(one.body)!r}" for one in documents_of(account)):
        digest.update(text.encode())
    return Held(f"{account.follower} {digest.hexdigest()[:24]}", account)


def _copy(account: Account) -> Account:
    return Account(
        account.follower,
        account.catalog,
        orders=dict(account.orders),
        holdings=dict(account.holdings),
        waiting=dict(account.waiting),
        dead=dict(account.dead),
        recent=dict(account.recent),
        windows=dict(account.windows),
        performance=account.performance,
        mode=account.mode,
    )
