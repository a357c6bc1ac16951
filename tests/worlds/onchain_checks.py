"""What a chain that was played shows, compared with the books: one line for each difference."""

from collections import Counter
from collections.abc import Iterator, Sequence

from attrs import field, frozen

from tests.builders import POLYGON
from tests.crash.books import Books
from tests.worlds.mined import TOKENS, Mined, MinedChain
from tests.worlds.onchain_plan import ALICE_KEY, FLEET, WALLETS
from trio_copy.model.fills import Side
from trio_copy.model.ids import FollowerId, TokenId
from trio_copy.model.positions import EntryKind, LedgerEntry
from trio_copy.model.units import Usd
from trio_copy.ports import Document
from trio_copy.records import read_plain
from trio_copy_onchain.tx.fees import GWEI

CASH = 5_000 * 10**6
"""Of each follower's wallet before the first block, in millionths."""
OTHERS_TIP = 77 * GWEI
"""By which what somebody else sends with our keys is told from ours."""
_SETTLED = (EntryKind.CONFIRM, EntryKind.CORRECT, EntryKind.REVERSE)


@frozen(kw_only=True)
class Compared:
    chain: MinedChain
    books: Books
    journal: Sequence[Document]
    max_order: Usd
    max_day: Usd
    journal_lost: bool
    """Whether what was sent was forgotten at some time: gas is not counted whole then, and of some orders nobody can tell."""
    mined: tuple[Mined, ...] = field(init=False)
    """What stands on the chain of what anybody sent with our keys."""

    @mined.default
    def _mined(self) -> tuple[Mined, ...]:
        return tuple(one for one in self.chain.standing if one.tx.signed is not None)

    def wrong(self) -> Iterator[str]:
        """Say what is not as it should be."""
        yield from self._done_twice()
        yield from self._left_open()
        for name in WALLETS:
            yield from self._books_of(name)
            yield from self._caps_of(name)
        if not self.journal_lost:
            yield from self._gas()

    def _done_twice(self) -> Iterator[str]:
        counted = Counter(one.tx.key for one in self.mined if one.succeeded and one.tx.key is not None)
        yield from (f"{key} stands {times} times on the chain" for key, times in counted.items() if times > 1)

    def _left_open(self) -> Iterator[str]:
        done = {one.tx.key for one in self.mined if one.succeeded}
        # While one of those is open, a restart arms nothing, and everybody's tasks wait.
        unsure = self.journal_lost and any(account.orders for account in self.books.accounts.values())
        for follower, account in self.books.accounts.items():
            for one in account.orders.values():
                # Of what is older than its journal, and in no block, nobody can tell: a person settles it.
                if not self.journal_lost or one.order.key in done:
                    yield f"{follower} has an order open: {one.order.key} {one.state}"
            if not unsure:
                yield from (f"{follower} has a task waiting: {one}" for one in account.waiting)
        ended = Counter(end.task.task_id for end in self.books.ends)
        yield from (f"task {task} ended {times} times" for task, times in ended.items() if times > 1)

    def _books_of(self, name: str) -> Iterator[str]:
        account = self.books.accounts.get(FollowerId(name))
        # Of what is older than its journal, nobody can tell whether it happened: it is provisional until a person settles it.
        unsure = account.orders.keys() if account is not None and self.journal_lost else ()
        entries = [
            one
            for one in self.books.entries
            if one.follower == FollowerId(name) and one.key not in unsure and one.of not in unsure
        ]
        keys = Counter(one.key for one in entries)
        yield from (f"{name}: entry {key} booked {times} times" for key, times in keys.items() if times > 1)
        cash, shares = _sums(entries)
        moved = self.chain.head.cash[WALLETS[name]] - CASH
        if cash != moved:
            yield f"{name}: cash moved by {moved} on the chain and by {cash} in the books"
        holdings = {} if account is None else account.holdings
        for outcome, token in enumerate(TOKENS):
            has = self.chain.head.shares.get((WALLETS[name], outcome), 0)
            held = sum(one.now.shares.micro for (_, of), one in holdings.items() if of == token)
            if has != shares[token] or (held != has and not unsure):
                yield f"{name}: {has} of outcome {outcome} on the chain, {shares[token]} by entries, {held} in its position"
        settled = {one.of for one in entries if one.kind in _SETTLED}
        for one in entries:
            if one.kind is EntryKind.FILL and not one.firm and one.key not in settled:
                yield f"{name}: entry {one.key} is still provisional"

    def _caps_of(self, name: str) -> Iterator[str]:
        bought = [
            cash for wallet, side, cash in map(_traded, self.mined) if wallet == WALLETS[name] and side is Side.BUY
        ]
        if max(bought, default=0) > self.max_order.micro or sum(bought) > self.max_day.micro:
            yield f"{name} has spent {sum(bought)}, at most {max(bought)} at a time: more than its guard may let go"

    def _gas(self) -> Iterator[str]:
        for key in (ALICE_KEY, *FLEET):
            paid = [
                one.gas * one.price
                for one in self.mined
                if one.tx.sender == key.address and one.tx.signed is not None and one.tx.signed.tip != OTHERS_TIP
            ]
            name = f"onchain/{POLYGON}/{key.address}/gas"
            told = [read_plain(one.body) for one in self.journal if one.name == name]
            counted = tuple(told[0][1:]) if told else (0, 0)
            if counted != (len(paid), sum(paid)):
                yield f"gas of {key.address}: {len(paid)} transactions and {sum(paid)} wei on the chain, counted {counted}"


def _sums(entries: Sequence[LedgerEntry]) -> tuple[int, Counter[TokenId]]:
    """Return by how much cash has moved, and the shares of each token, in millionths."""
    undone = {one.of for one in entries if one.kind is EntryKind.REVERSE}
    cash, shares = 0, Counter[TokenId]()
    for one in entries:
        if one.kind in (EntryKind.FILL, EntryKind.CORRECT) and one.key not in undone and one.of not in undone:
            sign = 1 if one.side is Side.BUY else -1
            shares[one.token_id] += sign * one.shares.micro
            cash -= sign * one.notional.micro + one.fee.micro
    return cash, shares


def _traded(one: Mined) -> tuple[str, Side | None, int]:
    """Return whose wallet has traded, which side, and for how much cash."""
    if one.log is None:
        return "", None, 0
    side = Side.BUY if one.bought else Side.SELL
    return "0x" + one.log.topics[1][-40:], side, int.from_bytes(one.log.data[:32])
