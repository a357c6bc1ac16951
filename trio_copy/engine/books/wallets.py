"""What followers have on paper, for people who ask: worked out from the documents of their accounts."""

from collections import defaultdict

from attrs import frozen

from trio_copy.accounts.budgets import day_of
from trio_copy.accounts.cash import cash
from trio_copy.engine.books.books import BOOKINGS, held
from trio_copy.engine.shards.stored import stored_account
from trio_copy.model.catalog import Catalog
from trio_copy.model.facts import AMOUNTS, FactQuery
from trio_copy.model.follows import EVERYBODY, Followers
from trio_copy.model.fundings import Funding
from trio_copy.model.ids import FollowerId
from trio_copy.model.units import NO_USD, Rounding, Usd
from trio_copy.ports import Document, History

_GAINED = tuple(AMOUNTS.index(name) for name in ("realised", "provisional"))


@frozen(kw_only=True)
class PaperWallet:
    """What one follower has."""

    follower: FollowerId
    start: Usd
    fundings: tuple[Funding, ...]
    cash: Usd
    """What may still be spent."""
    reserved: Usd
    """The most that open entries may cost."""
    held_cost: Usd
    """What was paid for what is held."""
    held_value: Usd | None
    """What it could be sold for; None where a part of it has no known bid."""

    @property
    def put_in(self) -> Usd:
        """Deposits, less what was taken out."""
        return Usd(sum(funding.amount.micro for funding in self.fundings))

    @property
    def gained(self) -> Usd:
        """What was realised, fees included."""
        spent = self.reserved.micro + self.held_cost.micro
        return Usd(self.cash.micro + spent - self.start.micro - self.put_in.micro)

    @property
    def equity(self) -> Usd | None:
        """Cash, and what everything else is worth."""
        return None if self.held_value is None else self.cash + self.reserved + self.held_value


@frozen(kw_only=True)
class WalletDay:
    """How a wallet stood at the end of a UTC day; what was held then counts as what it cost."""

    follower: FollowerId
    day: str
    put_in: Usd
    """On that day."""
    gained: Usd
    """Realised on that day."""
    equity: Usd
    """What it began with, and all that was put in and gained by then."""


async def paper_wallets(history: History, followers: Followers, only: FollowerId | None = None) -> list[PaperWallet]:
    """Return the wallets of those who have one, sorted: of the configured followers, and of others who have traded."""
    documents: defaultdict[FollowerId, list[Document]] = defaultdict(list)
    for kind in ("money", "position", "order"):
        for document in await history.documents(kind, only):
            documents[document.follower].append(document)
    values: dict[FollowerId, Usd | None] = {}
    for (follower, _, _), position, mark in await held(history, FactQuery(kinds=(), follower=only)):
        before = values.get(follower, NO_USD)
        values[follower] = (
            None if before is None or mark is None else before + position.shares.at(mark.price, Rounding.DOWN)
        )
    names = {only} if only is not None else (documents.keys() | followers.named.keys()) - {EVERYBODY}
    wallets = []
    for name in sorted(names):
        start = followers[name].paper_usd if name in followers else None
        if start is None:
            continue
        account = stored_account(name, Catalog(), documents[name])
        held_cost = sum(holding.now.cost.micro for holding in account.holdings.values())
        wallets.append(
            PaperWallet(
                follower=name,
                start=start,
                fundings=account.fundings,
                cash=cash(account, start),
                reserved=Usd(account.exposure.cost("all") - held_cost),
                held_cost=Usd(held_cost),
                held_value=values.get(name, NO_USD),
            )
        )
    return wallets


async def wallet_days(history: History, wallet: PaperWallet) -> list[WalletDay]:
    """Return the days on which a wallet changed, oldest first."""
    query = FactQuery(kinds=BOOKINGS, follower=wallet.follower)
    gained: defaultdict[str, int] = defaultdict(int)
    for (day,), amounts in (await history.sums(query, ("day",))).items():
        gained[day] += sum(amounts[which] for which in _GAINED)
    put_in: defaultdict[str, int] = defaultdict(int)
    for funding in wallet.fundings:
        put_in[day_of(funding.at)] += funding.amount.micro
    equity, days = wallet.start.micro, []
    for day in sorted(gained.keys() | put_in.keys()):
        equity += gained[day] + put_in[day]
        one = WalletDay(
            follower=wallet.follower,
            day=day,
            put_in=Usd(put_in[day]),
            gained=Usd(gained[day]),
            equity=Usd(equity),
        )
        days.append(one)
    return days
