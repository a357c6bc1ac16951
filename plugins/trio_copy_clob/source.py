"""The market source `polymarket`, put together. It needs no key, and moves no money."""

import ssl
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial

import httpx  # noqa: ASYNC127  over a transport of our own
import trio
from attrs import define, evolve, field

from trio_copy.model.books import Book, PastPrice, PricesLost, SeenPrice
from trio_copy.model.catalog import TokenFacts
from trio_copy.model.ids import Address, TokenId
from trio_copy.model.past_trades import PastTrade
from trio_copy.model.resolutions import Decided
from trio_copy.model.units import Price
from trio_copy.ports import MarketsContext
from trio_copy_clob import PolymarketSettings
from trio_copy_clob.addresses import origin_of
from trio_copy_clob.asking import Asker, Host
from trio_copy_clob.books import read_books
from trio_copy_clob.decided import read_decided
from trio_copy_clob.facts import read_facts
from trio_copy_clob.pacing import pace_of
from trio_copy_clob.past import read_past_prices
from trio_copy_clob.prices import Prices
from trio_copy_clob.traders import read_best_wallets, read_trades
from trio_copy_clob.transport import H11Transport
from trio_copy_clob.troubles import Troubles


@define(eq=False, kw_only=True)
class Polymarket:
    settings: PolymarketSettings
    context: MarketsContext
    asker: Asker
    troubles: Troubles
    ticks: dict[TokenId, Price] = field(factory=dict)
    """What the market channel said last, of the tokens that it tells of."""

    async def facts(self, tokens: Collection[TokenId]) -> Sequence[TokenFacts]:
        facts = await read_facts(self.asker, tokens)
        # A tick changes while a question is traded; the channel says so at once, Gamma some time later.
        return [evolve(fact, tick=self.ticks.get(fact.token_id, fact.tick)) for fact in facts]

    async def books(self, tokens: Collection[TokenId]) -> Sequence[Book]:
        return await read_books(self.asker, tokens)

    async def resolutions(self, conditions: Collection[str]) -> Sequence[Decided]:
        return await read_decided(self.asker, conditions)

    async def past_prices(self, token_id: TokenId, since: float, until: float) -> Sequence[PastPrice]:
        return await read_past_prices(self.asker, token_id, since, until)

    async def best_wallets(self, lasts_s: float, most: int) -> Sequence[Address]:
        return await read_best_wallets(self.asker, lasts_s, most)

    async def trades_of(self, wallet: Address, since: float, until: float, most: int) -> Sequence[PastTrade]:
        return await read_trades(self.asker, wallet, since, until, most)

    async def run_prices(
        self,
        tokens: trio.MemoryReceiveChannel[frozenset[TokenId]],
        send: trio.MemorySendChannel[SeenPrice | PricesLost],
    ) -> None:
        prices = Prices(
            url=self.settings.prices_url,
            timeout_s=self.settings.timeout_s,
            open_socket=self.context.open_socket,
            tls=cache(ssl.create_default_context),
            wall=self.context.wall,
            entropy=self.context.entropy,
            troubles=self.troubles,
            ticks=self.ticks,
        )
        await prices.run(tokens, send)


@asynccontextmanager
async def open_source(context: MarketsContext) -> AsyncGenerator[Polymarket, None]:
    """Open the source at once, whether the venue answers or not; close its connections at the end."""
    settings: PolymarketSettings = context.settings
    urls = {"data": settings.data_url, "gamma": settings.gamma_url, "clob": settings.clob_url}
    troubles = Troubles(context.on_trouble, context.on_left_out)
    transport = H11Transport(open_socket=context.open_socket, timeout_s=settings.timeout_s)
    # Neither redirects nor proxies of the environment: an answer comes from where a person said that it should.
    client = httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        headers={"accept": "application/json", "accept-encoding": "identity", "user-agent": "trio-copy"},
    )
    asker = Asker(
        client=client,
        hosts={
            name: Host(url.rstrip("/"), origin_of(url).name, pace_of(name, settings.limits_used))
            for name, url in urls.items()
        },
        patience_s=settings.patience_s,
        wall=context.wall,
        entropy=context.entropy,
        troubles=troubles,
    )
    async with client, trio.open_nursery() as nursery:
        for origin in {origin_of(url): url for url in urls.values()}.values():
            nursery.start_soon(partial(transport.warm, origin))
        yield Polymarket(settings=settings, context=context, asker=asker, troubles=troubles)
        nursery.cancel_scope.cancel()
