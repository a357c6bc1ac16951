"""Compares what the chain and the venue did with what the books say, and finds what does not fit together."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from math import inf

from attrs import define, field, frozen

from tests.crash.books import Books
from trio_copy.accounts import OrderState
from trio_copy.accounts.budgets import day_of
from trio_copy.model.decisions import CopyTask
from trio_copy.model.facts import NO_AMOUNTS
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, TokenId, task_id
from trio_copy.model.orders import ExecutionReport, Order
from trio_copy.model.positions import EMPTY, EntryKind, LedgerEntry, Position, PositionKey, fold
from trio_copy.model.units import Shares, Usd

_FILLED = ("filled", "partial", "gathered")


@define
class Verdict:
    """What is wrong with one history; each list holds sentences."""

    lost: list[str] = field(factory=list)
    """Fills of the leader without an end or a skip, and tasks without an end."""
    doubled: list[str] = field(factory=list)
    """Fills of the leader that a follower paid for twice, or that ended twice."""
    wrong: list[str] = field(factory=list)
    """Records that say something else than the venue, budgets that do not add up, caps that were passed."""

    def __bool__(self) -> bool:
        """Tell whether anything is wrong."""
        return bool(self.lost or self.doubled or self.wrong)


@frozen(kw_only=True)
class AtVenue:
    """An order that the venue took."""

    order: Order
    report: ExecutionReport
    """What is there in the end."""
    told: ExecutionReport
    """What was told before a part of it was undone."""
    failed: bool
    """Whether its settlement failed."""
    at: float

    @property
    def cost(self) -> int:
        """What it has cost at most: as it was told."""
        return self._cost(self.told)

    @property
    def least_cost(self) -> int:
        """What it has cost for whoever heard of it only once a part of it was undone."""
        return self._cost(self.report)

    def _cost(self, report: ExecutionReport) -> int:
        return report.notional.micro + report.fee.micro if self.order.side is Side.BUY else 0


@define(eq=False, kw_only=True)
class History:
    """Everything that is left when the last process has ended."""

    truth: Mapping[str, int]
    """The leader's orders on the chain, by hash, with their blocks."""
    armed: Mapping[FollowerId, int]
    """The block from which on each follower copies, as somebody has announced; none where nobody has."""
    venue: Sequence[AtVenue]
    books: Books
    followers: Collection[FollowerId]
    day_caps: Mapping[FollowerId, Usd] = field(factory=dict)
    common_cap: Usd | None = None
    """What all followers together may spend in a day."""
    called_off: TokenId | None = None
    """A token of which nothing may be bought or sold."""
    may_be_dead: Collection[FollowerId] = ()
    """Whose tasks may wait for a person: so many owners have ended uncleanly that three may have had one in hand."""
    may_stay_open: bool = False
    """Whether orders may be unproven at the end, and tasks wait."""
    verdict: Verdict = field(factory=Verdict)

    def check(self) -> Verdict:
        """Look at everything."""
        self._every_fill_came_to_one_end()
        self._everything_is_over()
        self._nothing_was_paid_twice()
        self._every_attempt_has_one_body()
        self._records_say_what_the_venue_says()
        self._ends_fit()
        self._positions_are_folds()
        self._sums_are_what_was_booked()
        self._budgets_add_up()
        self._no_cap_was_passed()
        self._nothing_was_bought_that_he_had_sold()
        return self.verdict

    def check_checkpoints(self, reached: Mapping[FollowerId, int]) -> Verdict:
        """Look only whether a checkpoint vouches for what nobody has decided; `reached` says the block of each account."""
        known = self._known
        for order_hash, block in self.truth.items():
            for follower in self.followers:
                passed = self._since(follower) < block <= reached.get(follower, -1)
                if passed and (order_hash, follower) not in known:
                    self.verdict.lost.append(f"the checkpoint has passed {order_hash}, and {follower} does not know it")
        return self.verdict

    def _since(self, follower: FollowerId) -> float:
        return self.armed.get(follower, inf)

    @cached_property
    def _known(self) -> set[tuple[str, FollowerId]]:
        """Return what came to an end, is in an order or waits, by the leader's order and the follower."""
        told = [(str(end.task.signal.order_hash), end.task.follower) for end in self.books.ends]
        skips = [(str(one.signal.order_hash), one.skip.follower) for one in self.books.skips]
        opened = [
            (str(task.signal.order_hash), follower)
            for follower, account in self.books.accounts.items()
            for task in (
                *(one.task for one in account.orders.values()),
                *(one.task for one in account.waiting.values()),
                *(one.task for one in account.dead.values()),
            )
        ]
        return {*told, *skips, *opened}

    def _every_fill_came_to_one_end(self) -> None:
        if unread := set(self.followers) - set(self.armed):
            self.verdict.lost.append(f"nobody ever copied for {', '.join(sorted(unread))}")
        known = self._known
        for order_hash, block in self.truth.items():
            for follower in self.followers:
                if block > self._since(follower) and (order_hash, follower) not in known:
                    self.verdict.lost.append(f"nobody decided about {order_hash} for {follower}")
        ended = Counter((_copied(end.task), end.task.follower) for end in self.books.ends)
        ended.update((str(one.signal.order_hash), one.skip.follower) for one in self.books.skips)
        ended_tasks = {end.task.task_id for end in self.books.ends}
        for sent in self.books.orders:
            for member in set(sent.tasks[1:]) - ended_tasks:
                self.verdict.lost.append(f"task {member} went out with another one, and did not end")
        for (order_hash, follower), times in ended.items():
            if times > 1:
                self.verdict.doubled.append(f"{order_hash} came to {times} ends for {follower}")

    def _everything_is_over(self) -> None:
        for follower, account in self.books.accounts.items():
            for task in () if follower in self.may_be_dead else account.dead:
                self.verdict.lost.append(f"task {task} of {follower} became a dead letter")
            if self.may_stay_open:
                continue
            for one in account.orders.values():
                self.verdict.lost.append(f"order {one.order.order_id} of {follower} never ended: {one.state.value}")
            for waits in account.waiting:
                self.verdict.lost.append(f"task {waits} of {follower} never ended: waiting")

    def _nothing_was_paid_twice(self) -> None:
        known = {sent.order_id: sent for sent in self.books.orders}
        hashes = {end.task.task_id: _copied(end.task) for end in self.books.ends}
        paid: dict[tuple[str, FollowerId], set[str]] = defaultdict(set)
        for one in self.venue:
            sent = known.get(one.order.order_id)
            if sent is None:
                self.verdict.wrong.append(f"the venue has {one.order.order_id}, the books do not")
                continue
            if one.report.shares and not one.failed:
                for task in sent.tasks:
                    name = hashes.get(task, _copied(sent.task))
                    paid[name, sent.task.follower].add(one.order.order_id)
            if one.at > sent.task.deadline + 1:
                late_s = one.at - sent.task.deadline
                self.verdict.wrong.append(f"{one.order.order_id} was sent {late_s:.0f} s after its deadline")
        for (order_hash, follower), orders in paid.items():
            if len(orders) > 1:
                self.verdict.doubled.append(f"{follower} paid {len(orders)} orders for {order_hash}")

    def _every_attempt_has_one_body(self) -> None:
        bodies: dict[str, set[bytes]] = defaultdict(set)
        for one in self.venue:
            bodies[one.order.key].add(one.order.body)
        for key, sent in bodies.items():
            if len(sent) > 1:
                self.verdict.doubled.append(f"attempt {key} was sent with {len(sent)} bodies")

    @cached_property
    def _filled(self) -> dict[str, ExecutionReport]:
        return {one.order.key: one.report for one in self.venue if one.report.shares and not one.failed}

    def _records_say_what_the_venue_says(self) -> None:
        reversed_keys = {entry.of for entry in self.books.entries if entry.kind is EntryKind.REVERSE}
        booked: dict[str, list[LedgerEntry]] = defaultdict(list)
        for entry in self.books.entries:
            if entry.kind in (EntryKind.FILL, EntryKind.CORRECT):
                # What an order fills while it rests is booked bit by bit, under its key and what was filled before. What
                # settles otherwise is booked as a difference.
                booked[entry.key.partition(":")[0]].append(entry)
        unproven = {
            key
            for account in self.books.accounts.values()
            for key, one in account.orders.items()
            if self.may_stay_open and one.state is not OrderState.MATCHED
        }
        for key, report in self._filled.items():
            entries = [one for one in booked.get(key, []) if not {one.key, one.of} & reversed_keys]
            if key in unproven:
                continue
            together = [sum(part.micro for part in one) for one in zip(*map(_figures, entries), strict=True)]
            if not entries:
                self.verdict.wrong.append(f"the venue filled {report.order_id}, the ledger does not say so")
            elif together != [part.micro for part in _figures(report)]:
                self.verdict.wrong.append(f"the ledger has other figures for {report.order_id} than the venue")
        open_failures = {one.order.key for one in self.venue if self.may_stay_open and one.failed}
        for unfounded in booked.keys() - self._filled.keys() - reversed_keys - open_failures:
            self.verdict.wrong.append(f"the ledger has a fill that never happened: {unfounded}")

    def _ends_fit(self) -> None:
        failed = {one.order.order_id for one in self.venue if one.failed}
        filled = {report.order_id for report in self._filled.values()}
        orders: dict[str, set[str]] = defaultdict(set)
        for sent in self.books.orders:
            for task in sent.tasks:
                orders[task].add(sent.order_id)
        for end in self.books.ends:
            assert end.outcome is not None
            task, word = end.task.task_id, end.outcome.end.value
            if orders[task] & filled and word not in (*_FILLED, "escalated"):
                self.verdict.wrong.append(f"task {task} was filled and ended as {word}")
            if word in ("filled", "partial") and not orders[task] & (filled | failed):
                self.verdict.wrong.append(f"task {task} ended as {word} and was never filled")

    @cached_property
    def _folded(self) -> dict[PositionKey, Position]:
        by_position: dict[PositionKey, list[LedgerEntry]] = defaultdict(list)
        for entry in self.books.entries:
            by_position[entry.position].append(entry)
        return {key: fold(mine) for key, mine in by_position.items()}

    def _positions_are_folds(self) -> None:
        held = {
            (follower, leader, token): holding.now
            for follower, account in self.books.accounts.items()
            for (leader, token), holding in account.holdings.items()
        }
        for key in {*self._folded, *held}:
            told, kept = self._folded.get(key, EMPTY), held.get(key, EMPTY)
            if (told.lots, told.oversold, told.leader_shares) != (kept.lots, kept.oversold, kept.leader_shares):
                self.verdict.wrong.append(f"the position of {key[0]} in {key[2]} is not the fold of its entries")

    def _sums_are_what_was_booked(self) -> None:
        for follower in self.followers:
            mine = [position for key, position in self._folded.items() if key[0] == follower]
            trades, bought, sold, fees, realised, provisional = self.books.sums.get(follower, NO_AMOUNTS)
            wanted = sum(one.realised.micro for one in mine), sum(one.provisional.micro for one in mine)
            if (realised, provisional) != wanted:
                self.verdict.wrong.append(f"facts say {follower} earned {realised}+{provisional}, entries say {wanted}")
            account = self.books.accounts.get(follower)
            kept = 0 if account is None else account.performance.realised.micro
            if kept != realised:
                self.verdict.wrong.append(f"the account of {follower} says {kept}, its facts say {realised}")
            reports = [
                (one.order.side, one.report)
                for one in self.venue
                if one.order.wallet.follower == follower and one.order.key in self._filled
            ]
            if not self.may_stay_open:
                mine_too = [one for one in self.books.entries if one.follower == follower and one.shares]
                bookings = [one for one in mine_too if one.kind is not EntryKind.CORRECT]
                undone = {one.of for one in self.books.entries if one.kind is EntryKind.REVERSE}
                paid = (
                    sum(one.key not in undone for one in bookings),
                    sum(report.notional.micro for side, report in reports if side is Side.BUY),
                    sum(report.notional.micro for side, report in reports if side is Side.SELL),
                    sum(report.fee.micro for _, report in reports),
                )
                if (trades, bought, sold, fees) != paid:
                    self.verdict.wrong.append(
                        f"facts of {follower} add up to {(trades, bought, sold, fees)}, the venue says {paid}"
                    )

    def _budgets_add_up(self) -> None:
        if self.may_stay_open:
            return
        most: Counter[tuple[FollowerId, str]] = Counter()
        least: Counter[tuple[FollowerId, str]] = Counter()
        tasks = {sent.order_id: sent.task for sent in self.books.orders}
        for one in self.venue:
            task = tasks.get(one.order.order_id)
            if task is not None and one.cost:
                of = one.order.wallet.follower, day_of(task.signal.block_time)
                most[of], least[of] = most[of] + one.cost, least[of] + one.least_cost
        for (follower, day), cost in most.items():
            window = (
                self.books.accounts[follower].windows.get(f"day {day}") if follower in self.books.accounts else None
            )
            used = 0 if window is None else window.used
            if not least[follower, day] <= used <= cost:
                self.verdict.wrong.append(f"{follower} says {used} were spent on {day}, the venue says {cost}")
        days = {day for _, day in most} | {day for day, spent in self.books.spent.items() if spent}
        for day in days:
            low, high = (sum(one[of] for of in one if of[1] == day) for one in (least, most))
            if not low <= self.books.spent.get(day, 0) <= high:
                spent = self.books.spent.get(day, 0)
                self.verdict.wrong.append(f"shards say they spent {spent} on {day}, the venue says {high}")

    def _no_cap_was_passed(self) -> None:
        """What was undone before anybody was told of it counts for nobody; what the books count, whatever became of it, counts."""
        spent: Counter[FollowerId] = Counter()
        for one in self.venue:
            spent[one.order.wallet.follower] += one.least_cost
        for follower, cap in self.day_caps.items():
            account = self.books.accounts.get(follower)
            windows = {} if account is None else account.windows
            counted = max((window.used for name, window in windows.items() if name.startswith("day ")), default=0)
            if (most := max(spent[follower], counted)) > cap.micro:
                self.verdict.wrong.append(f"{follower} spent {Usd(most)}, its cap is {cap}")
        most = max((spent.total(), *self.books.spent.values()))
        if self.common_cap is not None and most > self.common_cap.micro:
            self.verdict.wrong.append(f"all spent {Usd(most)}, the cap is {self.common_cap}")

    def _nothing_was_bought_that_he_had_sold(self) -> None:
        for one in self.venue:
            if one.order.token_id == self.called_off:
                self.verdict.wrong.append(f"{one.order.order_id} buys or sells what was called off")


def _copied(task: CopyTask) -> str:
    """Name what a task copies of the leader's order: all of it, or what an exit left for later."""
    order_hash = str(task.signal.order_hash)
    whole = task.task_id == task_id(task.signal.signal_id, task.follower)
    return order_hash if whole else f"{order_hash}, of which {task.task_id} sells a rest"


def _figures(filled: LedgerEntry | ExecutionReport) -> tuple[Shares, Usd, Usd]:
    return (filled.shares, filled.notional, filled.fee)
