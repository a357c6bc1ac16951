"""What a wallet has to allow before it can trade, and what it has not allowed yet.

A wallet that makes several calls in one transaction allows the exact amount in front of each trade; what has no amounts it
allows once. A key's own address allows a finite amount beforehand. Where orders are matched off the chain, as Polymarket's
are, no wallet can allow anything in front of a trade.
"""

from collections.abc import Iterator, Sequence

from attrs import frozen

from trio_copy.model.ids import Address
from trio_copy.model.units import MICRO, Usd
from trio_copy_onchain.acting.steps import Owner, amount
from trio_copy_onchain.holdings.approvals import Allowance, Approval, ForAll
from trio_copy_onchain.holdings.polymarket import Polymarket
from trio_copy_onchain.settings import FpmmTable, OnchainSettings, PoolTable

Needed = tuple[Approval, str]
"""An approval, and what a person reads of it."""
_SHARES_FOR_A_USD = 100
"""A share costs a cent at least nearly everywhere: more of an outcome than that money buys there is not sold by its copies."""


@frozen
class Tokens:
    """How many decimals tokens have, by their contracts."""

    decimals: dict[Address, int]

    def units(self, token: Address, of: Usd) -> int:
        """Return whole units; what is less than one is left out."""
        return int(of.micro * 10 ** self.decimals[token] // MICRO)

    def words(self, token: Address, units: int) -> str:
        return amount(units, self.decimals[token])


def tokens_of(settings: OnchainSettings, polymarket: Polymarket | None) -> tuple[Address, ...]:
    """Return the tokens whose decimals `needed` has to know."""
    if polymarket is not None:
        return (polymarket.collateral,)
    makers = (table.collateral for table in settings.fpmm)
    pools = (token for table in settings.pools for token in (table.collateral, table.outcome))
    return tuple(dict.fromkeys((*makers, *pools)))


def needed(
    settings: OnchainSettings, polymarket: Polymarket | None, owner: Owner, most: Usd, tokens: Tokens
) -> list[Needed]:
    """Return all that a wallet has to allow; venues may take `most` each.

    Raises:
        ValueError: an amount that is less than a unit, or more than there is of any money.
    """
    if not most.micro or any(not tokens.units(token, most) for token in tokens.decimals):
        raise ValueError(f"expected an amount of a unit at least, got {most} USD")
    if polymarket is not None:
        found = list(_of_polymarket(polymarket, most, tokens))
    else:
        found = [one for maker in settings.fpmm for one in _of_maker(maker, owner, most, tokens)]
        if not owner.together:
            found += [one for pool in settings.pools for one in _of_pool(pool, most, tokens)]
    # Pools share routers: what one may take, it may take for all of them.
    return list({approval: (approval, words) for approval, words in reversed(found)}.values())[::-1]


def _of_maker(table: FpmmTable, owner: Owner, most: Usd, tokens: Tokens) -> Iterator[Needed]:
    if not owner.together:
        yield _money(f"market maker {table.maker}", table.maker, table.collateral, most, tokens)
    yield (
        ForAll(token=table.conditional_tokens, operator=table.maker),
        f"market maker {table.maker} may take all shares of this wallet in the Conditional Tokens "
        f"{table.conditional_tokens}, until that is taken back: they know no amounts, and it takes what is sold to it",
    )


def _of_pool(table: PoolTable, most: Usd, tokens: Tokens) -> Iterator[Needed]:
    yield _money(f"router {table.router}", table.router, table.collateral, most, tokens)
    units = tokens.units(table.outcome, most) * _SHARES_FOR_A_USD
    yield (
        Allowance(token=table.outcome, spender=table.router, units=units),
        f"router {table.router} may take {tokens.words(table.outcome, units)} shares at most of the outcome "
        f"{table.outcome}, which it sells at the pool {table.pool}: what {most} USD buy at a cent a share",
    )


def _of_polymarket(venue: Polymarket, most: Usd, tokens: Tokens) -> Iterator[Needed]:
    for exchange, what in venue.exchanges:
        yield _money(f"{what} {exchange}", exchange, venue.collateral, most, tokens)
    for exchange, what in venue.exchanges:
        ledger = venue.ledger_of(exchange)
        yield (
            ForAll(token=ledger, operator=exchange),
            f"{what} {exchange} may take all shares of this wallet in {ledger}, until that is taken back: "
            "they know no amounts, and it takes what orders sell",
        )


def _money(who: str, spender: Address, token: Address, most: Usd, tokens: Tokens) -> Needed:
    units = tokens.units(token, most)
    return (
        Allowance(token=token, spender=spender, units=units),
        f"{who} may take {tokens.words(token, units)} USD at most, of the collateral {token}",
    )


def lacking(needs: Sequence[Needed], answers: Sequence[bytes]) -> list[Needed]:
    """Return what is not allowed yet. Raises `ValueError` where an answer is none."""
    return [one for one, answer in zip(needs, answers, strict=True) if not one[0].is_given(answer)]
